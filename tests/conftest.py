"""Recordings and models that the tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from standin import write_standin

from creative_mix.audio import FloatArray
from creative_mix.renderer import WEIGHTS_PATH

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def standin_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with the real one's interface."""
    return write_standin(tmp_path_factory.mktemp("model") / "standin.onnx")


@pytest.fixture(scope="session")
def new_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with controls, and with outputs that tell the notes."""
    return write_standin(tmp_path_factory.mktemp("model") / "new.onnx", new_form=True)


@pytest.fixture(scope="session")
def model_path(standin_model: Path) -> Path:
    """The model that ships, or the stand-in where none does."""
    return WEIGHTS_PATH if WEIGHTS_PATH.exists() else standin_model


@pytest.fixture(scope="session")
def command() -> Command:
    """Runs the real command in a process of its own."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **variables}
        return subprocess.run(
            [sys.executable, "-m", "creative_mix.cli.main", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def make_drums(sample_rate: int, duration_s: float, channels: int = 1) -> FloatArray:
    """Return noise bursts at 120 beats a minute, the same in every channel.

    Shape: (channels, N).
    """
    random = np.random.default_rng(1)
    count = round(sample_rate * duration_s)
    time = np.arange(count) / sample_rate
    burst = np.exp(-(time % 0.5) * 30) * random.standard_normal(count) * 0.2
    return np.repeat(burst[None].astype(np.float32), channels, axis=0)


def make_piano(sample_rate: int, duration_s: float, channels: int = 2) -> FloatArray:
    """Return a chord that is struck every second and dies away, unlike in each channel.

    Shape: (channels, N).
    """
    time = np.arange(round(sample_rate * duration_s)) / sample_rate
    chord = np.stack(
        [
            sum(
                0.15 * np.sin(2 * np.pi * frequency * time + channel)
                for frequency in (220.0, 277.2, 329.6)
            )
            * np.exp(-(time % 1.0) * 2.0)
            for channel in range(channels)
        ]
    )
    return chord.astype(np.float32)
