"""The proof that an ONNX file and the torch model loaded from it agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE, STRIKE_THRESHOLD
from creative_mix.errors import ModelFileError
from creative_mix.export.field import LEAST_SAMPLES
from creative_mix.model.checkpoint import load_model
from creative_mix.model.system import CreativeMix

TOLERANCE = 1e-4
"""Largest difference of any sample, of full scale."""
HALF_TOLERANCE = 2e-3
"""The same where networks compute in float16."""
LENGTHS = (LEAST_SAMPLES, 30_001, 3 * SAMPLE_RATE + 17, 8 * SAMPLE_RATE)
"""Samples; none is the export's own."""


def percussive(samples: int, channels: int, seed: int, gap_s: float) -> NDArray[np.float32]:
    """Decaying bursts and tones that start at random times: something for every part to do.

    Shape: (1, C, N).
    """
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / SAMPLE_RATE
    sound = 1e-3 * rng.standard_normal((channels, samples))
    start = 0.0
    while start < time[-1]:
        age = np.maximum(time - start, 0)
        body = np.exp(-age / rng.uniform(0.03, 0.6)) * (time >= start)
        tone = np.sin(2 * np.pi * rng.uniform(60, 900) * age)
        burst = rng.standard_normal(samples) * np.exp(-age / 0.01)
        gains = rng.uniform(0.05, 0.25, (channels, 1))
        sound += gains * body * (tone + rng.uniform(0, 1) * burst)
        start += rng.exponential(gap_s)
    return np.clip(sound, -1, 1)[None].astype(np.float32)


class Agreement(NamedTuple):
    """How ONNX Runtime's results differ from torch's at one length."""

    samples: int
    difference: float
    """Largest, over mix, weights and strikes."""
    moved_strikes: int
    """Frames with a strike in one of the two results alone."""


def strike_frames(strikes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a strike lies: the probability is above the threshold, and no neighbour's is higher.

    Shape: (B, T) -> (B, T).
    """
    padded = np.pad(strikes, ((0, 0), (1, 1)))
    highest = (strikes >= padded[:, :-2]) & (strikes > padded[:, 2:])
    found: NDArray[np.bool_] = highest & (strikes > STRIKE_THRESHOLD)
    return found


def compare(
    path: str | Path, lengths: tuple[int, ...] | None = None, channels: int = 2, batch: int = 1
) -> Iterator[Agreement]:
    """Run an ONNX file beside torch; by default at LENGTHS, or the one that the file takes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = load_model(path)
    if lengths is None:
        only = session.get_inputs()[1].shape[2]
        lengths = (only,) if isinstance(only, int) else LENGTHS
    for length in lengths:
        inputs = {
            "drums": np.concatenate([percussive(length, 2, 10 + i, 0.2) for i in range(batch)]),
            "piano": np.concatenate(
                [percussive(length, channels, 50 + i, 0.5) for i in range(batch)]
            ),
            "bias": np.zeros((batch, len(COMPONENT_NAMES)), np.float32),
        }
        outputs = session.run(["mix", "weights", "strikes"], inputs)
        with torch.inference_mode():
            result = model(*(torch.from_numpy(inputs[name]) for name in inputs))
        expected = [each.numpy() for each in (result.mix, result.weights, result.strikes)]
        moved = strike_frames(outputs[2]) != strike_frames(expected[2])
        difference = max(
            float(np.abs(mine - theirs).max())
            for mine, theirs in zip(outputs, expected, strict=True)
        )
        yield Agreement(length, difference, int(moved.sum()))


def largest_difference(
    path: str | Path, lengths: tuple[int, ...] | None = None, channels: int = 2, batch: int = 1
) -> dict[int, float]:
    """Largest difference between ONNX Runtime and torch, over all outputs, for every length.

    By default the lengths are LENGTHS, or the one that the file takes.
    """
    agreements = compare(path, lengths, channels, batch)
    return {each.samples: each.difference for each in agreements}


def storage_difference(
    path: str | Path, model: CreativeMix, samples: int = 3 * SAMPLE_RATE
) -> float:
    """The largest difference of any sample that the weights' format in a file makes, in torch."""
    drums, piano = (
        torch.from_numpy(percussive(samples, 2, *how)) for how in ((10, 0.2), (50, 0.5))
    )
    with torch.inference_mode():
        stored, given = (each.eval()(drums, piano).mix for each in (load_model(path), model))
    return float((stored - given).abs().max())


def drifts(path: str | Path, difference: float, where: str, tolerance: float) -> ModelFileError:
    """The error of a file that differs from torch by more than is tolerated, and the remedy."""
    return ModelFileError(
        f"{path}: differs from torch by {difference:.2e} {where}, more than {tolerance:g}; "
        "the file is not kept (creative-mix export --tolerance allows more)"
    )


def refuse_drift(
    path: str | Path, tolerance: float = TOLERANCE, name: str | Path | None = None
) -> float:
    """The largest difference at any of the four lengths, or at the file's only one.

    Parameters
    ----------
    path : the file
    tolerance : the largest difference that is accepted
    name : what errors call the file; by default its path

    Raises
    ------
    ModelFileError : it is above the tolerance, or a strike lies in another frame
    """
    agreements = list(compare(path))
    found = [each for each in agreements if not np.isfinite(each.difference)]
    worst = found[0] if found else max(agreements, key=lambda each: each.difference)
    if not worst.difference <= tolerance:
        raise drifts(name or path, worst.difference, f"at {worst.samples} samples", tolerance)
    for each in agreements:
        if each.moved_strikes:
            raise ModelFileError(
                f"{name or path}: {each.moved_strikes} strikes lie elsewhere than in torch at "
                f"{each.samples} samples; the file is not kept"
            )
    return worst.difference
