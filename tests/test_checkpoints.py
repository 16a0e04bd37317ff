"""Checkpoints: whole or not there, refused with a reason, and a run goes on from them exactly."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from trainingkit import logged, start, tiny, wait_for_step, write_config, write_pairs

from creative_mix.errors import ModelFileError, TrainingError
from creative_mix.model.checkpoint import load_model, load_tensors, save_tensors
from creative_mix.training.checkpoints import (
    BEST,
    LAST,
    CheckpointFolder,
    State,
    load_state,
    random_state,
    restore_random_state,
)
from creative_mix.training.config import TrainingConfig
from creative_mix.training.loop import Trainer
from creative_mix.training.running import run

KILLS = int(os.environ.get("CREATIVE_MIX_KILLS", "2"))
"""How often the run of the kill test is killed; its length grows with it."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A run of four steps with a checkpoint at every one, of which two are kept."""
    output = tmp_path_factory.mktemp("trained") / "run"
    config = tiny(
        pairs,
        output,
        steps=4,
        save_every=1,
        keep=2,
        validation=str(pairs),
        validation_pairs=1,
        validate_every=2,
    )
    run(config, device="cpu", say=lambda _: None)
    return config


def state_of(step: int) -> State:
    return State({"weights.a": torch.full((3,), float(step))}, {"step": step})


def test_newest_few_last_and_best_are_kept(trained: TrainingConfig) -> None:
    folder = Path(trained.output)
    names = {path.name for path in folder.glob("*.safetensors")}
    numbered = {"step-00000003.safetensors", "step-00000004.safetensors"}
    assert names == numbered | {LAST, BEST, "model.safetensors"}
    assert load_state(folder / LAST).about["step"] == 4
    assert load_state(folder / BEST).about["step"] in (2, 4)
    assert not list(folder.glob("*.tmp"))


def test_a_state_says_all_that_a_run_goes_on_from(trained: TrainingConfig) -> None:
    state = load_state(Path(trained.output) / LAST)
    assert {"step", "examples", "world", "config", "best_mel"} <= set(state.about)
    assert TrainingConfig.from_dict(state.about["config"]) == trained
    kinds = {name.split(".")[0] for name in state.tensors}
    assert kinds == {"weights", "average", "optimizer", "rng"}
    assert state.part("rng.0.").keys() == {"torch", "plain"}
    # Exporting takes the averaged weights of a state.
    model = load_model(Path(trained.output) / LAST)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, state.tensors[f"average.model.{name}"]), name


def test_random_generators_go_on_where_they_were() -> None:
    cpu = torch.device("cpu")
    states = random_state(cpu)
    drawn = random.random(), torch.rand(3)
    restore_random_state(states, cpu)
    assert random.random() == drawn[0]
    assert torch.equal(torch.rand(3), drawn[1])
    again = random_state(cpu)
    assert states["plain"].shape == again["plain"].shape


def test_a_torn_file_is_refused_and_the_one_before_it_named(
    trained: TrainingConfig, tmp_path: Path
) -> None:
    whole = (Path(trained.output) / LAST).read_bytes()
    torn = Path(trained.output) / "torn.safetensors"
    changed = bytearray(whole)
    changed[-100] ^= 1
    for content, reason in (
        (whole[: len(whole) // 2], "not a readable"),
        (bytes(changed), "damaged"),
        (b"hello", "not a readable"),
    ):
        torn.write_bytes(content)
        with pytest.raises(ModelFileError, match=reason) as raised:
            Trainer(trained).resume(torn)
        assert "the one before it is whole: --resume" in str(raised.value)
        assert "last.safetensors" in str(raised.value)
    torn.unlink()


def test_a_torn_last_falls_back_to_the_one_before(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2):
        newest = folder.save(state_of(step), step)
    content = newest.read_bytes()
    newest.write_bytes(content[:-1])  # `last` is a link to it
    found = folder.newest()
    assert found is not None and found.name == "step-00000001.safetensors"


def test_a_step_that_has_no_second_name_yet_is_the_newest(
    trained: TrainingConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained.output, folder)
    (folder / LAST).unlink()
    os.link(folder / "step-00000003.safetensors", folder / LAST)
    assert CheckpointFolder(folder).newest() == folder / "step-00000004.safetensors"
    lines: list[str] = []
    config = dataclasses.replace(trained, output=str(folder))
    run(config, "auto", device="cpu", say=lines.append)
    assert any("nothing to do: this run is at step 4 of 4" in line for line in lines)


def test_the_best_of_a_run_that_is_dropped_goes_with_it(
    trained: TrainingConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained.output, folder)
    (folder / BEST).unlink()
    os.link(folder / "step-00000004.safetensors", folder / BEST)
    config = dataclasses.replace(trained, output=str(folder), steps=3)
    start = str(folder / "step-00000003.safetensors")
    outcome = run(config, start, device="cpu", force=True, say=lambda _: None)
    assert not (folder / BEST).exists() and outcome.best == folder / LAST


def test_other_validation_pairs_have_another_best(trained: TrainingConfig) -> None:
    for change, kept in (({}, True), ({"validation_pairs": 2}, False)):
        trainer = Trainer(dataclasses.replace(trained, **change))
        trainer.resume(Path(trained.output) / LAST)
        assert (trainer.shortlist.best < float("inf")) is kept


def test_a_foreign_file_is_refused(trained: TrainingConfig, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_tensors(foreign, {"bert.pooler": torch.zeros(2)}, {})
    with pytest.raises(ModelFileError, match="none of its 1 tensors fits"):
        Trainer(dataclasses.replace(trained, output=str(tmp_path / "new"))).resume(foreign)
    newer = tmp_path / "newer.safetensors"
    tensors, metadata = load_tensors(Path(trained.output) / LAST)
    save_tensors(newer, tensors, metadata | {"format_version": "99"})
    with pytest.raises(ModelFileError, match="format 99"):
        Trainer(trained).resume(newer)


def test_a_state_of_the_first_format_goes_on(trained: TrainingConfig, tmp_path: Path) -> None:
    state = load_state(Path(trained.output) / LAST)
    tensors = {name: t for name, t in state.tensors.items() if not name.startswith("rng.")}
    old = tmp_path / "old.safetensors"
    save_tensors(old, tensors, {"step": "4", "config": json.dumps(state.about["config"])})
    trainer = Trainer(trained)
    assert trainer.resume(old) == [f"going on from step 4 of {old}"]
    for name, tensor in trainer.learner.tensors().items():
        assert torch.equal(tensor, tensors[name]), name


def test_another_run_is_not_written_over(trained: TrainingConfig) -> None:
    with pytest.raises(TrainingError, match="--resume auto"):
        run(trained, device="cpu", say=lambda _: None)
    with pytest.raises(TrainingError, match="--force"):
        run(trained, str(Path(trained.output) / "step-00000003.safetensors"), device="cpu")
    assert load_state(Path(trained.output) / LAST).about["step"] == 4


def test_what_has_changed_since_is_said(trained: TrainingConfig) -> None:
    trainer = Trainer(dataclasses.replace(trained, learning_rate=1e-5))
    told = trainer.resume(Path(trained.output) / LAST)
    assert told[0].startswith("going on from step 4")
    assert told[1:] == ["not what it was: learning_rate=1e-05, before 0.0008"]


def test_a_stop_by_signal_saves_and_ends_well(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    settings = write_config(tiny(pairs, output, steps=500), tmp_path / "config.json")
    for number, signum in enumerate((signal.SIGTERM, signal.SIGINT)):
        process = start(settings, "--resume", "auto")
        begun = [entry["step"] for entry in logged(output)]
        wait_for_step(process, output, (begun[-1] if begun else 0) + 2)
        process.send_signal(signum)
        told, _ = process.communicate(timeout=120)
        assert process.returncode == 0, told
        assert "saved; go on with --resume auto" in told
        assert ("going on from step" in told) == (number > 0)
        assert load_state(output / LAST).about["step"] == logged(output)[-1]["step"]


def curve(folder: Path) -> list[tuple[int, float]]:
    return [(entry["step"], entry["total"]["loss"]) for entry in logged(folder)]


def fork(config: TrainingConfig) -> multiprocessing.process.BaseProcess:
    """A process that trains; forked, so that it need not import everything again."""
    process = multiprocessing.get_context("fork").Process(
        target=run, args=(config, "auto"), kwargs={"device": "cpu", "say": lambda _: None}
    )
    process.start()
    return process


def test_a_killed_run_goes_on_bit_for_bit(pairs: Path, tmp_path: Path) -> None:
    steps = 4 + 4 * KILLS
    through, killed = tmp_path / "through", tmp_path / "killed"
    common = {"steps": steps, "save_every": 3, "warmup_steps": 5}
    whole = fork(tiny(pairs, through, **common))
    whole.join()
    assert whole.exitcode == 0
    config = tiny(pairs, killed, **common)
    rng = random.Random(KILLS)
    done, lost = 0, []
    for _ in range(KILLS):
        process = fork(config)
        wanted = min(done + rng.randrange(1, 6), steps - 1)
        while process.is_alive() and max([0, *steps_of(killed)]) < wanted:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.1))  # anywhere inside a step or a save
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        found = CheckpointFolder(killed).newest()
        done = load_state(found).about["step"] if found else 0
        lost.append(steps_of(killed)[-1] - done)
    print(f"{KILLS} kills, steps lost at each: {lost}")
    assert max(lost) <= 3 and sum(lost) > 0
    process = fork(config)
    process.join()
    assert process.exitcode == 0
    assert curve(killed) == curve(through)
    assert steps_of(killed) == list(range(1, steps + 1))
    one, two = (load_state(folder / LAST).tensors for folder in (through, killed))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if not name.startswith("rng."):
            assert torch.equal(tensor, two[name]), name


def steps_of(folder: Path) -> list[int]:
    return [step for step, _ in curve(folder)]
