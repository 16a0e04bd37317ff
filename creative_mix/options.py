"""What the main job's options may be; light, so that the command's help stays quick."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda", "tensorrt")

Fit = Literal["loop", "stretch", "none"]
FITS: tuple[Fit, ...] = ("loop", "stretch", "none")

BIAS_RANGE = (-8.0, 8.0)

SUBTYPES = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
"""Sample formats of an output, by libsndfile's names."""
