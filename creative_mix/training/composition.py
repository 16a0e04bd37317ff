"""What is played in a pair, before any sound: instruments, groove, performance, truth."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.errors import TrainingDataError
from creative_mix.training import midi
from creative_mix.training.accompaniment import Accompaniment, draw_accompaniment
from creative_mix.training.assembly import AssembledKit
from creative_mix.training.draws import log_uniform
from creative_mix.training.generators import generate_groove, generate_performance
from creative_mix.training.hands import other_left_hand
from creative_mix.training.hiss import hissing
from creative_mix.training.instruments import Kit, Piano
from creative_mix.training.material import Material
from creative_mix.training.notes import Hit, Note, cut_hits, cut_notes, sort_notes
from creative_mix.training.samples import Audio
from creative_mix.training.strings import draw_piano
from creative_mix.training.synthesis import SynthesisedKit
from creative_mix.training.truth import add_own_onsets, answer_hits
from creative_mix.training.voicing import voice

Rng = np.random.Generator

GENERATED = "generated"
"""What the names of generated grooves and performances begin with."""
BIAS_RANGE = (0.5, 3.0)
GENERATED_GROOVES = 0.4  # share, where there are files too
GENERATED_PERFORMANCES = 0.55
HAND_GROOVES = 0.4  # share of hand percussion on kits that have it
SYNTHESISED_KITS = 0.6  # share of the loops
ACCOMPANIED = 0.6  # share of those; the others have company always
TRIES = 6  # excerpts looked at until one has enough in it


@dataclass(frozen=True)
class Composition:
    """What is played in a pair, and on what.

    Args:
        piano: plays the performance and the truth.
        kit: plays the groove.
        hits: the groove.
        notes: the performance.
        truth: what the piano plays when the groove drives it.
        bias: float32 (6,), the selector bias that goes with this truth.
        meta: the names of it all.
        accompaniment: what sounds beside the drums, if anything.
    """

    piano: Piano
    kit: Kit
    hits: tuple[Hit, ...]
    notes: tuple[Note, ...]
    truth: tuple[Note, ...]
    bias: Audio
    meta: dict[str, str]
    accompaniment: Accompaniment | None = None

    def bias_to(self, component: str) -> float:
        """The bias to a component, by its name."""
        return float(self.bias[COMPONENT_NAMES.index(component)])


@dataclass(frozen=True)
class Shares:
    """How often something is out of the ordinary, each 0..1.

    Args:
        bias_share: pairs with a selector bias and a truth to match, half of them to target_rhythm,
            half to input_timbre.
        loop_share: pairs whose drums are as in loops: synthesised, or with a bass, a voice or
            chords beside them, or both.
        assembled_kits: pairs whose drums are taken from several kits, unless they are synthesised.
        synthesised_pianos: pairs that a piano plays of which there are no samples.
        voiced_share: pairs of a recorded piano that sound as if it were another.
        hissing_share: pairs of a recorded piano whose strokes bring a hiss along.
        exchanged_hands: played performances whose left hand is another's.
        soft_share: pairs whose recordings were made at too low a level, each by its own.
        coded_share: pairs of which one recording, or both, comes through MP3.

    Raises:
        TrainingDataError: one is out of its range.
    """

    bias_share: float = 0.3
    loop_share: float = 0.0
    assembled_kits: float = 0.0
    synthesised_pianos: float = 0.0
    voiced_share: float = 0.0
    hissing_share: float = 0.0
    exchanged_hands: float = 0.0
    soft_share: float = 0.0
    coded_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 <= value <= 1.0:
                raise TrainingDataError(f"{name.replace('_', ' ')} {value}: must be 0 to 1")


@dataclass(frozen=True)
class Groove:
    """Hits of an excerpt, their tempo or None, and when the first bar line comes, in seconds."""

    name: str
    hits: tuple[Hit, ...]
    bpm: float | None
    first_bar_s: float


def stage_rng(seed: int, stage: str, split: str) -> Rng:
    """A random generator for each stage of a pair, so that one's draws move no other's.

    Raises:
        TrainingDataError: the seed is negative.
    """
    if seed < 0:
        raise TrainingDataError(f"seed {seed}: must be 0 or more")
    return np.random.default_rng([seed, zlib.crc32(stage.encode()), zlib.crc32(split.encode())])


def compose(
    material: Material,
    seed: int,
    split: str,
    duration_s: float,
    shares: Shares,
) -> Composition:
    """What is played in the pair of a seed.

    Args:
        material: of the split already.
        seed: 0 or more.
        split: the split's name, which makes its pairs differ from another's of the same seed.
        duration_s: how long, seconds.
        shares: how often something is out of the ordinary.
    """
    rng = stage_rng(seed, "score", split)
    piano = material.pianos[_draw_index(rng, [p.share for p in material.pianos])]
    strings = stage_rng(seed, "strings", split)
    if strings.random() < shares.synthesised_pianos:
        piano = draw_piano(strings)
    else:
        voicing = stage_rng(seed, "voicing", split)
        if voicing.random() < shares.voiced_share:
            piano = voice(piano.sampled(), voicing)
        noise = stage_rng(seed, "hiss", split)
        if noise.random() < shares.hissing_share:
            piano = hissing(piano.sampled(), noise)
    kit: Kit = material.kits[_draw_index(rng, [k.share for k in material.kits])]
    if stage_rng(seed, "kit", split).random() < shares.assembled_kits:
        kit = AssembledKit(material.kits)
    loop = stage_rng(seed, "loop", split)
    is_loop = loop.random() < shares.loop_share
    if is_loop and loop.random() < SYNTHESISED_KITS:
        kit = SynthesisedKit()
    hands = kit.has_hands and stage_rng(seed, "hands", split).random() < HAND_GROOVES
    groove = draw_groove(stage_rng(seed, "groove", split), material, duration_s, hands)
    name, notes = draw_performance(
        stage_rng(seed, "performance", split), material, duration_s, groove
    )
    hands_rng = stage_rng(seed, "left hand", split)
    if hands_rng.random() < shares.exchanged_hands and not name.startswith(GENERATED):
        other, left = draw_played(hands_rng, material.performances, duration_s)
        name, notes = f"{name} over {other}", other_left_hand(notes, left)
    accompaniment = None
    if is_loop and (kit.name != SynthesisedKit.name or loop.random() < ACCOMPANIED):
        accompaniment = draw_accompaniment(loop, duration_s, groove.bpm, groove.first_bar_s)
    hits, notes = _draw_silences(rng, duration_s, groove.hits, notes)
    truth = answer_hits(notes, hits)
    bias = np.zeros(len(COMPONENT_NAMES), np.float32)
    drawn, size = rng.random(), float(rng.uniform(*BIAS_RANGE))
    if drawn < shares.bias_share / 2.0:
        bias[COMPONENT_NAMES.index("target_rhythm")] = size
        truth = add_own_onsets(truth, notes, min(1.0, size / BIAS_RANGE[1]))
    elif drawn < shares.bias_share:
        bias[COMPONENT_NAMES.index("input_timbre")] = size
    meta = {"piano": piano.name, "kit": kit.name, "groove": groove.name, "performance": name}
    if accompaniment is not None:
        meta["accompaniment"] = f"{accompaniment.part} {accompaniment.program}"
    return Composition(piano, kit, hits, notes, truth, bias, meta, accompaniment)


def draw_groove(rng: Rng, material: Material, duration_s: float, hands: bool = False) -> Groove:
    """An excerpt of a played groove, at a tempo near its own, or a generated one.

    Where hand percussion is asked for it is generated: no file holds any.

    Raises:
        TrainingDataError: a file has no hits.
    """
    files = material.grooves
    if hands or not files or rng.random() < GENERATED_GROOVES:
        style, bpm, hits = generate_groove(rng, duration_s + 8.0, hands=hands)
        bar_s = 240.0 / bpm
        start = bar_s * int(rng.integers(2)) if rng.random() < 0.7 else rng.uniform(0.0, bar_s)
        if start > 8.0:
            start = 0.0
        cut = cut_hits(hits, start, duration_s)
        return Groove(f"{GENERATED} {style}", cut, bpm, (-start) % bar_s)
    file = files[int(rng.integers(len(files)))]
    speed = log_uniform(rng, 0.8, 1.25)
    played = [replace(h, time_s=h.time_s / speed) for h in _hits_of(file.path)]
    if not played:
        raise TrainingDataError(f"{file.path}: no drum hits in it")
    bpm = file.bpm * speed
    bar_s = 240.0 / bpm if bpm > 0.0 else played[-1].time_s + 0.5
    length_s = bar_s * max(1.0, np.ceil(played[-1].time_s / bar_s - 0.1))
    rounds = max(1, int(np.ceil((duration_s + bar_s) / length_s)))
    looped = [replace(h, time_s=h.time_s + i * length_s) for i in range(rounds) for h in played]
    last = max(0.0, looped[-1].time_s - duration_s)
    best: tuple[Hit, ...] = ()
    first_bar_s = 0.0
    for _ in range(TRIES):
        start = float(rng.uniform(0.0, last))
        if bpm > 0.0 and rng.random() < 0.7:
            start = bar_s * np.floor(start / bar_s)
        start = max(0.0, start - 0.02)
        cut = cut_hits(looped, start, duration_s)
        if len(cut) > len(best):
            best, first_bar_s = cut, (-start) % bar_s
        if len(best) >= 1.2 * duration_s:
            break
    return Groove(file.name, best, bpm or None, first_bar_s)


def draw_performance(
    rng: Rng, material: Material, duration_s: float, groove: Groove
) -> tuple[str, tuple[Note, ...]]:
    """Name and notes of an excerpt of a performance, or of a generated one.

    A played one comes at another tempo and in another key; a generated one is mostly in the
    groove's tempo and on its bars.

    Raises:
        TrainingDataError: a file has no notes.
    """
    files = material.performances
    if not files or rng.random() < GENERATED_PERFORMANCES:
        bpm, offset = groove.bpm, groove.first_bar_s
        if bpm is None or rng.random() < 0.4:
            bpm, offset = None, -float(rng.uniform(0.0, 1.0))
        elif offset > 0.05:
            offset -= 240.0 / bpm
        style, notes = generate_performance(rng, duration_s, bpm, offset)
        on_time = [replace(n, start_s=0.0) if -0.06 < n.start_s < 0.0 else n for n in notes]
        return f"{GENERATED} {style}", cut_notes(on_time, 0.0, duration_s)
    return draw_played(rng, files, duration_s)


def draw_played(rng: Rng, files: Sequence[Path], duration_s: float) -> tuple[str, tuple[Note, ...]]:
    """Name and notes of an excerpt of one of the files, at another tempo and in another key.

    Raises:
        TrainingDataError: the file has no notes.
    """
    path = files[int(rng.integers(len(files)))]
    speed = log_uniform(rng, 0.7, 1.3)
    shift = int(rng.integers(-4, 5))
    played = [
        Note(n.start_s / speed, n.end_s / speed, n.pitch + shift, n.velocity)
        for n in _notes_of(path)
        if 21 <= n.pitch + shift <= 108
    ]
    if not played:
        raise TrainingDataError(f"{path}: no piano notes in it")
    starts = np.asarray([n.start_s for n in played])
    last = max(0.0, float(starts[-1]) - duration_s)
    best: tuple[Note, ...] = ()
    for _ in range(TRIES):
        begin = float(starts[np.searchsorted(starts, rng.uniform(0.0, last))])
        cut = cut_notes(played, begin - float(rng.uniform(0.0, 0.3)), duration_s)
        if len(cut) > len(best):
            best = cut
        if len(best) >= duration_s:
            break
    return path.stem, best


def _draw_silences(
    rng: Rng, duration_s: float, hits: tuple[Hit, ...], notes: tuple[Note, ...]
) -> tuple[tuple[Hit, ...], tuple[Note, ...]]:
    """Hits and notes of which, sometimes, one begins late or ends early."""
    late_s = rng.uniform(0.02, 0.25) * duration_s
    stop_s = rng.uniform(0.75, 0.95) * duration_s
    which = rng.random()
    if which < 0.06:
        hits = tuple(h for h in hits if h.time_s >= late_s)
    elif which < 0.12:
        hits = tuple(h for h in hits if h.time_s < stop_s)
    elif which < 0.18:
        notes = tuple(n for n in notes if n.start_s >= late_s)
    elif which < 0.24:
        early = (n for n in notes if n.start_s < stop_s)
        notes = sort_notes(replace(n, end_s=min(n.end_s, stop_s)) for n in early)
    return hits, notes


def _draw_index(rng: Rng, shares: list[float]) -> int:
    """An index, drawn by shares."""
    edges = np.cumsum(shares)
    return int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))


@lru_cache(maxsize=4096)
def _hits_of(path: Path) -> tuple[Hit, ...]:
    return midi.read_hits(path)


@lru_cache(maxsize=512)
def _notes_of(path: Path) -> tuple[Note, ...]:
    return midi.read_notes(path)
