"""Cases to evaluate on: a pack of pairs, pairs made on the fly, real recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from creative_mix.audio.files import AudioReader
from creative_mix.audio.fit import FittedPiano
from creative_mix.audio.rates import resample_blocks
from creative_mix.audio.store import SampleStore
from creative_mix.constants import SAMPLE_RATE
from creative_mix.errors import AudioFileError, TrainingDataError
from creative_mix.evaluation.runner import Case, CaseSource, case_of_pair

if TYPE_CHECKING:
    from creative_mix.training.pairs import PairMaker

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class PackedPair:
    """A pair of a pack, read when called.

    Attributes:
        folder: of the pack.
        stem: of the pair's files.
        material: what the pack was made from as validation pairs of the plain job, to render the
            truth a second time, as the floor; None for no floor.
    """

    folder: Path
    stem: str
    material: Path | None = None

    def __call__(self) -> Case:
        from creative_mix.training.pairs import read_pair

        pair = read_pair(self.folder, self.stem)
        if self.material is None:
            return case_of_pair(pair, self.stem)
        maker = _maker(self.material, pair.truth.shape[1] / SAMPLE_RATE)
        if not maker.makes(pair):
            raise TrainingDataError(
                f"{self.folder / self.stem}: not the plain validation pair that {self.material} "
                f"makes of the seed {pair.seed}; leave --floor out, or make such a pack"
            )
        return case_of_pair(pair, self.stem, maker.rerender_truth(pair.seed))


@dataclass(frozen=True)
class MadePair:
    """A validation pair, made from material when called.

    Attributes:
        material: folder of instruments and MIDI files.
        seed: of the pair.
        duration_s: its length in seconds.
        again: whether to render the truth a second time, as the floor.
    """

    material: Path
    seed: int
    duration_s: float = 10.0
    again: bool = False

    def __call__(self) -> Case:
        maker = _maker(self.material, self.duration_s)
        pair = maker.make(self.seed)
        again = maker.rerender_truth(self.seed) if self.again else None
        return case_of_pair(pair, str(self.seed), again)


@lru_cache(maxsize=1)
def _maker(material: Path, duration_s: float) -> PairMaker:
    from creative_mix.training.material import Material
    from creative_mix.training.pairs import PairMaker

    found = Material.from_folder(material)
    return PairMaker(found, split="validation", duration_s=duration_s, bias_share=0.0)


@dataclass(frozen=True)
class RecordedPair:
    """Two recordings as the product sees them: 44.1 kHz, the piano looped or cut to the drums."""

    drums: Path
    piano: Path

    def __call__(self) -> Case:
        with _read(self.drums) as drums, _read(self.piano) as piano:
            length = drums.length
            fitted = FittedPiano(piano, length, "loop", SAMPLE_RATE).read(0, length)
            name = f"{self.drums.stem} + {self.piano.stem}"
            return Case(name, drums.read(0, length), fitted)


def _read(path: Path) -> SampleStore:
    """A recording at 44.1 kHz."""
    with AudioReader(path) as source:
        store = SampleStore(source.channels)
        for block in resample_blocks(source.blocks(), source.sample_rate, SAMPLE_RATE):
            store.append(block)
    return store


def pack_cases(
    folder: Path, count: int | None = None, material: Path | None = None
) -> list[CaseSource]:
    """The pairs of a folder, the first `count` of them in the order of their names.

    Args:
        folder: of the pack.
        count: all when None.
        material: as in `PackedPair`.

    Raises:
        TrainingDataError: the folder holds none.
    """
    from creative_mix.training.pairs import pair_stems

    stems = pair_stems(folder)[:count]
    if not stems:
        raise TrainingDataError(f"{folder}: no pairs in it; make some with `creative-mix pairs`")
    return [PackedPair(folder, stem, material) for stem in stems]


def made_cases(
    material: Path, count: int, seed: int = 0, duration_s: float = 10.0, again: bool = False
) -> list[CaseSource]:
    """Validation pairs of the plain job, with the seeds `seed` to `seed + count - 1`."""
    return [MadePair(material, seed + index, duration_s, again) for index in range(count)]


def recorded_cases(drums_folder: Path, piano_folder: Path) -> tuple[list[CaseSource], list[int]]:
    """Every drum recording with every piano recording, and for each case its partner's index.

    The partner differs in both recordings where the folders hold at least two.

    Raises:
        AudioFileError: a folder holds no audio file.
    """
    drums, pianos = _audio_files(drums_folder), _audio_files(piano_folder)
    cases: list[CaseSource] = []
    partners = []
    for d, drum_path in enumerate(drums):
        for p, piano_path in enumerate(pianos):
            cases.append(RecordedPair(drum_path, piano_path))
            partners.append((d + 1) % len(drums) * len(pianos) + (p + 1) % len(pianos))
    return cases, partners


def _audio_files(folder: Path) -> Sequence[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise AudioFileError(f"{folder}: no audio file in it ({', '.join(SUFFIXES)})")
    return found
