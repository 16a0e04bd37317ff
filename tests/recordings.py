"""Drums and a piano that are made of a few lines."""

from __future__ import annotations

import numpy as np

from creative_mix.audio import FloatArray


def make_drums(sample_rate: int, duration_s: float, channels: int = 1) -> FloatArray:
    """Return noise bursts at 120 beats a minute, the same in every channel.

    Shape: (channels, N).
    """
    random = np.random.default_rng(1)
    count = round(sample_rate * duration_s)
    time = np.arange(count) / sample_rate
    burst = np.exp(-(time % 0.5) * 30) * random.standard_normal(count) * 0.2
    return np.repeat(burst[None].astype(np.float32), channels, axis=0)


def make_piano(sample_rate: int, duration_s: float, channels: int = 2) -> FloatArray:
    """Return a chord that is struck every second and dies away, unlike in each channel.

    Shape: (channels, N).
    """
    time = np.arange(round(sample_rate * duration_s)) / sample_rate
    chord = np.stack(
        [
            sum(
                0.15 * np.sin(2 * np.pi * frequency * time + channel)
                for frequency in (220.0, 277.2, 329.6)
            )
            * np.exp(-(time % 1.0) * 2.0)
            for channel in range(channels)
        ]
    )
    return chord.astype(np.float32)
