"""Red flags: each goes up where its cause is planted, and a healthy run raises none."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torch.nn import functional
from trainingkit import logged, tiny, write_config, write_pairs

from creative_mix.cli.train import train
from creative_mix.errors import TrainingError
from creative_mix.model.agent import Composition, CompositionalCreativeAgent
from creative_mix.model.checkpoint import load_tensors
from creative_mix.model.layers import ContextConv1d
from creative_mix.training.dataset import Batch, Crop
from creative_mix.training.flags import RULES, Flag, Flags
from creative_mix.training.journal import Journal
from creative_mix.training.loop import Trainer
from creative_mix.training.losses import LossWeights
from creative_mix.training.monitors import BRANCHES, Vitals

WITHIN = 50
"""Steps in which a planted fault must show."""

Plant = Callable[[Trainer], None]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def agent_of(trainer: Trainer) -> CompositionalCreativeAgent:
    return trainer.learner.trainee.model.agent


def threshold_novelty(trainer: Trainer) -> None:
    """The seed's first fault: similarity counts only above 0.7."""

    def novelty(self: Any, output: Tensor, x: Tensor, y: Tensor) -> Tensor:
        parts = [functional.cosine_similarity(output, other, 1).mean() for other in (x, y)]
        return sum(functional.relu(part - 0.7) for part in parts) * self.novelty_weight

    agent = agent_of(trainer)
    agent.novelty_loss = MethodType(novelty, agent)


def select_among_channels(trainer: Trainer) -> None:
    """The seed's second fault: a softmax over 384 channels, told as the mean of each type's 64."""
    agent = agent_of(trainer)
    agent.component_selector = nn.Sequential(
        nn.Conv1d(384, 256, 1), nn.LeakyReLU(0.2), nn.Conv1d(256, 384, 1), nn.Softmax(dim=1)
    )

    def select(self: Any, components: Tensor, bias: Tensor | None = None) -> Tensor:
        self.channels = self.component_selector(components.flatten(1, 2)).unflatten(1, (6, 64))
        return self.channels.mean(2)

    def compose(self: Any, components: Tensor, weights: Tensor) -> Composition:
        weighted = (components * self.channels).flatten(1, 2)
        return Composition(self.composer(weighted), components, weights, weighted)

    agent.select, agent.compose = MethodType(select, agent), MethodType(compose, agent)


class Saturated(nn.Module):
    """The seed's third fault: a branch without a skip, its main path driven into saturation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ContextConv1d(128, 128, 7, lookahead=1)
        self.conv2 = ContextConv1d(128, 64, 9, lookahead=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(12 + self.conv2(torch.tanh(12 + self.conv1(x))))


def saturate_branch(trainer: Trainer) -> None:
    agent_of(trainer).target_extractor.harmony = Saturated()


def detach_agent(trainer: Trainer) -> None:
    """Everything that the agent makes is cut off from the loss."""
    agent = agent_of(trainer)
    extract, select, compose = agent.extract, agent.select, agent.compose
    agent.extract = lambda x, y: extract(x, y).detach()
    agent.select = lambda components, bias=None: select(components, bias).detach()
    agent.compose = lambda components, weights: Composition(
        *(part.detach() for part in compose(components, weights))
    )


def freeze_selector_at_uniform(trainer: Trainer) -> None:
    for parameter in agent_of(trainer).component_selector.parameters():
        nn.init.zeros_(parameter.requires_grad_(False))


def poison_batches(trainer: Trainer) -> None:
    batch = trainer.stream.batch

    def poisoned(numbers: Any) -> Batch:
        made = batch(numbers)
        made.piano[0, 0, 5] = math.nan
        return made

    trainer.stream.batch = poisoned  # type: ignore[method-assign]


def poison_gradient(trainer: Trainer) -> None:
    weight = trainer.learner.trainee.model.decoder.get_parameter(
        next(name for name, _ in trainer.learner.trainee.model.decoder.named_parameters())
    )
    weight.register_hook(lambda gradient: gradient / 0.0)


def slow_data(trainer: Trainer) -> None:
    """A source that takes three times as long as the steps themselves."""
    source, learn = trainer.stream.sources[0], trainer.learner.learn
    took = 0.0

    class Slow:
        def crop(self, rng: Any, place: int) -> Crop:
            time.sleep(1.5 * took)  # two crops a step
            return source.crop(rng, place)

    def timed(*arguments: Any) -> Any:
        nonlocal took
        begun = time.monotonic()
        done = learn(*arguments)
        took = time.monotonic() - begun
        return done

    trainer.stream.sources = [Slow()]
    trainer.learner.learn = timed  # type: ignore[method-assign]


def fly(trainer: Trainer, steps: int) -> list[Flag]:
    """The flags that go up in a run of that many steps."""
    trainer.config = dataclasses.replace(trainer.config, steps=steps, save_every=10_000)
    return trainer.train(Journal(trainer.output, steps, lambda _: None))


@pytest.mark.parametrize(
    ("plant", "name", "word"),
    [
        (threshold_novelty, "novelty-zero", "exactly 0"),
        (select_among_channels, "selector-uniform", "sum to 0.01"),
        (freeze_selector_at_uniform, "selector-uniform", "0.0 % of their mean"),
        (saturate_branch, "branch-gradient", "target_extractor.harmony"),
        (detach_agent, "agent-gradient", "agent's gradient norm is 0"),
        (poison_batches, "loss-not-finite", "the step was skipped"),
        (poison_gradient, "gradient-not-finite", "the step was skipped"),
        (slow_data, "data-starvation", "waiting for data"),
    ],
)
def test_a_planted_fault_raises_its_flag(
    plant: Plant, name: str, word: str, pairs: Path, tmp_path: Path
) -> None:
    config = tiny(pairs, tmp_path / "run", steps=500, log_every=100, bad_steps=100)
    trainer = Trainer(config, strict=True)  # a strict run ends at its first flag
    plant(trainer)
    learner = trainer.learner  # it must learn the planted parts, too
    learner.average = {n: p.detach().clone() for n, p in learner.trainee.named_parameters()}
    learner.optimizer = learner._make_optimizer()
    raised = fly(trainer, WITHIN)
    print(name, [flag.step for flag in raised], raised[0].finding if raised else "")
    assert name in [flag.name for flag in raised]
    flag = next(flag for flag in raised if flag.name == name)
    assert word in flag.finding and flag.remedy and flag.step <= WITHIN
    assert name in flag.line() and flag.remedy in flag.line()
    told = [entry for entry in logged(trainer.output) if entry.get("flag") == name]
    assert told and told[0]["step"] == flag.step


@pytest.mark.slow
def test_a_healthy_run_raises_none(pairs: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(pairs, tmp_path / "run", steps=300, log_every=50))
    assert fly(trainer, 300) == []
    assert trainer.step == 300
    losses = [entry["total"]["loss"] for entry in logged(trainer.output)]
    assert losses[-1] < losses[0]


def test_a_step_that_is_not_finite_is_skipped_and_kept(pairs: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(pairs, tmp_path / "run", bad_steps=3, steps=20))
    before = {n: p.detach().clone() for n, p in trainer.learner.trainee.named_parameters()}
    poison_batches(trainer)
    with pytest.raises(TrainingError, match="3 steps in a row"):
        trainer.train(Journal(trainer.output, 20, lambda _: None))
    for name, parameter in trainer.learner.trainee.named_parameters():
        assert torch.equal(parameter, before[name]), name
    kept = sorted((trainer.output / "refused").iterdir())
    assert len(kept) == 3
    tensors, metadata = load_tensors(kept[0])
    assert metadata["step"] == "1" and torch.isnan(tensors["piano"][0, 0, 5])
    assert {"drums", "truth", "drums_onsets.label"} <= tensors.keys()


def test_a_strict_run_ends_with_code_3(pairs: Path, tmp_path: Path) -> None:
    # The pitch reader alone has a loss: the agent gets no gradient.
    weights = {field.name: 0.0 for field in dataclasses.fields(LossWeights)} | {"keys": 1.0}
    config = tiny(pairs, tmp_path / "run", steps=20, loss=LossWeights(**weights), watch_every=1)
    settings = write_config(config, tmp_path / "config.json")
    done = CliRunner().invoke(train, [str(settings), "--strict", "--device", "cpu"])
    assert done.exit_code == 3, done.output
    assert "RED FLAG agent-gradient at step 3" in done.output
    assert (tmp_path / "run" / "last.safetensors").is_file()
    tame = CliRunner().invoke(
        train, [str(settings), "--set", "steps=4", "--force", "--device", "cpu"]
    )
    assert tame.exit_code == 0 and "RED FLAG" in tame.output
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["step"] == 4


def vitals(**changes: Any) -> Vitals:
    healthy = Vitals(
        step=1,
        loss=2.0,
        gradient_norm=1.0,
        novelty=0.1,
        departure=0.4,
        weight_sum=1.0,
        gradients=dict.fromkeys(BRANCHES, 0.1),
        waiting=0.0,
    )
    return dataclasses.replace(healthy, **changes)


def test_a_flag_waits_for_its_looks_and_goes_up_once_until_it_falls() -> None:
    flags = Flags()
    for _ in range(2):
        assert flags.look(vitals(novelty=0.0)) == []
    assert [flag.name for flag in flags.look(vitals(novelty=0.0))] == ["novelty-zero"]
    assert flags.look(vitals(novelty=0.0)) == []
    assert flags.look(vitals()) == []
    again = [flags.look(vitals(novelty=0.0)) for _ in range(3)]
    assert [len(found) for found in again] == [0, 0, 1]


def test_what_cannot_be_told_neither_raises_nor_clears() -> None:
    flags = Flags()
    names = []
    for departure in (0.0, None, 0.0, None, 0.0, 0.0):
        names += [flag.name for flag in flags.look(vitals(departure=departure))]
    assert names == ["selector-uniform"]


def test_every_rule_names_a_remedy() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) == 7
    assert all(len(rule.remedy) > 20 for rule in RULES)
