"""Folders of recordings brought together in pairs, each with the place of its output."""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import AudioFileError, OptionError
from ..options import PairRule

SUFFIXES = frozenset(
    ".wav .wave .w64 .rf64 .bwf .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf".split()
)
"""Files of a folder that count as recordings, whatever the case of the suffix."""

_NAME_LIMIT = 255
"""Bytes that one name can have on the usual file systems."""

_ROLE = re.compile(r"[ ._-]+(drums?|pianos?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A recording and its place in the tree that it was found in."""

    path: Path
    relative: PurePosixPath

    @property
    def folder(self) -> PurePosixPath:
        return self.relative.parent

    @property
    def stem(self) -> str:
        return self.relative.stem

    @property
    def title(self) -> PurePosixPath:
        """Its path without the part that it plays: "funk" for funk.drums.wav and funk/drums.wav."""
        if self.folder.name and _ROLE.fullmatch(f" {self.stem}"):
            return self.folder
        return self.folder / (_ROLE.sub("", self.stem) or self.stem)


@dataclass(frozen=True)
class Pair:
    """Two recordings and where their render goes."""

    drums: Path
    piano: Path
    output: PurePosixPath
    """Relative to the batch's folder."""

    def __str__(self) -> str:
        return f"{self.drums} + {self.piano}"


@dataclass(frozen=True)
class Pairing:
    """All pairs of a batch, and the recordings that found no partner."""

    pairs: list[Pair]
    alone: list[Path]


def find_sources(
    place: str | os.PathLike[str], role: str, made: Collection[Path] = ()
) -> list[Source]:
    """Return the recordings of a folder and all folders in it, of a glob, or one file.

    They come in the order of their relative paths, numbers by value: take2 before take10. Names
    that begin with a dot are passed over.

    Args:
        place: a folder, a file, or a pattern with `*`, `?`, `[...]` and `**`.
        role: "drums" or "pianos", for the messages.
        made: resolved paths that do not count: what a batch made is no input of the next one.

    Raises:
        AudioFileError: nothing is there.
    """
    name = os.fspath(place)
    root = Path(name)
    if root.is_dir():
        found = _walk(root)
    elif root.exists():
        root, found = root.parent, [root]
    elif glob.has_magic(name):
        root = _fixed_part(root)
        found = [path for path in map(Path, glob.glob(name, recursive=True)) if path.is_file()]
        found = [path for path in found if _counts(path.name)]
    else:
        raise AudioFileError(f"{name}: no such folder, file or pattern; check the path of {role}")
    sources = [
        Source(path, PurePosixPath(path.relative_to(root).as_posix()))
        for path in found
        if not made or path.resolve() not in made
    ]
    if not sources:
        raise AudioFileError(
            f"{name}: no recordings in it; give the folder of the {role}, or a pattern in quotes "
            "such as 'loops/**/*.wav'"
        )
    return sorted(sources, key=lambda source: _natural(source.relative))


def _walk(root: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if _counts(name)]
    return found


def _counts(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _fixed_part(pattern: Path) -> Path:
    """Return the folder that all matches of `pattern` lie in."""
    parts = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _natural(path: PurePosixPath) -> tuple[list[tuple[str, int]], str]:
    """Return a key that sorts numbers by value; equal ones ("1" and "01") by spelling."""
    pieces = re.split(r"(\d+)", str(path).casefold())
    numbers = [int(digits) for digits in pieces[1::2]]
    return list(zip(pieces[0::2], [*numbers, -1], strict=True)), str(path)


def pair_up(
    drums: Sequence[Source], pianos: Sequence[Source], rule: PairRule, suffix: str
) -> Pairing:
    """Return the pairs of two lists of recordings.

    Args:
        drums: the rhythms, in order.
        pianos: the sounds, in order.
        rule: "zip" takes the first with the first and so on, "product" each with every one,
            "name" those of the same path, with or without their parts ("funk.drums.wav" and
            "Funk Piano.wav", "funk/drums.wav" and "funk/piano.wav").
        suffix: of the outputs, ".wav" or ".flac".

    The drums' tree is kept; with "product" the piano's tree follows in it.

    Raises:
        OptionError: the lists do not go together, or two pairs have the same output.
    """
    alone: list[Path] = []
    if rule == "name":
        pairs, alone = _by_name(drums, pianos, suffix)
    elif rule == "product":
        pairs = [
            Pair(d.path, p.path, d.folder / p.folder / _output_name(d, p, suffix))
            for d in drums
            for p in pianos
        ]
    else:
        if len(drums) != len(pianos):
            raise OptionError(
                f"{len(drums)} drums and {len(pianos)} pianos cannot be paired one to one; "
                "give as many of both, or --pair product or --pair name"
            )
        pairs = [
            Pair(d.path, p.path, d.folder / _output_name(d, p, suffix))
            for d, p in zip(drums, pianos, strict=True)
        ]
    _check_outputs(pairs)
    return Pairing(pairs, alone)


def _output_name(drums: Source, piano: Source, suffix: str) -> str:
    if drums.stem == piano.stem:
        return drums.stem + suffix
    return f"{drums.stem}+{piano.stem}{suffix}"


def _by_name(
    drums: Sequence[Source], pianos: Sequence[Source], suffix: str
) -> tuple[list[Pair], list[Path]]:
    first, second = _titles(drums), _titles(pianos)
    pairs = [
        Pair(source.path, second[title].path, source.title.parent / (source.title.name + suffix))
        for title, source in first.items()
        if title in second
    ]
    if not pairs:
        raise OptionError(
            f"none of {len(drums)} drums has the name of one of {len(pianos)} pianos; name them "
            "alike (funk.drums.wav, funk.piano.wav), or give --pair zip or --pair product"
        )
    alone = [source.path for title, source in first.items() if title not in second]
    alone += [source.path for title, source in second.items() if title not in first]
    return pairs, alone


def _titles(sources: Sequence[Source]) -> dict[str, Source]:
    """The recordings by their titles, as file systems compare them that ignore case."""
    found: dict[str, Source] = {}
    for source in sources:
        title = _folded(source.title)
        if title in found:
            raise OptionError(
                f"{found[title].path} and {source.path} have the same name; rename one of them"
            )
        found[title] = source
    return found


def _folded(path: PurePosixPath) -> str:
    """Return one spelling of a path for all cases and Unicode forms of it."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _check_outputs(pairs: Sequence[Pair]) -> None:
    taken: dict[str, Pair] = {}
    for pair in pairs:
        if len(os.fsencode(pair.output.name)) > _NAME_LIMIT:
            raise OptionError(f"{pair.output}: too long a name for a file; shorten {pair}")
        # Some file systems do not tell cases and Unicode forms apart.
        same = _folded(pair.output)
        if same in taken:
            raise OptionError(
                f"{taken[same]} and {pair} would both be {pair.output}; rename one of them"
            )
        taken[same] = pair
