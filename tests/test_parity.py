"""The model that ships: batched equals single, mono equals dual mono."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from creative_mix.audio import FloatArray
from creative_mix.constants import SAMPLE_RATE
from creative_mix.renderer import WEIGHTS_PATH

LENGTH = SAMPLE_RATE * 2 // 5
TOLERANCE = 1e-4
"""Of full scale; another shape may take another kernel, which rounds in another order."""

pytestmark = pytest.mark.skipif(
    not WEIGHTS_PATH.exists(), reason="no weights ship with this checkout"
)


@pytest.fixture(scope="module")
def session() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(WEIGHTS_PATH, options, ["CPUExecutionProvider"])


def strokes(batch: int, channels: int, seed: int, gap_s: float) -> FloatArray:
    """Decaying tones that begin at random times, unlike in every channel.

    Shape: (batch, channels, LENGTH).
    """
    random = np.random.default_rng(seed)
    time = np.arange(LENGTH) / SAMPLE_RATE
    out = np.zeros((batch, channels, LENGTH))
    for item in out:
        for start in np.arange(random.uniform(0, gap_s), time[-1], gap_s):
            age = np.maximum(time - start, 0)
            tone = np.sin(2 * np.pi * random.uniform(80, 800) * age) * np.exp(-age / 0.15)
            item += random.uniform(0.1, 0.3, (channels, 1)) * tone * (time >= start)
    return out.astype(np.float32)


def run(session: Any, drums: FloatArray, piano: FloatArray) -> list[FloatArray]:
    bias = np.zeros((len(piano), 6), np.float32)
    made: list[FloatArray] = session.run(None, {"drums": drums, "piano": piano, "bias": bias})
    return made


@pytest.mark.parametrize("piano_channels", [1, 2])
@pytest.mark.parametrize("drum_channels", [1, 2])
@pytest.mark.parametrize("batch", [1, 2, 8])
def test_batched_equals_single(
    session: Any, batch: int, drum_channels: int, piano_channels: int
) -> None:
    drums = strokes(batch, drum_channels, 1, 0.09)
    piano = strokes(batch, piano_channels, 2, 0.17)
    together = run(session, drums, piano)
    assert together[0].shape == piano.shape
    assert np.abs(together[0]).max() > 0.01
    # The first and the last: one run for each would be eight times the work.
    for index in {0, batch - 1}:
        alone = run(session, drums[index : index + 1], piano[index : index + 1])
        for mine, theirs in zip(alone, together, strict=True):
            np.testing.assert_allclose(mine[0], theirs[index], atol=TOLERANCE)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("piano_channels", [1, 2])
def test_mono_drums_equal_dual_mono(session: Any, batch: int, piano_channels: int) -> None:
    drums, piano = strokes(batch, 1, 3, 0.09), strokes(batch, piano_channels, 4, 0.17)
    mono = run(session, drums, piano)
    for mine, theirs in zip(mono, run(session, drums.repeat(2, axis=1), piano), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=TOLERANCE)


@pytest.mark.parametrize("drum_channels", [1, 2])
def test_mono_piano_equals_dual_mono(session: Any, drum_channels: int) -> None:
    drums, piano = strokes(1, drum_channels, 5, 0.09), strokes(1, 1, 6, 0.17)
    mono, dual = run(session, drums, piano), run(session, drums, piano.repeat(2, axis=1))
    np.testing.assert_allclose(mono[0].repeat(2, axis=1), dual[0], atol=TOLERANCE)
    for mine, theirs in zip(mono[1:], dual[1:], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=TOLERANCE)
