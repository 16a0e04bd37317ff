"""Feeds spoilt recordings to the reader, led by what its code has not yet done (atheris).

    pip install 'creative-mix[fuzz]'
    python tests/fuzz/fuzz_reader.py CORPUS -max_total_time=600 -max_len=6000

CORPUS is a folder; where it is empty, a small file of every kind is put there to begin with.
Whatever comes in, the reader gives blocks of finite samples or one line that says why not; anything
else ends the run with the input that did it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["creative_mix"]):
    from creative_mix.audio.containers import cut_short
    from creative_mix.audio.files import AudioReader
    from creative_mix.audio.metadata import Metadata, carry_over
    from creative_mix.audio.output import AudioWriter
    from creative_mix.errors import CreativeMixError

import numpy as np
import soundfile as sf

MOST_FRAMES = 1 << 18
"""A header of a few bytes can promise more than there is time for."""

KINDS = (
    *(("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAVEX", "PCM_16")),
    *(("WAV", "IMA_ADPCM"), ("WAV", "ULAW"), ("RF64", "PCM_16"), ("W64", "PCM_16")),
    *(("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")),
    *(("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16")),
)


def plant(corpus: Path) -> None:
    """Write a small file of every kind, and one with metadata."""
    samples = 0.3 * np.sin(np.arange(700)[:, None] / 9.0)
    for kind, subtype in KINDS:
        sf.write(corpus / f"{kind}.{subtype}", samples, 8000, subtype, format=kind)
    held = Metadata({"title": "A", "artist": "B"}, bytes(620), bytes(24))
    writer = AudioWriter(corpus / "metadata.wav")
    writer.write([samples.T.astype(np.float32)], 8000, 1, 700, "PCM_16", held)


def try_bytes(data: bytes) -> None:
    """Read `data` as a recording."""
    PLACE.write_bytes(data)
    with PLACE.open("rb") as file:
        cut_short(file, len(data))
    try:
        with AudioReader(PLACE) as reader:
            held = reader.metadata
            carried = carry_over(
                held, held, rates=(reader.sample_rate, 8000), start_s=1.0, frames=9, coding="A=PCM"
            )
            carried.chunks()
            count = 0
            for block in reader.blocks():
                count += block.shape[1]
                assert block.shape[0] == reader.channels <= 2
                assert block.dtype == np.float32 and np.isfinite(block).all()
                if count > MOST_FRAMES:
                    break
    except CreativeMixError as error:
        assert str(error) and "\n" not in str(error)


if __name__ == "__main__":
    PLACE = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)) / "input"
    folders = [Path(each) for each in sys.argv[1:] if not each.startswith("-")]
    if folders and folders[0].is_dir() and not any(folders[0].iterdir()):
        plant(folders[0])
    atheris.Setup(sys.argv, try_bytes)
    atheris.Fuzz()
