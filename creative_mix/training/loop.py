"""The training loop: the same code for one process and for many."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path

import torch

from creative_mix.errors import ModelFileError, TrainingError
from creative_mix.model.checkpoint import model_metadata, read_weights, save_tensors
from creative_mix.training import monitors
from creative_mix.training.checkpoints import (
    CheckpointFolder,
    NotAStateError,
    State,
    load_state,
    random_state,
    restore_random_state,
)
from creative_mix.training.config import TrainingConfig
from creative_mix.training.dataset import Batch
from creative_mix.training.flags import Flag, Flags
from creative_mix.training.interrupt import Interrupt
from creative_mix.training.inventory import open_stream
from creative_mix.training.journal import Journal
from creative_mix.training.learner import Learner, StepResult
from creative_mix.training.monitors import Record, Vitals
from creative_mix.training.ranks import Ranks
from creative_mix.training.stream import Feed
from creative_mix.training.validation import Shortlist, Validation

MODEL = "model.safetensors"
REFUSED = "refused"


@dataclasses.dataclass
class Clock:
    """Speed, and the share of waiting, since it was last read."""

    begun: float
    step: int
    waited_s: float

    def read(self, step: int, waited_s: float, batch_size: int) -> dict[str, float]:
        """The speed up to this step, from the last reading on."""
        now = time.monotonic()
        elapsed = max(now - self.begun, 1e-9)
        rate = (step - self.step) / elapsed
        waiting = (waited_s - self.waited_s) / elapsed
        self.begun, self.step, self.waited_s = now, step, waited_s
        return {"steps_per_s": rate, "samples_per_s": rate * batch_size, "waiting": waiting}


class Trainer:
    """A run that can be stopped at any step and goes on from there bit for bit.

    Args:
        config: of the run.
        ranks: this process among those of the run.
        strict: whether a red flag ends the run.

    Raises:
        TrainingDataError: there is nothing to learn from.
    """

    def __init__(
        self, config: TrainingConfig, ranks: Ranks | None = None, strict: bool = False
    ) -> None:
        self.config, self.strict = config, strict
        self.ranks = ranks = ranks or Ranks()
        if config.threads:
            torch.set_num_threads(config.threads)
        self.stream, self.inventory = open_stream(config)
        self.feed = Feed(self.stream, config.batch_size, config.accumulate, ranks, config.workers)
        self.validation = (
            Validation(config.validation, config.validation_pairs, ranks)
            if config.validation
            else None
        )
        self.learner = Learner(config, ranks)
        self.shortlist = Shortlist(config.patience)
        self.flags = Flags()
        self.output = Path(config.output)
        self.checkpoints = CheckpointFolder(self.output, config.keep)
        self.step = 0
        self.skipped_in_a_row = 0
        self._clocks = {"report": Clock(0, 0, 0), "look": Clock(0, 0, 0)}

    def train(self, journal: Journal) -> list[Flag]:
        """Run to the last step, saving as the configuration says and at SIGINT and SIGTERM.

        Returns the red flags that went up. When strict, the run ends at the first.

        Raises:
            TrainingError: too many steps in a row were not finite.
        """
        config = self.config
        if self.shortlist.exhausted:
            return []
        if self.validation is not None and self.step == 0:
            journal.sounds(0, self.validation.sources())
        for name in self._clocks:
            self._clocks[name] = Clock(time.monotonic(), self.step, self.feed.waited_s)
        feed = self.feed.steps(self.step, config.steps)
        with Interrupt(self.ranks.world == 1) as interrupt, contextlib.closing(feed):
            for batches in feed:
                flags = self.advance(batches, journal)
                best = self._validate(journal)
                stop = self.ranks.sum([float(interrupt.wanted)])[0] > 0
                ends = stop or bool(flags and self.strict) or self.shortlist.exhausted
                last = self.step == config.steps
                if ends or best or last or self.step % config.save_every == 0:
                    self.save(best)
                if ends and not last:
                    journal.say(self._say_end(stop, bool(flags and self.strict)))
                    break
        return self.flags.raised

    def advance(self, batches: list[Batch], journal: Journal) -> list[Flag]:
        """One step, told of where that is due; the red flags that go up at it.

        Raises:
            TrainingError: it is one skipped step too many.
        """
        config = self.config
        look = (self.step + 1) % config.watch_every == 0
        report = (self.step + 1) % config.log_every == 0
        done = self.learner.learn(self.step, batches, look or report)
        self.step += 1
        journal.tick(self.step)
        if not done.finite:
            self._keep_for_inspection(batches)
        self.skipped_in_a_row = 0 if done.finite else self.skipped_in_a_row + 1
        figures = self._selection(done) if look or report or not done.finite else {}
        if report:
            journal.progress(self.step, self._record(done, figures))
        flags = []
        if look or not done.finite:
            flags = self.flags.look(self._vitals(done, figures))
        for flag in flags:
            journal.flag(flag)
        if self.skipped_in_a_row >= config.bad_steps:
            raise TrainingError(
                f"{self.skipped_in_a_row} steps in a row had a loss or gradient that is not "
                f"finite; the batches are in {self.output / REFUSED}. Lower learning_rate or set "
                "bfloat16 to false, and go on with --resume auto"
            )
        return flags

    def _record(self, done: StepResult, figures: dict[str, float]) -> Record:
        hidden = ("departure", "weight_sum")
        return {
            "total": {
                "loss": done.terms["loss"],
                "gradient_norm": done.gradient_norm,
                "learning_rate": self.learner.learning_rate(self.step - 1),
            },
            "terms": {name: value for name, value in done.terms.items() if name != "loss"},
            "selection": {name: v for name, v in figures.items() if name not in hidden},
            "gradients": done.norms,
            "speed": self._read_clock("report"),
        }

    def _vitals(self, done: StepResult, figures: dict[str, float]) -> Vitals:
        return Vitals(
            step=self.step,
            loss=done.terms["loss"],
            gradient_norm=done.gradient_norm,
            novelty=done.terms["novelty"],
            departure=figures.get("departure"),
            weight_sum=figures["weight_sum"],
            gradients=done.norms,
            waiting=self._read_clock("look")["waiting"],
        )

    def _read_clock(self, name: str) -> dict[str, float]:
        speed = self._clocks[name].read(self.step, self.feed.waited_s, self.config.batch_size)
        means = [value / self.ranks.world for value in self.ranks.sum(list(speed.values()))]
        return dict(zip(speed, means, strict=True))

    def _selection(self, done: StepResult) -> dict[str, float]:
        """What the selectors of all ranks chose, on the average over examples."""
        weights = torch.cat([weights for weights, _ in done.selected])
        bias = torch.cat([bias for _, bias in done.selected])
        chosen = monitors.selection(weights)
        departure, frames = monitors.departure(weights, bias)
        count = float(len(weights))
        sums = self.ranks.sum(
            [count, *(value * count for value in chosen.values())]
            + [float(weights.sum(1).mean()) * count, departure * frames, frames]
        )
        means = [value / sums[0] for value in sums[1 : len(chosen) + 1]]
        figures = dict(zip(chosen, means, strict=True))
        figures["weight_sum"] = sums[-3] / sums[0]
        if sums[-1]:
            figures["departure"] = sums[-2] / sums[-1]
        return figures

    def _keep_for_inspection(self, batches: list[Batch]) -> None:
        folder = self.output / REFUSED
        folder.mkdir(parents=True, exist_ok=True)
        for number, batch in enumerate(batches):
            name = f"step-{self.step:08}.rank-{self.ranks.rank}.{number}.safetensors"
            save_tensors(folder / name, batch.tensors(), {"step": str(self.step)})

    def _say_end(self, stopped: bool, flagged: bool) -> str:
        if flagged:
            return f"stopped at step {self.step}: a red flag is up and the run is strict"
        if stopped:
            return f"stopped at step {self.step}: saved; go on with --resume auto"
        return (
            f"stopped at step {self.step}: {self.config.patience} validations without a better "
            f"mel distance than {self.shortlist.best:.4f}"
        )

    def _validate(self, journal: Journal) -> bool:
        """Validate where it is due; whether this step is the best so far."""
        due = self.step % self.config.validate_every == 0 or self.step == self.config.steps
        if self.validation is None or not due:
            return False
        verdict = self.validation.judge(self.learner.averaged_model())
        best = self.shortlist.take(verdict.scores)
        journal.validation(self.step, verdict.scores, best)
        journal.sounds(self.step, verdict.sounds)
        return best

    def save(self, best: bool = False) -> None:
        """Write the resumable state, and the averaged weights as ``model.safetensors``."""
        states = random_state(self.ranks.device)
        tensors = {}
        for kind, mine in states.items():
            for rank, tensor in enumerate(self.ranks.gather(mine)):
                tensors[f"rng.{rank}.{kind}"] = tensor
        if self.ranks.first:
            about = {
                "step": self.step,
                "examples": self.step * self.config.batch_size,
                "world": self.ranks.world,
                "config": self.config.to_dict(),
                "best_mel": None if self.shortlist.best == float("inf") else self.shortlist.best,
                "validations_since_best": self.shortlist.since,
                "skipped_in_a_row": self.skipped_in_a_row,
            }
            state = State(self.learner.tensors() | tensors, about)
            self.checkpoints.save(state, self.step, best)
            metadata = model_metadata(self.config.model) | {"step": str(self.step)}
            save_tensors(self.output / MODEL, self.learner.averaged_weights(), metadata)
        self.ranks.wait()

    def resume(self, path: str | Path) -> list[str]:
        """Go on from a state of this very model; begin anew from the weights of any other.

        Returns what there is to say about it, line by line.

        Raises:
            ModelFileError: the file is torn or foreign; a whole one before it is named.
        """
        path = Path(path)
        try:
            state = load_state(path)
        except NotAStateError:
            return self._take_over(path)
        except ModelFileError as error:
            if path.suffix == ".safetensors":
                raise self._with_remedy(error) from error
            return self._take_over(path)
        if not self.learner.fits(state.part("weights.")):
            return self._take_over(path)
        self.learner.restore(state.tensors)
        about = state.about
        self.step = int(about["step"])
        best = about.get("best_mel")
        if self._validates_as(about["config"]):
            self.shortlist.best = float("inf") if best is None else best
            self.shortlist.since = about.get("validations_since_best", 0)
        self.skipped_in_a_row = about.get("skipped_in_a_row", 0)
        restore_random_state(state.part(f"rng.{self.ranks.rank}."), self.ranks.device)
        return [f"going on from step {self.step} of {path}", *self._changes(about["config"])]

    def _validates_as(self, before: dict[str, object]) -> bool:
        """Whether a run of another configuration was judged by the same pairs."""
        now = self.config.to_dict()
        return all(before.get(n) == now[n] for n in ("validation", "validation_pairs"))

    def _changes(self, before: dict[str, object]) -> list[str]:
        """Settings that are not what they were, but for those that may change."""
        now = self.config.to_dict()
        free = {"output", "log_every", "save_every", "keep", "tensorboard", "workers", "threads"}
        names = [n for n in before if n in now and n not in free and _listed(now[n]) != before[n]]
        return [f"not what it was: {name}={now[name]!r}, before {before[name]!r}" for name in names]

    def _take_over(self, path: Path) -> list[str]:
        try:
            weights = read_weights(path).tensors
        except ModelFileError as error:
            raise self._with_remedy(error) from error
        adoption = self.learner.take_over(weights)
        if not adoption.kept:
            raise self._with_remedy(
                ModelFileError(f"{path}: none of its {len(weights)} tensors fits this model")
            )
        return [f"{path} is of another model: beginning anew with what fits", *adoption.lines()]

    def _with_remedy(self, error: ModelFileError) -> ModelFileError:
        before = self.checkpoints.newest()
        if before is None:
            return error
        return ModelFileError(f"{error}; the one before it is whole: --resume {before}")


def _listed(value: object) -> object:
    """The value as JSON gives it back."""
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
