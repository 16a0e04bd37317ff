"""A whole run, as the command line starts it in every process."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import torch

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.errors import TrainingError
from creative_mix.training.checkpoints import BEST, LAST, step_of
from creative_mix.training.config import TrainingConfig
from creative_mix.training.flags import Flag
from creative_mix.training.journal import Journal
from creative_mix.training.loop import Trainer
from creative_mix.training.memory import keep_freed_memory
from creative_mix.training.ranks import Ranks

AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    flags: tuple[Flag, ...]
    """Red flags that went up."""
    best: Path
    """The best checkpoint, or the last where nothing was validated."""
    first: bool
    """Whether this process is the one that writes and speaks."""
    finished: bool
    """Whether the run came to its end, and not to an interrupt."""


def run(
    config: TrainingConfig,
    resume: str | None = None,
    *,
    device: str = "auto",
    strict: bool = False,
    force: bool = False,
    say: Callable[[str], None] = print,
    live: bool = False,
) -> Outcome:
    """Train as the configuration says, alone or as one of torchrun's processes.

    Args:
        config: of the run.
        resume: a checkpoint to go on from; "auto" for the newest whole one in the output folder,
            if there is any. After a restart by torchrun it is "auto" in any case.
        device: "auto", "cpu" or "cuda".
        strict: whether a red flag ends the run.
        force: whether to begin anew in a folder that holds checkpoints.
        say: takes lines of text.
        live: whether a terminal shows progress in place.

    Raises:
        TrainingError: the output folder holds another run's checkpoints, or the run cannot go on.
    """
    make_ready(config, device)
    ranks = Ranks.join(device)
    try:
        trainer = Trainer(config, ranks, strict)
        journal = Journal(trainer.output, config.steps, say, config.tensorboard, ranks.first, live)
        with contextlib.closing(journal):
            for line in trainer.inventory.lines():
                journal.say(line)
            _begin(trainer, journal, resume, force)
            journal.say(plan_line(trainer))
            flags = trainer.train(journal)
        best = trainer.output / BEST
        return Outcome(
            tuple(flags),
            best if best.is_file() else trainer.output / LAST,
            ranks.first,
            trainer.step == config.steps or trainer.shortlist.exhausted,
        )
    except RuntimeError as error:
        if not ranks.lost(error):
            raise
        raise TrainingError(
            f"rank {ranks.rank} of {ranks.world} has lost the others ({error}); what they say "
            "tells why. --resume auto goes on from the last checkpoint; torchrun does so by itself "
            "with --max-restarts"
        ) from error
    finally:
        ranks.leave()


def make_ready(config: TrainingConfig, device: str) -> None:
    """Set what holds for the whole process and makes its steps faster, before its first tensor."""
    if device == "cpu" or not torch.cuda.is_available():
        keep_freed_memory()
    elif config.bfloat16:
        torch.set_float32_matmul_precision("high")


def plan_line(trainer: Trainer) -> str:
    """What a run is about to do, or why there is nothing to do."""
    config, ranks = trainer.config, trainer.ranks
    if trainer.step >= config.steps:
        return (
            f"nothing to do: this run is at step {trainer.step} of {config.steps}. Raise `steps`, "
            "or begin anew from its weights with `initial` and another `output`"
        )
    if trainer.shortlist.exhausted:
        return (
            f"nothing to do: this run has ended at step {trainer.step}, its `patience` used up. "
            "Raise that, or begin anew from its weights with `initial` and another `output`"
        )
    sizes = [(p.numel(), p.requires_grad) for p in trainer.learner.trainee.model.parameters()]
    learning = sum(size for size, learns in sizes if learns)
    parts = [
        f"steps {trainer.step + 1} to {config.steps}: {config.batch_size} crops of "
        f"{config.crop_frames * HOP_LENGTH / SAMPLE_RATE:.1f} s each",
        f"{learning / 1e6:.1f} of {sum(size for size, _ in sizes) / 1e6:.1f} M parameters learn",
        f"{'bfloat16' if config.bfloat16 else 'float32'} on {ranks.device.type}",
    ]
    if ranks.world > 1 or config.accumulate > 1:
        parts.append(f"{ranks.world} ranks, {config.accumulate} micro-steps")
    return ", ".join(parts)


def _begin(trainer: Trainer, journal: Journal, resume: str | None, force: bool) -> None:
    """Find the state to go on from, and make the output folder ready."""
    newest = trainer.checkpoints.newest()
    given = Path(resume) if resume and resume != AUTO else None
    path = newest if newest and (resume == AUTO or trainer.ranks.restarts) else given
    if trainer.learner.adoption is not None and path is None:
        for line in trainer.learner.adoption.lines():
            journal.say(line)
    for line in trainer.resume(path) if path is not None else ():
        journal.say(line)
    later = trainer.checkpoints.after(trainer.step)
    best = trainer.output / BEST
    dropped = not trainer.step or step_of(best) > trainer.step
    trainer.ranks.wait()  # before the first rank changes anything
    if later and not force:
        raise TrainingError(
            f"{trainer.output}: holds a run up to {later[0].stem}, and this one would begin at "
            f"step {trainer.step}; give --resume auto to go on with it, another `output`, or "
            "--force to drop it"
        )
    if dropped:
        trainer.shortlist.best = math.inf
    if trainer.ranks.first:
        trainer.output.mkdir(parents=True, exist_ok=True)
        trainer.checkpoints.clear()
        for old in later:
            old.unlink()
        if dropped:
            best.unlink(missing_ok=True)
        journal.rewind(trainer.step)
    trainer.ranks.wait()
