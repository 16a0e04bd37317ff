"""Every score of one output on one case, by name, and what each name means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from creative_mix.evaluation import onsets, scores
from creative_mix.evaluation.features import Features, FloatArray


@dataclass(frozen=True)
class Measure:
    """One row of the report.

    Attributes:
        key: its name in the JSON.
        label: its name in the table.
        higher_is_better: the direction, None where it has none.
        beside: key of the score to read it against (chance, mismatched source), if any.
        with_truth: whether it needs a known truth.
    """

    key: str
    label: str
    higher_is_better: bool | None
    beside: str | None = None
    with_truth: bool = False


MEASURES: tuple[Measure, ...] = (
    Measure("mel", "mel distance to truth", False, None, True),
    Measure("log_stft", "log-STFT distance to truth", False, None, True),
    Measure("strikes_f50", "onset F 50 ms, known notes", True, "strikes_f50_chance", True),
    Measure("strikes_f30", "onset F 30 ms, known notes", True, "strikes_f30_chance", True),
    Measure("notes_f50", "note F 50 ms and pitch, its MIDI", True, "notes_f50_chance", True),
    Measure("truth_chroma", "chroma to truth", True, None, True),
    Measure("attack_median_ms", "attack error, median (ms)", False, None, True),
    Measure("attack_p90_ms", "attack error, 90th percentile (ms)", False, None, True),
    Measure("drums_f50", "onset F 50 ms, drums", True, "drums_f50_chance"),
    Measure("drums_f30", "onset F 30 ms, drums", True, "drums_f30_chance"),
    Measure("envelope_r", "onset envelope r, drums", True),
    Measure("piano_chroma", "chroma to piano", True, "piano_chroma_mismatched"),
    Measure("mfcc_piano", "MFCC distance to piano", False),
    Measure("mfcc_drums", "MFCC distance to drums", None),
    Measure("mix_share", "linear-mix share", False),
    Measure("leak", "drum leak", False, "leak_mismatched"),
    Measure("rhythm_share", "input_rhythm's share of rhythm", True),
    Measure("harmony_share", "target_harmony's share of harmony", True),
    Measure("timbre_share", "target_timbre's share of timbre", True),
)
"""The rows in order; "beside" scores are shown in brackets after their measure."""


@dataclass(frozen=True)
class References:
    """What the outputs of one case are measured against.

    Attributes:
        drums: the drums.
        piano: the piano, time-aligned.
        truth: the known answer, None for recordings.
        strikes_s: times at which the truth strikes, sorted, in seconds.
        other_drums: drums of another case, None where there is no other.
        other_piano: piano of another case, None where there is no other.
    """

    drums: Features
    piano: Features
    truth: Features | None = None
    strikes_s: FloatArray | None = None
    other_drums: Features | None = None
    other_piano: Features | None = None


def measure_output(output: Features, references: References) -> dict[str, float]:
    """All scores of one output; those that the case cannot give are left out."""
    drums, piano = references.drums, references.piano
    found = {
        "envelope_r": scores.envelope_correlation(output, drums),
        "piano_chroma": scores.chroma_cosine(output, piano),
        "mfcc_piano": scores.mfcc_distance(output, piano),
        "mfcc_drums": scores.mfcc_distance(output, drums),
        "mix_share": scores.linear_mix_share(output.audio, drums.audio, piano.audio),
        "leak": scores.drum_leak(output, drums),
        **_onset_scores("drums", drums.onsets_s, output),
    }
    if references.other_piano is not None:
        found["piano_chroma_mismatched"] = scores.chroma_cosine(output, references.other_piano)
    if references.other_drums is not None:
        found["leak_mismatched"] = scores.drum_leak(output, references.other_drums)
    truth = references.truth
    if truth is not None:
        found["mel"] = scores.mel_distance(output, truth)
        found["log_stft"] = scores.log_stft_distance(output, truth)
        found["truth_chroma"] = scores.chroma_cosine(output, truth)
    if references.strikes_s is not None and len(references.strikes_s):
        found.update(_onset_scores("strikes", references.strikes_s, output))
        errors_ms = 1000 * onsets.attack_errors(references.strikes_s, output.refined_onsets_s)
        if len(errors_ms):
            found["attack_median_ms"] = float(np.median(errors_ms))
            found["attack_p90_ms"] = float(np.quantile(errors_ms, 0.9))
    return found


def _onset_scores(name: str, reference_s: FloatArray, output: Features) -> dict[str, float]:
    found = {}
    for window_ms in (50, 30):
        key, window_s = f"{name}_f{window_ms}", window_ms / 1000
        found[key] = onsets.onset_f(reference_s, output.onsets_s, window_s)
        found[f"{key}_chance"] = onsets.chance_f(
            reference_s, output.onsets_s, output.duration_s, window_s
        )
    return found
