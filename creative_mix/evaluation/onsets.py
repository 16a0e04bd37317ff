"""Onsets: detection, refinement, F score, its chance level, and the error in time."""

from __future__ import annotations

import librosa
import mir_eval
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

CHANCE_SHIFTS = 20
_REFINE_STEP = 32
_REFINE_REACH_S = 0.03
_REFINE_SPAN_S = 0.006
_PRE_ECHO_SPAN_S = 0.02
_PRE_ECHO_FLOOR = 1e-8


def onset_envelope(mel_power: NDArray[np.float32], sample_rate: int, hop: int) -> FloatArray:
    """The onset strength of every frame: the mean rise in dB over the mel bands (librosa).

    Shape:
        mel_power: (bands, T); returns (T,).
    """
    level_db = librosa.power_to_db(mel_power)
    strength = librosa.onset.onset_strength(S=level_db, sr=sample_rate, hop_length=hop)
    return np.asarray(strength, dtype=np.float64)


def detect_onsets(envelope: FloatArray, sample_rate: int, hop: int) -> FloatArray:
    """The times in seconds that librosa's peak picker finds in an onset envelope."""
    if not np.any(envelope > 0):
        return np.zeros(0)
    times = librosa.onset.onset_detect(
        onset_envelope=envelope, sr=sample_rate, hop_length=hop, units="time"
    )
    return np.unique(np.asarray(times, dtype=np.float64))


def refine_onsets(audio: NDArray[np.float32], onsets_s: FloatArray, sample_rate: int) -> FloatArray:
    """Each onset moved to the steepest rise of the level within 30 ms of it.

    The level is the log energy of 6 ms before and after every 32nd sample; where "after" exceeds
    "before" by most, weighted with how loud it gets, is the attack. Silence moves nothing.

    Args:
        audio: mono samples.
        onsets_s: sorted times in seconds.
        sample_rate: in Hz.

    Shape:
        audio: (N,); onsets_s: (K,); returns at most (K,), sorted.
    """
    span = max(1, round(_REFINE_SPAN_S * sample_rate))
    reach = round(_REFINE_REACH_S * sample_rate)
    # The pre-emphasis makes the hammer's broadband attack stand out from low notes still ringing.
    bright = np.diff(audio.astype(np.float64), prepend=0.0)
    total = np.concatenate([np.zeros(1), np.cumsum(bright**2)])
    floor = 1e-6 * total[-1] / max(1, len(audio)) * span + 1e-20
    refined = []
    for onset in onsets_s:
        centre = round(onset * sample_rate)
        at = np.arange(centre - reach, centre + reach + 1, _REFINE_STEP)
        at = at[(at >= 0) & (at <= len(audio))]
        if not len(at):
            continue
        before = total[at] - total[np.maximum(at - span, 0)]
        after = total[np.minimum(at + span, len(audio))] - total[at]
        rise = np.log((after + floor) / (before + floor)) * np.sqrt(after)
        best = int(np.argmax(rise))
        refined.append(at[best] / sample_rate if rise[best] > 0 else onset)
    return np.unique(np.asarray(refined, dtype=np.float64))


def onset_f(reference_s: ArrayLike, estimated_s: ArrayLike, window_s: float = 0.05) -> float:
    """The F measure of estimated onsets against known ones (mir_eval), nan without known ones.

    Args:
        reference_s: sorted true times in seconds.
        estimated_s: sorted found times in seconds.
        window_s: the largest distance in seconds of a match.
    """
    reference, estimated = np.asarray(reference_s, float), np.asarray(estimated_s, float)
    if not len(reference):
        return float("nan")
    if not len(estimated):
        return 0.0
    return float(mir_eval.onset.f_measure(reference, estimated, window=window_s)[0])


def match_onsets(
    reference: FloatArray, estimated: FloatArray, window_s: float
) -> list[tuple[int, int]]:
    """A largest one-to-one matching (reference index, estimated index) within the window.

    Taking both sorted lists from the left is optimal for intervals of equal length, and much
    faster than the general bipartite matching of mir_eval, to which it is equal in size.
    """
    pairs, i, j = [], 0, 0
    while i < len(reference) and j < len(estimated):
        difference = estimated[j] - reference[i]
        if abs(difference) <= window_s:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif difference > 0:
            i += 1
        else:
            j += 1
    return pairs


def chance_f(
    reference_s: ArrayLike,
    estimated_s: ArrayLike,
    duration_s: float,
    window_s: float = 0.05,
    shifts: int = CHANCE_SHIFTS,
    seed: int = 0,
) -> float:
    """The mean F measure of the estimated onsets shifted round by random times.

    What a system scores that strikes as often and as regularly, at times that know nothing of the
    reference: a high figure for a dense rhythm.

    Args:
        reference_s: sorted true times in seconds.
        estimated_s: sorted found times in seconds.
        duration_s: the length at which the shifted times wrap round.
        window_s: the largest distance in seconds of a match.
        shifts: how many random shifts.
        seed: of the shifts.
    """
    reference, estimated = np.asarray(reference_s, float), np.asarray(estimated_s, float)
    if not len(reference):
        return float("nan")
    if not len(estimated):
        return 0.0
    generator = np.random.default_rng(seed)
    margin = min(0.25, duration_s / 4)
    scores = []
    for shift in generator.uniform(margin, duration_s - margin, shifts):
        moved = np.sort((estimated + shift) % duration_s)
        matched = len(match_onsets(reference, moved, window_s))
        scores.append(2 * matched / (len(reference) + len(moved)))
    return float(np.mean(scores))


def attack_errors(
    reference_s: ArrayLike, estimated_s: ArrayLike, window_s: float = 0.05
) -> FloatArray:
    """The absolute errors in seconds of the nearest found onset of every known one in the window.

    Shape:
        returns (matched,).
    """
    reference, estimated = np.asarray(reference_s, float), np.asarray(estimated_s, float)
    if not len(reference) or not len(estimated):
        return np.zeros(0)
    errors = np.abs(estimated[None, :] - reference[:, None]).min(axis=1)
    return np.asarray(errors[errors <= window_s])


def pre_echo_db(audio: NDArray[np.float32], strikes_s: ArrayLike, sample_rate: int) -> FloatArray:
    """The energy of the 20 ms before every strike relative to the 20 ms after it, in dB.

    Strikes that follow another within 40 ms, or lie too near to an end, are left out: what is
    before them is no rest. A floor of -80 dB below the loudest 20 ms keeps silence finite.

    Args:
        audio: mono samples.
        strikes_s: sorted times in seconds.
        sample_rate: in Hz.

    Shape:
        audio: (N,); strikes_s: (K,); returns at most (K,).
    """
    span = round(_PRE_ECHO_SPAN_S * sample_rate)
    times = np.asarray(strikes_s, float)
    apart = np.diff(times, prepend=-np.inf) >= 2 * _PRE_ECHO_SPAN_S
    at = np.round(times[apart] * sample_rate).astype(np.int64)
    at = at[(at >= span) & (at + span <= len(audio))]
    if not len(at):
        return np.zeros(0)
    total = np.concatenate([np.zeros(1), np.cumsum(audio.astype(np.float64) ** 2)])
    floor = _PRE_ECHO_FLOOR * float(np.max(total[span:] - total[:-span])) + 1e-20
    before, after = total[at] - total[at - span], total[at + span] - total[at]
    return np.asarray(10 * np.log10((before + floor) / (after + floor)), dtype=np.float64)
