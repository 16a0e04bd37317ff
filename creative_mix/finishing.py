"""The level of a result: its loudness, and what is done about peaks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .audio import FloatArray
from .audio.levels import CEILING_DB, LevelMeter, to_db, to_gain
from .audio.limiter import LIMIT_DB, Limiter
from .audio.store import SampleStore
from .options import Clip

_PASSES = 6
"""Most times that the limiter runs to reach a loudness."""

_NEAR_LU = 0.05
_MOST_PUSH_DB = 12.0
"""Most that the limiter is driven beyond what the loudness alone asks for."""


@dataclass(frozen=True)
class Finish:
    """What is done to the samples of a result."""

    gain: float
    limited: bool
    notes: tuple[str, ...]

    def blocks(self, store: SampleStore, sample_rate: int) -> Iterator[FloatArray]:
        """Yield the finished samples of `store` in order, each of shape (C, any)."""
        if self.limited:
            yield from Limiter(store, self.gain, sample_rate).blocks()
            return
        for block in store.blocks():
            yield block * block.dtype.type(self.gain)


def choose_finish(
    store: SampleStore,
    meter: LevelMeter,
    sample_rate: int,
    loudness_lufs: float | None,
    clip: Clip,
) -> Finish:
    """Return what brings a result to its level.

    Args:
        store: the result, as loud as the piano.
        meter: it has heard all of it.
        sample_rate: samples a second.
        loudness_lufs: to bring it to; by default it stays as it is.
        clip: what to do about peaks that would clip.
    """
    measured = meter.loudness_lufs
    if loudness_lufs is not None and not math.isfinite(measured):
        # Silence has no loudness to change.
        loudness_lufs = None
    gain = 1.0 if loudness_lufs is None else to_gain(loudness_lufs - measured)
    peak = meter.peak * gain
    # Between two samples a peak may stand higher than at any of them.
    if clip == "limit" and peak > to_gain(LIMIT_DB) / 2:
        return _limited(store, sample_rate, gain, loudness_lufs)
    notes = []
    if loudness_lufs is not None:
        notes.append(f"loudness: {measured:.1f} LUFS, brought to {loudness_lufs:.1f} LUFS")
    ceiling = to_gain(CEILING_DB)
    if clip == "none" and peak > 1.0:
        notes.append(
            f"peaks reach {to_db(peak):+.1f} dB, beyond full scale; only a float file can hold "
            "them (--clip rescale or limit avoids that)"
        )
    elif clip == "rescale" and peak > ceiling:
        gain *= ceiling / peak
        if loudness_lufs is None:
            notes = [
                f"peaks would have clipped: the output is {-to_db(gain):.1f} dB quieter than the "
                f"piano; turn the piano down by as much to keep their levels equal"
            ]
        else:
            notes = [
                f"loudness: peaks would have clipped at {loudness_lufs:.1f} LUFS, and so the "
                f"output has {measured + to_db(gain):.1f} LUFS; --clip limit comes nearer"
            ]
    return Finish(gain, False, tuple(notes))


def _limited(
    store: SampleStore, sample_rate: int, gain: float, loudness_lufs: float | None
) -> Finish:
    """Return what limits the result, driven until it has its loudness."""
    first = gain
    for turn in range(_PASSES):
        limiter, meter = Limiter(store, gain, sample_rate), LevelMeter(sample_rate)
        for block in limiter.blocks():
            meter.add(block)
        reached = meter.loudness_lufs
        if loudness_lufs is None or not math.isfinite(reached):
            break
        missing = loudness_lufs - reached
        room = _MOST_PUSH_DB - to_db(gain / first)
        if abs(missing) < _NEAR_LU or room <= 0 or turn == _PASSES - 1:
            break
        gain *= to_gain(min(missing, room))
    notes = []
    if loudness_lufs is not None:
        word = f"loudness: brought to {reached:.1f} LUFS"
        if abs(loudness_lufs - reached) > 0.5:
            word += f", as near to {loudness_lufs:.1f} LUFS as the limiter gets it; ask for less"
        notes.append(word)
    reduction_db = limiter.most_reduction_db
    if reduction_db < 0.01:
        return Finish(gain, False, tuple(notes))
    notes.append(f"limiter: peaks are held at {LIMIT_DB:g} dB, by up to {reduction_db:.1f} dB")
    return Finish(gain, True, tuple(notes))
