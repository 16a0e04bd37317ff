"""What the command says to someone who is about to train for a week."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_model import SMALL
from trainingkit import tiny, write_pairs

from creative_mix.cli.train import train
from creative_mix.errors import TrainingDataError
from creative_mix.model.checkpoint import model_metadata, save_tensors
from creative_mix.model.config import ModelConfig
from creative_mix.model.system import CreativeMix
from creative_mix.training.config import LossWeights, TrainingConfig
from creative_mix.training.learner import Learner
from creative_mix.training.ranks import Ranks
from creative_mix.training.running import run


def test_every_setting_is_told_with_its_default_and_meaning() -> None:
    done = CliRunner().invoke(train, ["--settings"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    told = {}
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            key, _, default = line.partition(" = ")
            told[key] = json.loads(default)
            assert below.startswith("    ") and below.strip(), line
    for kind, prefix in ((TrainingConfig, ""), (LossWeights, "loss."), (ModelConfig, "model.")):
        for field in dataclasses.fields(kind):
            if not dataclasses.is_dataclass(field.default):
                default = json.loads(json.dumps(field.default))
                assert told.pop(f"{prefix}{field.name}") == default
    assert not told


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be above 0"),
        ({"ema_decay": 1.5}, "ema_decay=1.5: must be 0 to 1"),
        ({"warmup_steps": -1}, "warmup_steps=-1: must be 0 or more"),
        ({"patience": 3}, "patience=3: needs `validation`"),
        ({"loss": 3}, "loss: must be a JSON object"),
        ({"model": {"encoder_width": 0}}, r"model\.encoder_width=0: must be 1 or more"),
        ({"model": {"attention_heads": 7}}, "must divide composer_width, 256"),
    ],
)
def test_a_figure_that_no_run_can_have_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(TrainingDataError, match=reason):
        TrainingConfig.from_dict({"pairs": "data", **settings})


@pytest.mark.parametrize("text", ["[]", '{"loss": 3}', '{"pairs": "data"'])
def test_a_file_that_is_no_configuration_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(TrainingDataError, match=r"JSON"):
        TrainingConfig.from_file(path, {"loss.mel": "2"})


def test_a_size_beside_initial_leaves_the_others_its_own(tmp_path: Path) -> None:
    weights, path = tmp_path / "small.safetensors", tmp_path / "config.json"
    model = CreativeMix(SMALL)
    save_tensors(weights, dict(model.named_parameters()), model_metadata(SMALL))
    path.write_text(json.dumps({"pairs": "data", "initial": str(weights)}))
    assert TrainingConfig.from_file(path).model == SMALL
    changed = TrainingConfig.from_file(path, {"model.novelty_weight": "0.5"}).model
    assert changed == dataclasses.replace(SMALL, novelty_weight=0.5)


def test_no_known_strikes_means_none(tmp_path: Path) -> None:
    config = tiny(write_pairs(tmp_path / "pairs"), tmp_path / "run", known_until=0.0)
    learner = Learner(config, Ranks())
    assert not any(learner.uses_known(step) for step in range(10))


def test_a_run_says_what_it_will_do_and_when_there_is_nothing(tmp_path: Path) -> None:
    config = tiny(write_pairs(tmp_path / "pairs"), tmp_path / "run", steps=1, frozen=("decoder",))
    lines: list[str] = []
    run(config, device="cpu", say=lines.append)
    (plan,) = (line for line in lines if line.startswith("steps 1 to 1: "))
    assert "2 crops of 0.4 s each" in plan and "float32 on cpu" in plan
    learning, whole = plan.split("each, ")[1].split(" M parameters")[0].split(" of ")
    assert 0 < float(learning) < float(whole)
    assert "0:00 left" in lines[-1]
    lines.clear()
    run(config, "auto", device="cpu", say=lines.append)
    assert lines[-1].startswith("nothing to do: this run is at step 1 of 1. Raise `steps`")
