"""What the main job's options may be; light, so that the command's help stays quick."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")

Fit = Literal["loop", "stretch", "none"]
FITS: tuple[Fit, ...] = ("loop", "stretch", "none")

Clip = Literal["rescale", "limit", "none"]
CLIPS: tuple[Clip, ...] = ("rescale", "limit", "none")

LOUDNESS_RANGE = (-70.0, 0.0)
"""In LUFS: below, BS.1770 counts everything as silence; above, nothing can be."""

LONGEST_TAIL_S = 600.0

BIAS_RANGE = (-8.0, 8.0)

DENSITY_RANGE = (0.0, 1.0)

DYNAMICS_RANGE = (0.0, 2.0)
"""Beyond twice the differences the loudest strikes cannot become louder."""

SUBTYPES = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
"""Sample formats of an output, by libsndfile's names."""

PairRule = Literal["zip", "product", "name"]
PAIR_RULES: tuple[PairRule, ...] = ("zip", "product", "name")

OutputFormat = Literal["wav", "flac"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("wav", "flac")

EngineName = Literal["local", "ray"]
ENGINES: tuple[EngineName, ...] = ("local", "ray")
