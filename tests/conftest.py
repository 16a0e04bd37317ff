"""Models, batches and the command that the tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batchkit import PAIRS, SIDE, outputs, write_folders
from samplekit import write_material
from standin import write_standin

from creative_mix.batch import BatchOptions, run_batch
from creative_mix.renderer import WEIGHTS_PATH

if TYPE_CHECKING:
    from creative_mix.training.instruments import SampledPiano
    from creative_mix.training.material import Material

Command = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure() -> None:
    """Give each of several test processes its share of the cores, before any loads torch.

    Threads of two processes that wait for each other on the same cores take half as long again.
    NumPy is loaded already: what these processes start shall add up with as many threads as they.
    """
    processes, cores = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), os.cpu_count() or 1
    if processes > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(cores))


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


@pytest.fixture(scope="module")
def tiny_material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Made-up pianos, kits and MIDI files."""
    from creative_mix.training.material import Material

    return Material.from_folder(write_material(tmp_path_factory.mktemp("material")))


@pytest.fixture(scope="module")
def tiny_piano(tiny_material: Material) -> SampledPiano:
    """The first of those pianos."""
    return tiny_material.pianos[0].sampled()


@pytest.fixture(scope="session")
def batch_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Recordings that take long enough to be interrupted in."""
    return write_folders(tmp_path_factory.mktemp("recordings"), SIDE, SIDE, duration_s=6.0)


@pytest.fixture(scope="session")
def batch_options(standin_model: Path) -> BatchOptions:
    """How two workers of this machine render every drum loop with every piano."""
    return BatchOptions("product", model_path=standin_model, workers=2, threads=1)


@pytest.fixture(scope="session")
def local_batch(
    batch_folders: tuple[Path, Path],
    batch_options: BatchOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, bytes]:
    """What such a batch makes that is left alone."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert run_batch(*batch_folders, out, batch_options).count("rendered") == PAIRS
    return outputs(out)


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
