"""A sound small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import soundfile as sf

from ..audio.rates import resample_blocks
from ..constants import SAMPLE_RATE
from .sketch import Readable

PLAYED_S = 300.0
"""Most of a sound that is put into a page."""

_OPUS_RATE = 48000
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Player:
    """A sound as a page can play it."""

    mime: str
    content: bytes
    duration_s: float
    cut: bool
    """Whether the recording goes on after its end."""

    codec: str

    @property
    def url(self) -> str:
        """It, as an address that holds all of it."""
        return f"data:{self.mime};base64,{base64.b64encode(self.content).decode()}"


def make_player(sound: Readable) -> Player:
    """Return a sound as Opus, about 1 MB a minute; as FLAC where libsndfile has no Opus."""
    length = min(sound.length, round(PLAYED_S * SAMPLE_RATE))
    opus = "OPUS" in sf.available_subtypes("OGG")
    blocks = (sound.read(at, min(length, at + _BLOCK)) for at in range(0, length, _BLOCK))
    rate = _OPUS_RATE if opus else SAMPLE_RATE
    pieces = [piece.T for piece in resample_blocks(blocks, SAMPLE_RATE, rate)]
    # A result may peak beyond full scale, where it is a float file; a player cannot.
    samples = np.clip(np.concatenate(pieces), -1.0, 1.0)
    file = io.BytesIO()
    if opus:
        sf.write(file, samples, rate, format="OGG", subtype="OPUS")
    else:
        sf.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return Player(
        "audio/ogg" if opus else "audio/flac",
        file.getvalue(),
        length / SAMPLE_RATE,
        length < sound.length,
        "Opus" if opus else "FLAC",
    )
