"""Audio outside the model: files, rates, channels, levels, lengths, tempo.

Arrays are float32 of shape (C, N): C channels, N samples.  Everything works on blocks, so memory
does not grow with the length of a recording.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

BLOCK_FRAMES = 1 << 16
"""Frames that are read, moved and written at a time."""
