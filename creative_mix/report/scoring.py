"""How a render scores beside chance and beside a gate, by the measures of `evaluation`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..audio import FloatArray
from .sketch import Doubles

SCORED_S = 120.0
"""Only so much from the beginning is scored."""

RIVAL = "gate"


@dataclass(frozen=True)
class Row:
    """A measure and what it gave."""

    key: str
    label: str
    explanation: str
    higher_is_better: bool
    value: float
    beside: float | None
    """What chance would score, or a source that does not belong: the figure to read it against."""

    beside_label: str
    gate: float
    """What the piano under the drums' envelope scores."""

    @property
    def beats_gate(self) -> bool | None:
        """Whether it is better than the gate; None where both are the same."""
        if not (math.isfinite(self.value) and math.isfinite(self.gate)):
            return None
        if math.isclose(self.value, self.gate, abs_tol=5e-4):
            return None
        return (self.value > self.gate) == self.higher_is_better


@dataclass(frozen=True)
class Scores:
    """The rows, and the onsets that they were made from; or why there are none."""

    rows: tuple[Row, ...] = ()
    missing: str = ""
    duration_s: float = 0.0
    drum_onsets_s: Doubles | None = None
    piano_onsets_s: Doubles | None = None
    output_onsets_s: Doubles | None = None


_SHIFTED = "the same onsets at other times"
_WORDS = {
    "drums_f50": (
        "Onsets shared with the drums, within 50 ms",
        "F measure of the output's onsets against the drums': 1 is every stroke and no other.",
        _SHIFTED,
    ),
    "drums_f30": (
        "Onsets shared with the drums, within 30 ms",
        "The same with a stricter clock.",
        _SHIFTED,
    ),
    "envelope_r": (
        "Rhythm follows the drums",
        "Correlation of how strongly each moment begins something, in output and drums.",
        "",
    ),
    "piano_chroma": (
        "Harmony follows the piano",
        "Cosine of the twelve pitch classes, moment by moment.",
        "the piano half its length later",
    ),
    "mfcc_piano": (
        "Distance to the piano's sound",
        "Between the mean timbres (MFCC) of output and piano.",
        "",
    ),
    "mix_share": (
        "A plain mix explains",
        "Share of the output that one gain on the drums and one on the piano would make.",
        "",
    ),
    "leak": (
        "Drums heard through",
        "Share of the output that the drums' own waveform explains.",
        "the drums half their length later",
    ),
}


def score(drums: FloatArray, piano: FloatArray, output: FloatArray) -> Scores:
    """Return the scores of an output; without the extra `train`, what is missing.

    Shape: each (C, N) at 44.1 kHz.
    """
    try:
        from ..evaluation.baselines import BASELINES
        from ..evaluation.features import Features
        from ..evaluation.measures import MEASURES, References, measure_output
    except ModuleNotFoundError as error:
        return Scores(
            missing=f"The scores need {error.name}, which is missing: "
            "pip install 'creative-mix[train]'"
        )
    if not (np.any(drums) and np.any(piano) and np.any(output)):
        return Scores(missing="Where a sound is silent, there is nothing to score.")
    half = drums.shape[1] // 2
    references = References(
        drums=Features(drums),
        piano=Features(piano),
        other_drums=Features(np.roll(drums, half, axis=1)),
        other_piano=Features(np.roll(piano, half, axis=1)),
    )
    made = Features(output)
    ours = measure_output(made, references)
    theirs = measure_output(Features(BASELINES[RIVAL](drums, piano)), references)
    rows = []
    for measure in MEASURES:
        if measure.key not in _WORDS or measure.key not in ours:
            continue
        label, explanation, beside_label = _WORDS[measure.key]
        beside = ours.get(measure.beside) if measure.beside else None
        rows.append(
            Row(
                measure.key,
                label,
                explanation,
                bool(measure.higher_is_better),
                ours[measure.key],
                beside,
                beside_label if beside is not None else "",
                theirs[measure.key],
            )
        )
    return Scores(
        tuple(rows),
        duration_s=made.duration_s,
        drum_onsets_s=references.drums.onsets_s,
        piano_onsets_s=references.piano.onsets_s,
        output_onsets_s=made.onsets_s,
    )
