"""The proof that a streaming file makes, block by block, what the torch model makes at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from creative_mix.constants import HOP_LENGTH
from creative_mix.export.field import receptive_field
from creative_mix.export.parity import TOLERANCE, drifts, percussive
from creative_mix.model.checkpoint import load_model
from creative_mix.stream import Stream

BLOCKS = (1024, 8192)
"""Samples; neither is the export's own."""
FRAMES = 128
"""Length of what is compared: 1.5 s."""

Arrays = tuple[NDArray[np.float32], ...]


def whole(path: str | Path, drums: NDArray[np.float32], piano: NDArray[np.float32]) -> Arrays:
    """Mix, weights and strikes that torch makes at once, with silence around.

    Shape: drums and piano (C, N), N a multiple of 512.
    """
    model = load_model(path)
    behind, ahead = receptive_field(model.config)
    edges = ((0, 0), (0, 0), (behind * HOP_LENGTH, ahead * HOP_LENGTH))
    inputs = [torch.from_numpy(np.pad(sound[None], edges)) for sound in (drums, piano)]
    with torch.inference_mode():
        made = model(*inputs)
    frames = slice(behind, behind + drums.shape[1] // HOP_LENGTH)
    samples = slice(behind * HOP_LENGTH, behind * HOP_LENGTH + drums.shape[1])
    return (
        made.mix[0, :, samples].numpy(),
        made.weights[0, :, frames].numpy(),
        made.strikes[0, frames].numpy(),
    )


def streamed(
    stream: Stream, drums: NDArray[np.float32], piano: NDArray[np.float32], block: int
) -> Arrays:
    """The same, put together from blocks of so many samples and shifted by the latency."""
    stream.reset()
    latency, length = stream.latency_samples, drums.shape[1]
    edges = ((0, 0), (0, latency + block))
    drums, piano = np.pad(drums, edges), np.pad(piano, edges)
    made = []
    for start in range(0, latency + length, block):
        part = slice(start, start + block)
        made.append(stream.process(drums[:, part], piano[:, part]))
    frames = slice(latency // HOP_LENGTH, (latency + length) // HOP_LENGTH)
    return (
        np.concatenate([each.mix for each in made], 1)[:, latency : latency + length],
        np.concatenate([each.weights for each in made], 1)[:, frames],
        np.concatenate([each.strikes for each in made])[frames],
    )


def largest_stream_difference(
    path: str | Path, blocks: tuple[int, ...] | None = None, frames: int = FRAMES
) -> dict[int, float]:
    """Largest difference between the stream and torch, over all outputs, for every block size.

    By default the sizes are BLOCKS, or the one that the file takes.
    """
    stream = Stream(path, "cpu")
    if blocks is None:
        blocks = BLOCKS if stream.block_samples is None else (stream.block_samples,)
    drums = percussive(frames * HOP_LENGTH, stream.channels, 10, 0.2)[0]
    piano = percussive(frames * HOP_LENGTH, stream.channels, 50, 0.5)[0]
    expected = whole(path, drums, piano)
    found = {}
    for block in blocks:
        made = streamed(stream, drums, piano, block)
        found[block] = max(
            float(np.abs(mine - theirs).max()) for mine, theirs in zip(made, expected, strict=True)
        )
    return found


def refuse_stream_drift(
    path: str | Path, tolerance: float = TOLERANCE, name: str | Path | None = None
) -> float:
    """The largest difference at any of the block sizes.

    Parameters
    ----------
    path : the file
    tolerance : the largest difference that is accepted
    name : what errors call the file; by default its path

    Raises
    ------
    ModelFileError : it is above the tolerance
    """
    differences = largest_stream_difference(path)
    worst = max(differences, key=lambda block: differences[block])
    if not differences[worst] <= tolerance:
        where = f"in blocks of {worst} samples"
        raise drifts(name or path, differences[worst], where, tolerance)
    return differences[worst]
