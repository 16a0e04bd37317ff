"""Several processes: they equal one, and a killed one is replaced."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from ranks_worker import compare
from torch import Tensor
from trainingkit import (
    ENVIRONMENT,
    children,
    ended,
    logged,
    machines,
    start,
    tiny,
    wait_for_step,
    write_config,
    write_pairs,
)

from creative_mix.errors import TrainingDataError
from creative_mix.model.checkpoint import load_tensors
from creative_mix.training.checkpoints import LAST, load_state
from creative_mix.training.config import TrainingConfig
from creative_mix.training.inventory import open_stream
from creative_mix.training.loop import Trainer
from creative_mix.training.ranks import Ranks
from creative_mix.training.stream import Feed, plan_step
from creative_mix.training.trainee import by_loop, by_vmap

STEPS = 20


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("ranks")
    pairs = write_pairs(folder / "pairs", noise=2e-2)
    (pairs / "p1.json").unlink()  # one pair without notes: parts of the batch count unlike
    return tiny(pairs, folder / "run", batch_size=5, steps=STEPS, seed=2)


@pytest.fixture(scope="module")
def alone(config: TrainingConfig) -> dict[str, Tensor]:
    return compare(config, Ranks(), STEPS)


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor], kind: str) -> float:
    """The difference relative to the whole, over all tensors of a kind."""
    names = [name for name in wanted if name.startswith(kind)]
    apart = torch.stack([(found[n].double() - wanted[n].double()).norm() for n in names]).norm()
    return float(apart / torch.stack([wanted[n].double().norm() for n in names]).norm())


@pytest.mark.parametrize("count", [2, 4])
def test_ranks_equal_one_process(
    config: TrainingConfig, alone: dict[str, Tensor], count: int, tmp_path: Path
) -> None:
    settings = write_config(config, tmp_path / "config.json")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", str(Path(__file__).with_name("ranks_worker.py"))]
    done = subprocess.run(
        [*command, str(settings), str(tmp_path / "found.safetensors"), str(STEPS)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found, _ = load_tensors(tmp_path / "found.safetensors")
    assert found.keys() == alone.keys()
    figures = {kind: distance(found, alone, kind) for kind in ("gradient", "sgd", "adamw")}
    weights = [name.removeprefix("sgd.") for name in alone if name.startswith("sgd.")]
    apart = max(float((found[f"sgd.{n}"] - alone[f"sgd.{n}"]).abs().max()) for n in weights)
    moved = max(float((alone[f"begun.{n}"] - alone[f"sgd.{n}"]).abs().max()) for n in weights)
    print(f"{count} ranks: {figures}; sgd moved {moved:.1e} and is {apart:.1e} apart")
    # Rounding alone: 1e-7 to 3e-7. Where a cell's absolute difference is next to nothing, the last
    # bit decides its sign, and each such cell adds 1e-6 and more: seed 1 has one of 4e-5 now.
    assert figures["gradient"] < 1e-5
    assert apart < 1e-5 and moved > 1e-3
    assert figures["adamw"] < 1e-2


def test_micro_steps_equal_one_step(config: TrainingConfig, alone: dict[str, Tensor]) -> None:
    found = compare(dataclasses.replace(config, accumulate=3), Ranks(), 2)
    assert distance(found, alone, "gradient") < 1e-6


def test_every_example_is_some_ranks_and_micro_steps() -> None:
    parts = [plan_step(3, 7, 2, Ranks(rank, 3)) for rank in range(3)]
    assert sorted(n for rank in parts for part in rank for n in part) == list(range(21, 28))
    assert all(len(part) for rank in parts for part in rank)


def test_a_batch_too_small_for_the_ranks_is_refused(config: TrainingConfig) -> None:
    stream, _ = open_stream(config)
    with pytest.raises(TrainingDataError, match="fewer crops than 3 ranks x 2"):
        Feed(stream, 5, 2, Ranks(0, 3), 0)


def test_one_pass_over_a_batch_equals_one_for_each_example(config: TrainingConfig) -> None:
    trainer = Trainer(config)
    trainee, batch = trainer.learner.trainee, trainer.stream.batch([0, 1, 2])
    result = trainee.model(batch.drums, batch.piano, batch.bias)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an operation that vmap takes through one by one
        loop, vmap = (way(trainee._terms, result, batch) for way in (by_loop, by_vmap))
    assert loop.keys() == vmap.keys()
    for name, values in loop.items():
        assert values.shape == (3,)
        torch.testing.assert_close(vmap[name], values, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("agents", [1, 2])
def test_a_killed_rank_is_replaced_and_the_run_ends_where_it_should(
    config: TrainingConfig, tmp_path: Path, agents: int
) -> None:
    output = tmp_path / "run"
    config = dataclasses.replace(config, output=str(output), save_every=3, batch_size=2, steps=20)
    settings = write_config(config, tmp_path / "config.json")
    rendezvous = machines(agents) if agents > 1 else ["--standalone"]
    job = [
        start(settings, "--device", "cpu", ranks=2 // agents, restarts=2, rendezvous=rendezvous)
        for _ in range(agents)
    ]
    wait_for_step(job[-1], output, 5)
    os.kill(children(job[-1].pid)[-1], signal.SIGKILL)
    told = "".join(ended(process, within_s=200) for process in job)
    assert [process.returncode for process in job] == [0] * agents, told
    assert told.count("going on from step") == 1  # at the first restart, not the second
    assert [entry["step"] for entry in logged(output)] == list(range(1, 21))
    state = load_state(output / LAST)
    assert state.about["step"] == 20 and state.about["world"] == 2
    assert {name.split(".")[1] for name in state.part("rng.")} <= {"torch", "plain"}
    assert {name.split(".")[1] for name in state.tensors if name.startswith("rng.")} == {"0", "1"}
