"""The same pairs on a Ray cluster of two nodes, whose worker processes are killed."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batchkit import PAIRS, begin, counts, outputs, unfinished, wait_for_pairs
from conftest import Command

from creative_mix import __version__
from creative_mix.batch import BatchOptions, run_batch
from creative_mix.batch.cluster import RayEngine
from creative_mix.batch.worker import Job, WorkerSpec
from creative_mix.errors import ModelFileError
from creative_mix.mixing import Settings

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'creative-mix[ray]'")
if not Path("/proc/self/task").exists():
    pytest.skip("finds the cluster's processes in /proc", allow_module_level=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two machines, each with one core, the second one with a GPU in name only."""
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1, num_gpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def arguments(batch_folders: tuple[Path, Path], standin_model: Path, cluster: Any) -> list[str]:
    given = [*batch_folders, "--pair", "product", "--model", standin_model, "--device", "cpu"]
    return [*map(str, given), "--engine", "ray", "--address", cluster.address]


def cluster_workers() -> set[int]:
    """Return the processes that render for a cluster of this machine."""
    return {
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and b"ray::ClusterWorker" in _command_line(path)
    }


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_killed_workers_lose_nothing_and_the_bytes_are_those_of_one_machine(
    arguments: list[str], local_batch: dict[str, bytes], tmp_path: Path
) -> None:
    process = begin(*arguments, "-o", tmp_path)
    said = wait_for_pairs(process, 2)
    for worker in cluster_workers():
        os.kill(worker, signal.SIGKILL)
    said += wait_for_pairs(process, 7)
    os.kill(max(cluster_workers()), signal.SIGKILL)
    assert process.stderr is not None
    said += process.stderr.read()
    assert process.wait() == 0, said
    assert "a worker was lost" in said
    assert outputs(tmp_path) == local_batch
    assert counts(tmp_path) == (PAIRS, 0, 0, 0)
    assert unfinished(tmp_path) == []


def test_either_engine_goes_on_where_the_other_one_stopped(
    arguments: list[str],
    batch_options: BatchOptions,
    batch_folders: tuple[Path, Path],
    local_batch: dict[str, bytes],
    tmp_path: Path,
) -> None:
    process = begin(*arguments, "-o", tmp_path)
    wait_for_pairs(process, 3)
    started = time.perf_counter()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 130
    assert time.perf_counter() - started < 2.0
    assert "Traceback" not in said
    assert unfinished(tmp_path) == []
    made = outputs(tmp_path)
    assert 3 <= len(made) < PAIRS
    run_batch(*batch_folders, tmp_path, batch_options)
    assert counts(tmp_path) == (PAIRS - len(made), len(made), 0, 0)
    assert outputs(tmp_path) == local_batch


def test_workers_are_on_gpus_where_there_are_some(
    cluster: Any, batch_options: BatchOptions, batch_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no recording")
    for device, expected in (("auto", 1), ("cpu", 2)):
        spec = WorkerSpec(
            Settings(), None, True, device, 1, str(batch_options.model_path), "", __version__
        )
        assert RayEngine(spec, cluster.address).workers == expected
        ray.shutdown()
    on_gpu = dataclasses.replace(
        batch_options,
        engine="ray",
        address=cluster.address,
        workers=None,
        device="auto",
        pair="zip",
    )
    done = run_batch(bad, batch_folders[1] / "keys0.wav", tmp_path / "out", on_gpu)
    assert done.pairs[0].error == (
        f"{bad}: not a recording that can be read; give one of WAV, FLAC, OGG, MP3"
    )


def test_another_model_over_there_is_refused(cluster: Any, batch_options: BatchOptions) -> None:
    spec = WorkerSpec(
        Settings(), None, True, "cpu", 1, str(batch_options.model_path), "0", __version__
    )
    with pytest.raises(ModelFileError, match="not the model that the batch began with"):
        list(RayEngine(spec, cluster.address).run([Job(0, "d", "p", "o", "part")]))


def test_no_cluster_is_one_line(
    command: Command, batch_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    done = command(
        "batch", *batch_folders, "-o", tmp_path, "--engine", "ray", "--address", "127.0.0.1:1"
    )
    assert done.returncode == 1
    assert "no Ray cluster" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_lost_machine_loses_nothing(
    cluster: Any, arguments: list[str], local_batch: dict[str, bytes], tmp_path: Path
) -> None:
    """Last, for the machine is missing afterwards."""
    process = begin(*arguments, "-o", tmp_path)
    wait_for_pairs(process, 4)
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert outputs(tmp_path) == local_batch
