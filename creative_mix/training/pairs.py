"""Pairs whose answer is known: a drum recording, a piano recording, and the truth.

The truth is the same piano in the same room, playing the piano's held notes at the drums' onsets
(`creative_mix.training.truth`). Everything about a pair follows from its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from creative_mix.constants import SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training import rooms
from creative_mix.training.composition import (
    BIAS_RANGE,
    Composition,
    Shares,
    compose,
    stage_rng,
)
from creative_mix.training.material import Material
from creative_mix.training.notes import Note, sort_notes
from creative_mix.training.pairfiles import Pair, pair_stems, read_pair, write_pair
from creative_mix.training.samples import Audio, shift_pitch
from creative_mix.training.truth import strike_times

__all__ = ["Pair", "PairMaker", "pair_stems", "read_pair", "write_pair"]

PEAK = 0.97  # of full scale, that nothing clips at 16 bit
DRUMS_IN_TRUTH = 0.5  # of the drums' level is in the truth at the strongest timbre bias
SOFTEST_DB = 36.0  # by which a recording's level is too low at most
CODED = 0.65  # share of the coded pairs in which the drums are, and the piano; in 0.3 both


class PairMaker:
    """Makes pairs from material; the same seed gives the same pair, in any process.

    Args:
        material: instruments and MIDI files.
        split: "train" or "validation"; they share no instruments and no files.
        duration_s: length of a pair, 2 s or more.
        shares: by name, how often something is out of the ordinary (`Shares`).

    Raises:
        TrainingDataError: an argument is out of its range.
    """

    def __init__(
        self,
        material: Material,
        split: str = "train",
        duration_s: float = 10.0,
        **shares: float,
    ) -> None:
        if not 2.0 <= duration_s <= 600.0:
            raise TrainingDataError(f"duration {duration_s} s: must be 2 to 600 s")
        self.material = material.for_split(split)
        self.split = split
        self.duration_s = float(duration_s)
        self.shares = Shares(**shares)
        self.samples = round(duration_s * SAMPLE_RATE)

    def make(self, seed: int) -> Pair:
        """The pair of a seed.

        Args:
            seed: 0 or more.
        """
        score = self._compose(seed)
        drums = self._record_drums(seed, score)
        piano, (truth,) = self._record_piano(seed, score, [(score.truth, "truth strokes")])
        drums, piano, truth = self._set_levels(score, drums, piano, truth)
        drums, piano = self._code(seed, score, drums, piano)
        drum_gain, piano_gain = self._draw_softness(seed, score)
        drums, piano, truth = drums * drum_gain, piano * piano_gain, truth * piano_gain
        return Pair(
            drums=drums,
            piano=piano,
            truth=truth,
            sample_rate=SAMPLE_RATE,
            hits=score.hits,
            piano_notes=score.notes,
            truth_notes=score.truth,
            strikes_s=strike_times(score.truth),
            bias=score.bias,
            seed=seed,
            meta=score.meta,
        )

    def rerender_truth(
        self, seed: int, velocity_sigma: float = 15.0, time_sigma_s: float = 0.003
    ) -> Audio:
        """The truth of a seed played again: other layers, round robins and unevenness.

        What a perfect player would score against the truth: the floor of every distance.

        Args:
            velocity_sigma: one sigma of the velocities' departure.
            time_sigma_s: one sigma of the onsets' departure, seconds.

        Shape:
            (2, samples).
        """
        score = self._compose(seed)
        rng = self._rng(seed, "again")
        again = []
        for note in score.truth:
            late = float(rng.normal(0.0, 1.0)) * time_sigma_s
            velocity = round(note.velocity + float(rng.normal(0.0, 1.0)) * velocity_sigma)
            start = min(max(note.start_s + late, 0.0), max(note.end_s - 0.01, 0.0))
            again.append(replace(note, start_s=start, velocity=int(np.clip(velocity, 1, 127))))
        drums = self._record_drums(seed, score)
        piano, (truth, other) = self._record_piano(
            seed, score, [(score.truth, "truth strokes"), (sort_notes(again), "again strokes")]
        )
        _, _, other = self._set_levels(score, drums, piano, truth, other)
        return other * self._draw_softness(seed, score)[1]

    def makes(self, pair: Pair) -> bool:
        """Whether a pair is the one that this maker makes of its seed."""
        score = self._compose(pair.seed)
        same = tuple(score.truth) == tuple(pair.truth_notes) and score.meta == pair.meta
        return same and np.array_equal(score.bias, pair.bias)

    def _rng(self, seed: int, stage: str) -> np.random.Generator:
        return stage_rng(seed, stage, self.split)

    def _compose(self, seed: int) -> Composition:
        return compose(self.material, seed, self.split, self.duration_s, self.shares)

    def _record_drums(self, seed: int, score: Composition) -> Audio:
        """The drum recording, with room, dynamics, bleed and noise."""
        rng = self._rng(seed, "drums")
        strokes = self._rng(seed, "drum strokes")
        semitones = float(rng.normal(0.0, 1.2)) if rng.random() < 0.4 else 0.0
        hits = [replace(h, time_s=h.time_s * 2.0 ** (semitones / 12.0)) for h in score.hits]
        samples = int(np.ceil(self.samples * 2.0 ** (semitones / 12.0)))
        audio = score.kit.play(hits, samples, strokes, 2.5)
        audio = _fit(shift_pitch(audio, semitones), self.samples)
        audio = rooms.convolve(audio, rooms.draw_response(rng, dry_share=0.5))
        if rng.random() < 0.5:
            threshold, ratio = float(rng.uniform(-22.0, -6.0)), float(rng.uniform(1.5, 6.0))
            audio = rooms.compress(audio, threshold, ratio, float(rng.uniform(0.05, 0.3)))
        if rng.random() < 0.3:
            audio = rooms.saturate(audio, float(rng.uniform(0.3, 2.5)))
        audio = rooms.narrow(audio, _draw_width(rng))
        level = rooms.rms_db(audio)
        if rng.random() < 0.15:
            gain_db = level + float(rng.uniform(-34.0, -14.0))
            audio = audio + rooms.make_bleed(rng, self.samples) * np.float32(10.0 ** (gain_db / 20))
        if score.accompaniment is not None:
            played = score.accompaniment.play(
                self.material.fonts, self.samples, self._rng(seed, "accompaniment")
            )
            gain_db = level + score.accompaniment.level_db
            audio = audio + played * np.float32(10.0 ** (gain_db / 20))
        if rng.random() < 0.5:
            audio = audio + rooms.make_noise(rng, self.samples, level + rng.uniform(-65.0, -35.0))
        peak = float(np.max(np.abs(audio)))
        wanted = 10.0 ** (float(rng.uniform(-14.0, -0.5)) / 20.0)
        return np.ascontiguousarray(audio * np.float32(min(wanted, PEAK) / max(peak, 1e-6)))

    def _record_piano(
        self, seed: int, score: Composition, truths: Sequence[tuple[Sequence[Note], str]]
    ) -> tuple[Audio, list[Audio]]:
        """The piano recording, and each truth through the same chain; noise in the first only.

        Args:
            truths: notes to play beside the performance, each with its strokes' random stage.
        """
        rng = self._rng(seed, "piano")
        cents = float(rng.uniform(-40.0, 40.0)) if rng.random() < 0.35 else 0.0
        response = rooms.draw_response(rng)
        width = _draw_width(rng)
        wanted_db = float(rng.uniform(-30.0, -14.0))
        noise_db = wanted_db + float(rng.uniform(-60.0, -30.0)) if rng.random() < 0.5 else None

        def record(notes: Sequence[Note], stage: str) -> Audio:
            ratio = 2.0 ** (cents / 1200.0)
            scaled = [replace(n, start_s=n.start_s * ratio, end_s=n.end_s * ratio) for n in notes]
            samples = int(np.ceil(self.samples * ratio))
            dry = score.piano.play(scaled, samples, self._rng(seed, stage))
            dry = _fit(shift_pitch(dry, cents / 100.0), self.samples)
            return rooms.narrow(rooms.convolve(dry, response), width)

        piano = record(score.notes, "piano strokes")
        gain = np.float32(10.0 ** ((wanted_db - max(rooms.rms_db(piano), -90.0)) / 20.0))
        piano = piano * gain
        if noise_db is not None:
            piano = piano + rooms.make_noise(rng, self.samples, noise_db)
        return piano, [record(notes, stage) * gain for notes, stage in truths]

    def _set_levels(
        self,
        score: Composition,
        drums: Audio,
        piano: Audio,
        truth: Audio,
        other: Audio | None = None,
    ) -> tuple[Audio, Audio, Audio]:
        """Drums, piano and truth at levels at which nothing clips.

        With `other` that one takes the truth's place, at the levels that the truth sets.
        """
        peak = max(float(np.max(np.abs(piano))), float(np.max(np.abs(truth))))
        scale = np.float32(min(1.0, PEAK / max(peak, 1e-9)))
        piano, truth = piano * scale, truth * scale
        other = None if other is None else other * scale
        timbre = score.bias_to("input_timbre")
        if timbre > 0.0:
            share = np.float32(timbre / BIAS_RANGE[1] * DRUMS_IN_TRUTH)
            truth = truth + share * drums
            other = None if other is None else other + share * drums
            scale = np.float32(min(1.0, PEAK / max(float(np.max(np.abs(truth))), 1e-9)))
            drums, piano, truth = drums * scale, piano * scale, truth * scale
            other = None if other is None else other * scale
        return drums, piano, truth if other is None else other

    def _code(
        self, seed: int, score: Composition, drums: Audio, piano: Audio
    ) -> tuple[Audio, Audio]:
        """The recordings as a lossy coder leaves them, where the pair is such a one.

        Where the truth holds the drums' own sound they stay as they are.
        """
        rng = self._rng(seed, "coder")
        if rng.random() >= self.shares.coded_share:
            return drums, piano
        which, qualities = rng.random(), rng.uniform(*rooms.CODER_QUALITY, 2)
        if which < CODED and not score.bias_to("input_timbre"):
            drums = rooms.code(drums, qualities[0])
        if which >= 1 - CODED:
            piano = rooms.code(piano, qualities[1])
        return drums, piano

    def _draw_softness(self, seed: int, score: Composition) -> Audio:
        """Gains of the drums and of the piano. Shape: (2,)."""
        rng = self._rng(seed, "softness")
        soft = rng.random() < self.shares.soft_share
        gains_db = -rng.uniform(0.0, SOFTEST_DB, 2) * soft
        if score.bias_to("input_timbre"):  # the drums' own sound is in the truth
            gains_db[0] = gains_db[1]
        return np.asarray(10.0 ** (gains_db / 20.0), np.float32)


def _draw_width(rng: np.random.Generator) -> float:
    """Stereo width: often full, sometimes narrowed, sometimes mono."""
    drawn, width = rng.random(), float(rng.uniform(0.3, 0.95))
    return 0.0 if drawn < 0.15 else width if drawn < 0.4 else 1.0


def _fit(audio: Audio, samples: int) -> Audio:
    """Audio cut or padded with silence to a length."""
    if audio.shape[1] >= samples:
        return np.ascontiguousarray(audio[:, :samples])
    return np.pad(audio, ((0, 0), (0, samples - audio.shape[1])))
