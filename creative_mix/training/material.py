"""Training material in a folder: pianos, drum kits, grooves and performances.

Layout: `piano/NAME/` and `drums/NAME/` with samples, `midi/drums/` with grooves and `midi/piano/`
with performances. An `index.csv` beside or inside the instruments' folders says what each sample
is; without one the files' names do: `m060_v2_rr1.flac` (MIDI pitch, layer, round robin),
`snare_v1_rr1.wav`. Without MIDI files everything played is generated.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from creative_mix.errors import TrainingDataError
from creative_mix.training.instruments import Piano, RecordedKit, SampledKit, SampledPiano
from creative_mix.training.midi import GrooveFile, find_grooves, find_midi, split_performances
from creative_mix.training.samples import SampleFile, SampleStore

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3")

VALIDATION_PIANOS = frozenset({"headroom_yamaha_c3_ccby"})
VALIDATION_KITS = frozenset({"pearl_enoe_ccby", "sonicpi_menegass_cc0"})

_PIANO_NAME = re.compile(r"^m?(\d{1,3})(?:_v(\d+))?(?:_rr(\d+))?$", re.IGNORECASE)
_DRUM_NAME = re.compile(r"^([a-z][a-z0-9_]*?)(?:_v(\d+))?(?:_rr(\d+))?$", re.IGNORECASE)
_DRUM_ALIASES = {"hat": "hat_closed", "hihat": "hat_closed", "hh": "hat_closed", "bd": "kick"}
_DRUM_ALIASES |= {"hihat_closed": "hat_closed", "hihat_open": "hat_open", "sd": "snare"}
_DRUM_ALIASES |= {"hihat_pedal": "hat_pedal", "tom_low": "tom_floor", "tom_high": "tom_hi"}
_DRUM_ALIASES |= {"bass_drum": "kick", "rim": "rimshot", "tom": "tom_mid"}

_Named = TypeVar("_Named", Piano, RecordedKit)


@dataclass(frozen=True)
class Material:
    """What the pairs are made of: instruments, and files to play on them."""

    pianos: tuple[Piano, ...]
    kits: tuple[RecordedKit, ...]
    grooves: tuple[GrooveFile, ...] = ()
    performances: tuple[Path, ...] = ()
    fonts: tuple[Path, ...] = ()

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        soundfonts: Sequence[str | Path] = (),
        programs: Sequence[int] = (),
    ) -> Material:
        """The material of a folder, with the pianos and kits of SoundFonts beside it.

        Args:
            folder: laid out as this module's docstring says.
            soundfonts: `.sf2` files; `.sf2` files inside the folder are found as well.
            programs: General MIDI programs of the SoundFonts that play the piano's part instead of
                every piano, to make pairs of another instrument.

        Raises:
            TrainingDataError: the folder, its pianos or its kits are missing, or programs are given
                without a SoundFont.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise TrainingDataError(f"{folder}: no such folder; give one with piano/ and drums/")
        store = SampleStore()
        pianos: list[Piano] = [
            SampledPiano(name, files, store) for name, files in _find(folder / "piano", True)
        ]
        kits: list[RecordedKit] = [
            SampledKit(name, files, store) for name, files in _find(folder / "drums", False)
        ]
        fonts = [*sorted(folder.rglob("*.sf2")), *(Path(font) for font in soundfonts)]
        if fonts:
            from creative_mix.training.soundfont import soundfont_kits, soundfont_pianos

            if programs:
                pianos = []
            for font in fonts:
                pianos.extend(soundfont_pianos(font, store, *([programs] if programs else [])))
                kits.extend(soundfont_kits(font, store))
        elif programs:
            raise TrainingDataError(f"program {programs[0]}: of which SoundFont? give one")
        if not pianos:
            raise TrainingDataError(
                f"{folder / 'piano'}: no piano samples; put files such as m060_v1.flac in "
                f"{folder / 'piano' / 'NAME'}, or give a SoundFont"
            )
        if not kits:
            raise TrainingDataError(
                f"{folder / 'drums'}: no drum samples; put files such as snare_v1_rr1.wav in "
                f"{folder / 'drums' / 'NAME'}, or give a SoundFont"
            )
        midi = folder / "midi"
        grooves = find_grooves(midi / "drums") if (midi / "drums").is_dir() else []
        performances = find_midi(midi / "piano") if (midi / "piano").is_dir() else []
        return cls(tuple(pianos), tuple(kits), tuple(grooves), tuple(performances), tuple(fonts))

    def for_split(self, split: str) -> Material:
        """The part of the material that a split ("train" or "validation") may use.

        The named validation instruments are held out; where a folder has none of them the last
        instrument in alphabetical order is, if there are two or more. Groove's own splits count;
        grooves without one, like performances, lose every tenth file to validation.

        Raises:
            TrainingDataError: the split is unknown.
        """
        if split not in ("train", "validation"):
            raise TrainingDataError(f"split {split!r}: must be 'train' or 'validation'")
        named = [g for g in self.grooves if g.split]
        other = [g for g in self.grooves if not g.split]
        kept = set(split_performances([g.path for g in other], split))
        grooves = [g for g in named if g.split == split] + [g for g in other if g.path in kept]
        return Material(
            _share(self.pianos, VALIDATION_PIANOS, split),
            _share(self.kits, VALIDATION_KITS, split),
            tuple(grooves),
            tuple(split_performances(self.performances, split)),
            self.fonts,
        )

    @property
    def in_both_splits(self) -> tuple[str, ...]:
        """Names of the instruments that play in validation as well, having no other beside them."""
        train, validation = (
            {piano.name for piano in side.pianos} | {kit.name for kit in side.kits}
            for side in (self.for_split("train"), self.for_split("validation"))
        )
        return tuple(sorted(train & validation))


def _share(
    instruments: tuple[_Named, ...], held_out: frozenset[str], split: str
) -> tuple[_Named, ...]:
    """The instruments of a split."""
    names = {i.name for i in instruments} & held_out
    if not names and len(instruments) > 1:
        names = {max(i.name for i in instruments)}
    if not names or len(names) == len(instruments):
        return instruments
    return tuple(i for i in instruments if (i.name in names) == (split == "validation"))


def _find(folder: Path, piano: bool) -> list[tuple[str, list[SampleFile]]]:
    """Instruments in a folder, each with its samples, by name."""
    found: dict[str, list[SampleFile]] = {}
    if not folder.is_dir():
        return []
    tables = [folder / "index.csv", *sorted(folder.glob("*/index.csv"))]
    for table in tables:
        if table.is_file():
            for name, file in _read_index(table, piano):
                found.setdefault(name, []).append(file)
    indexed = {file.path.parent for files in found.values() for file in files}
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and p not in indexed):
        files = [f for f in map(_piano_file if piano else _drum_file, sorted(inner.iterdir())) if f]
        if files:
            found[inner.name] = files
    return sorted(found.items())


def _read_index(table: Path, piano: bool) -> list[tuple[str, SampleFile]]:
    """Samples listed in an index.csv whose files exist."""
    out = []
    with table.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            try:
                path = table.parent / row["file"]
                layer = int(row.get("layer") or 1)
                robin = int(row.get("rr") or 1)
                if piano:
                    name = row.get("instrument") or table.parent.name
                    file = SampleFile(path, "note", int(row["midi"]), layer, robin)
                else:
                    name = row.get("kit") or table.parent.name
                    sound = _DRUM_ALIASES.get(row["inst"], row["inst"])
                    file = SampleFile(path, sound, int(row.get("gm_note") or 0), layer, robin)
            except (KeyError, ValueError, TypeError) as error:
                raise TrainingDataError(f"{table}, line {number}: {error!r} in it") from error
            if path.is_file():
                out.append((name, file))
    return out


def _piano_file(path: Path) -> SampleFile | None:
    match = _PIANO_NAME.match(path.stem) if path.suffix.lower() in AUDIO_SUFFIXES else None
    if match is None or not 0 <= int(match[1]) <= 127:
        return None
    return SampleFile(path, "note", int(match[1]), int(match[2] or 1), int(match[3] or 1))


def _drum_file(path: Path) -> SampleFile | None:
    match = _DRUM_NAME.match(path.stem) if path.suffix.lower() in AUDIO_SUFFIXES else None
    if match is None:
        return None
    sound = match[1].lower()
    return SampleFile(
        path, _DRUM_ALIASES.get(sound, sound), 0, int(match[2] or 1), int(match[3] or 1)
    )
