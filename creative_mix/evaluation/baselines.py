"""Rules without learning that a trained system has to beat.

Each takes drums (C, N) and piano (C, N) at 44.1 kHz and returns (C, N) float32 with the piano's
channels; C may differ between the two. All are at the piano's RMS, so that their peaks may pass
full scale: they are to be measured, not written to a 16-bit file.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.evaluation.features import Features, to_mono

Audio = NDArray[np.float32]
Render = Callable[[Audio, Audio], Audio]

_PRE_S = 0.003
_FADE_IN_S = 0.002
_FADE_OUT_S = 0.012
_LOOK_AHEAD_S = 0.03
_HIT_SPAN_S = 0.06
_DECAY_S = 0.25
_TIGHT_DECAY_S = 0.15
_STRIKE_GAIN = 1.25


def untouched_piano(drums: Audio, piano: Audio) -> Audio:
    """The piano as it is."""
    return np.array(piano, dtype=np.float32)


def drums_alone(drums: Audio, piano: Audio) -> Audio:
    """The drums, in the piano's channels and at its RMS."""
    spread = np.broadcast_to(to_mono(drums), np.shape(piano))
    return _at_level_of(np.asarray(spread, dtype=np.float32), piano)


def even_mix(drums: Audio, piano: Audio) -> Audio:
    """Half the piano and half the drums at the piano's RMS, brought back to the piano's RMS."""
    return _at_level_of(0.5 * drums_alone(drums, piano) + 0.5 * piano, piano)


def gated_piano(drums: Audio, piano: Audio) -> Audio:
    """The piano under the drums' amplitude envelope: at once up, down within 50 ms."""
    envelope = _follow(np.abs(to_mono(drums)), release_s=0.05)
    loud = float(np.quantile(envelope, 0.95)) if len(envelope) else 0.0
    gain = np.minimum(envelope / loud, 1.5) if loud > 0 else np.zeros_like(envelope)
    return _at_level_of(piano * gain.astype(np.float32), piano)


def onset_slicer(drums: Audio, piano: Audio) -> Audio:
    """At each drum onset the piano restarts from the attack that made its present sound.

    The attack is the last piano onset up to 30 ms after the drum's; the slice has the hit's level
    and sounds until the next drum onset, or until the piano's next own attack in it.
    """
    plan = _Plan(drums, piano)
    return _at_level_of(plan.slices(piano), piano)


def restriker(drums: Audio, piano: Audio, decay_s: float = _DECAY_S) -> Audio:
    """The slicer, plus the piano under a gain that restarts at each drum onset and decays.

    Args:
        drums: (C, N).
        piano: (C, N).
        decay_s: time in seconds in which the gain falls to 1/e.
    """
    plan = _Plan(drums, piano)
    restruck = _at_level_of(plan.slices(piano), piano)
    ringing = _at_level_of(piano * plan.decaying_gain(np.shape(piano)[-1], decay_s), piano)
    return _at_level_of(_STRIKE_GAIN * restruck + ringing, piano)


def tight_restriker(drums: Audio, piano: Audio) -> Audio:
    """The restriker with a faster decay: more of a rhythm than the truth itself has."""
    return restriker(drums, piano, _TIGHT_DECAY_S)


class _Plan:
    """Where and how hard the drums strike, and which piano attack each strike restarts."""

    def __init__(self, drums: Audio, piano: Audio) -> None:
        self.length = np.shape(piano)[-1]
        self.strikes = _samples(Features(drums).refined_onsets_s)
        attacks = _samples(Features(piano).refined_onsets_s)
        ahead = round(_LOOK_AHEAD_S * SAMPLE_RATE)
        index = np.searchsorted(attacks, self.strikes + ahead, side="right") - 1
        none_yet = index < 0
        following = np.append(attacks, self.length)[index + 1]
        self.sources = np.where(none_yet, self.strikes, np.append(attacks, 0)[index])
        self.source_ends = np.where(none_yet, self.length, following)
        self.levels = _hit_levels(to_mono(drums), self.strikes)

    def slices(self, piano: Audio) -> Audio:
        """The restarted piano, silent before the first strike."""
        out = np.zeros(np.shape(piano), dtype=np.float32)
        pre, fade_out = round(_PRE_S * SAMPLE_RATE), round(_FADE_OUT_S * SAMPLE_RATE)
        fade_in = round(_FADE_IN_S * SAMPLE_RATE)
        ends = np.append(self.strikes, self.length)[1:]
        for strike, end, source, source_end, level in zip(
            self.strikes, ends, self.sources, self.source_ends, self.levels, strict=True
        ):
            lead = min(pre, strike, source)
            start, origin = strike - lead, source - lead
            length = min(end - start + fade_out, self.length - start, self.length - origin)
            length = min(length, max(source_end - origin, fade_in + fade_out))
            if length <= 0:
                continue
            window = np.full(length, level, dtype=np.float32)
            rise, fall = min(fade_in, length), min(fade_out, length)
            window[:rise] *= np.linspace(0, 1, rise, endpoint=False, dtype=np.float32)
            window[length - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
            out[..., start : start + length] += piano[..., origin : origin + length] * window
        return out

    def decaying_gain(self, length: int, decay_s: float) -> NDArray[np.float32]:
        """The hit's level at each strike, falling to 1/e in `decay_s`; zero before the first."""
        index = np.searchsorted(self.strikes, np.arange(length), side="right") - 1
        age_s = (np.arange(length) - np.append(self.strikes, 0)[index]) / SAMPLE_RATE
        gain = np.append(self.levels, 0.0)[index] * np.exp(-age_s / decay_s)
        return np.where(index < 0, 0.0, gain).astype(np.float32)


def _hit_levels(drums: Audio, strikes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The gain of each strike, 0.4 to 1.2 as in the truth, by the hit's level in dB."""
    span = round(_HIT_SPAN_S * SAMPLE_RATE)
    total = np.concatenate([np.zeros(1), np.cumsum(drums.astype(np.float64) ** 2)])
    ends = np.minimum(strikes + span, len(drums))
    energy = total[ends] - total[strikes]
    if not len(energy) or energy.max() <= 0:
        return np.ones(len(strikes))
    level_db = 10 * np.log10(np.maximum(energy / energy.max(), 1e-10))
    return 0.4 + 0.8 * np.clip(1 + level_db / 30, 0, 1)


def _samples(times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.round(times_s * SAMPLE_RATE).astype(np.int64)


def _follow(level: Audio, release_s: float) -> NDArray[np.float64]:
    """The level's peaks per 64 samples, falling exponentially, then smoothed over 3 ms."""
    step = 64
    padded = np.pad(level, (0, -len(level) % step)).reshape(-1, step).max(axis=1)
    fall = float(np.exp(-step / (release_s * SAMPLE_RATE)))
    held = np.empty(len(padded))
    present = 0.0
    for index, value in enumerate(padded):
        present = max(float(value), present * fall)
        held[index] = present
    smooth = np.convolve(held, np.ones(2) / 2)[: len(held)]
    centres = np.arange(len(held)) * step
    return np.interp(np.arange(len(level)), centres, smooth) if len(held) else held


def _at_level_of(audio: Audio, reference: Audio) -> Audio:
    """The audio at the reference's RMS; silence stays silence."""
    level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
    wanted = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64)))) if audio.size else 0.0
    return np.asarray(audio * (wanted / level if level > 0 else 0.0), dtype=np.float32)


BASELINES: dict[str, Render] = {
    "piano": untouched_piano,
    "mix": even_mix,
    "gate": gated_piano,
    "slicer": onset_slicer,
    "restriker": restriker,
    "tight restriker": tight_restriker,
}
"""What the model has to beat; the restriker is the one that the goals on recordings name."""

CONTROLS: dict[str, Render] = {"drums": drums_alone}
"""What only shows the range of the measures."""
