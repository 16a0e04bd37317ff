"""Draw the spectrograms of a sample's drums, piano and mix, one above the other.

Needs matplotlib and librosa:

    python samples/draw_spectrograms.py funk      # writes samples/funk.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import librosa
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import soundfile

HERE = Path(__file__).parent
SECONDS = 8.0


def draw(name: str) -> Path:
    """Write and return the picture of the sample `name`."""
    figure, rows = plt.subplots(3, 1, figsize=(10, 7.5), sharex=True, constrained_layout=True)
    for row, part in zip(rows, ("drums", "piano", "mix"), strict=True):
        sound, rate = soundfile.read(HERE / f"{name}.{part}.flac", always_2d=True)
        mono = sound[: int(SECONDS * rate)].mean(axis=1)
        power = librosa.feature.melspectrogram(y=mono, sr=rate, n_mels=160, fmin=30, fmax=12000)
        level = librosa.power_to_db(power, ref=np.max)
        librosa.display.specshow(
            level, sr=rate, x_axis="time", y_axis="mel", fmin=30, fmax=12000, vmin=-70, ax=row
        )
        row.set(title=f"{name}.{part}", xlabel="" if part != "mix" else "s", ylabel="Hz")
    path = HERE / f"{name}.png"
    figure.savefig(path, dpi=80)
    return path


if __name__ == "__main__":
    for each in sys.argv[1:] or ["funk"]:
        print(draw(each))
