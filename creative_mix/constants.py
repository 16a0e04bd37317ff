"""The figures and names that every part of the project shares."""

from __future__ import annotations

SAMPLE_RATE = 44100
"""Samples a second inside the model; files of other rates are resampled on the way in and out."""

HOP_LENGTH = 512
"""Samples a frame: frame t covers samples [512 t, 512 (t + 1))."""

COMPONENT_NAMES = (
    "input_rhythm",
    "input_harmony",
    "input_timbre",
    "target_rhythm",
    "target_harmony",
    "target_timbre",
)
"""The six component types in the selector's order; input is the drums, target the piano."""

STRIKE_THRESHOLD = 0.3
"""Probability from which a strike sounds at half its strength or more."""

VOICE_NAMES = ("low", "inner", "top")
"""The voices of the piano that a drum hit can strike."""

OWN_LEVEL = 0.75
"""Level of a hit that strikes a note as loud as it was."""

KEYS = 88
LOWEST_PITCH = 21
"""MIDI pitch of the piano's lowest key, A0."""
