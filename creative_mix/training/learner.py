"""What learns in a run: weights, their average, the optimizer, and one step of it all."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from creative_mix.errors import ModelFileError, TrainingDataError
from creative_mix.model.adoption import Adoption, adopt
from creative_mix.model.checkpoint import read_weights
from creative_mix.model.system import CreativeMix
from creative_mix.training import monitors
from creative_mix.training.config import TrainingConfig, initial_path
from creative_mix.training.dataset import Batch
from creative_mix.training.losses import total_loss
from creative_mix.training.ranks import Ranks
from creative_mix.training.trainee import Trainee, Weighting

MODEL_PREFIX = "model."


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What came of a step; but for ``selected`` the same on every rank."""

    terms: dict[str, float]
    """Every term of the loss over the whole batch, and their weighted sum as `loss`."""
    gradient_norm: float
    """Before clipping."""
    norms: dict[str, float]
    """The same by part; empty where nobody asked."""
    finite: bool
    """Whether the step was taken."""
    selected: list[tuple[Tensor, Tensor]]
    """Selection weights and bias of this rank's micro-batches."""


class Learner:
    """Model, probes, averaged weights and optimizer.

    Args:
        config: of the run.
        ranks: this process among those of the run.
    """

    def __init__(self, config: TrainingConfig, ranks: Ranks) -> None:
        self.config, self.ranks = config, ranks
        torch.manual_seed(config.seed)
        self.trainee = Trainee(CreativeMix(config.model).train()).to(ranks.device)
        self.adoption: Adoption | None = None
        if config.initial:
            self.adoption = adopt(
                self.trainee.model, read_weights(initial_path(config.initial)).tensors
            )
        self._freeze()
        self.average = {n: p.detach().clone() for n, p in self.trainee.named_parameters()}
        self.optimizer = self._make_optimizer()
        if config.compile:
            self.trainee.model.compile()
        self._parallel: nn.Module = self.trainee
        if ranks.world > 1:
            self._parallel = DistributedDataParallel(self.trainee, broadcast_buffers=False)

    def _freeze(self) -> None:
        names = [name for name, _ in self.trainee.model.named_parameters()]
        for frozen in self.config.frozen:
            if not any(name.startswith(frozen) for name in names):
                raise TrainingDataError(
                    f"frozen={frozen!r}: no part of that name; parts: "
                    f"{', '.join(monitors.parts_of(self.trainee.model))}"
                )
        for name, parameter in self.trainee.model.named_parameters():
            parameter.requires_grad_(not name.startswith(self.config.frozen))

    def _make_optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        if config.optimizer == "sgd":
            return torch.optim.SGD(self.trainee.parameters(), lr=config.learning_rate)
        matrices = [p for p in self.trainee.parameters() if p.ndim > 1]
        vectors = [p for p in self.trainee.parameters() if p.ndim <= 1]
        return torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )

    def learning_rate(self, step: int) -> float:
        """Linear rise, then a cosine down to ``final_rate`` of the peak."""
        config = self.config
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / config.warmup_steps
        done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        low = config.final_rate
        return config.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))

    def uses_known(self, step: int) -> bool:
        """Whether a step takes the known onsets; their share falls linearly to nothing."""
        if not self.config.known_until:
            return False
        share = 1 - step / max(1.0, self.config.known_until * self.config.steps)
        return random.Random(self.config.seed * 1_000_003 + step).random() < share

    def learn(self, step: int, batches: list[Batch], by_part: bool = False) -> StepResult:
        """Take step number ``step`` on this rank's micro-batches; skip it where not finite.

        Args:
            step: from 0.
            batches: of this rank.
            by_part: whether to tell the gradient norm of every part.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        notes = self.ranks.sum([float(sum(batch.has_notes.sum() for batch in batches))])[0]
        own, selected = self.backward(batches, bool(notes) and self.uses_known(step))
        names = list(own)
        totals = dict(zip(names, self.ranks.sum(list(own.values())), strict=True))
        norms = monitors.gradient_norms(self.trainee.model) if by_part else {}
        norm = float(nn.utils.clip_grad_norm_(self.trainee.parameters(), self.config.clip_norm))
        finite = math.isfinite(norm) and math.isfinite(totals["loss"])
        if finite:
            self.optimizer.step()
        self._follow(step + 1)
        return StepResult(totals, norm, norms, finite, selected)

    def backward(
        self, batches: list[Batch], known: bool
    ) -> tuple[dict[str, float], list[tuple[Tensor, Tensor]]]:
        """Gradients of the loss over the whole batch, that of all ranks and micro-steps.

        Every term is a mean over examples, weighted by totals that the ranks add up first: so the
        gradients do not depend on how the batch is split.

        Returns this rank's part of each term, and what its selector chose.
        """
        weightings = [Weighting.of(batch, known) for batch in batches]
        parts = [weighting.totals() for weighting in weightings]
        totals = self.ranks.sum([sum(column) for column in zip(*parts, strict=True)])
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        selected = []
        for number, (batch, weighting) in enumerate(zip(batches, weightings, strict=True)):
            batch = batch.to(self.ranks.device)
            with self._quiet(number < len(batches) - 1):
                each, result = self._parallel(batch, known, self.config.bfloat16)
                terms = weighting.to(self.ranks.device).mean(each, totals)
                loss = total_loss(terms, self.config.loss)
                # DDP takes the mean over the ranks where the sum is wanted.
                (loss * self.ranks.world).backward()
            for name, value in (terms | {"loss": loss}).items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
            selected.append((result.weights.detach(), batch.bias))
        values = torch.stack([value.double() for value in sums.values()]).tolist()
        return dict(zip(sums, values, strict=True)), selected

    def _quiet(self, more: bool) -> contextlib.AbstractContextManager[object]:
        """Keeps the ranks from adding gradients up before the last micro-step."""
        if more and isinstance(self._parallel, DistributedDataParallel):
            quiet: contextlib.AbstractContextManager[object] = self._parallel.no_sync()
            return quiet
        return contextlib.nullcontext()

    @torch.no_grad()
    def _follow(self, steps: int) -> None:
        """Draw the averaged weights after the weights."""
        decay = min(self.config.ema_decay, (1 + steps) / (10 + steps))
        names = list(self.average)
        current = dict(self.trainee.named_parameters())
        torch._foreach_lerp_(
            [self.average[name] for name in names], [current[name] for name in names], 1 - decay
        )

    def averaged_weights(self) -> dict[str, Tensor]:
        """The model's averaged weights by its own names."""
        return {
            name.removeprefix(MODEL_PREFIX): value
            for name, value in self.average.items()
            if name.startswith(MODEL_PREFIX)
        }

    def averaged_model(self) -> CreativeMix:
        """A model with the averaged weights, for evaluation."""
        with torch.random.fork_rng(devices=[]):  # making it must not move the run's own draws
            model = CreativeMix(self.config.model)
        model.load_state_dict(self.averaged_weights(), strict=False)
        return model.to(self.ranks.device).eval()

    def tensors(self) -> dict[str, Tensor]:
        """Weights, average and optimizer, as a checkpoint names them."""
        found: dict[str, Tensor] = {}
        found |= {f"weights.{name}": value for name, value in self.trainee.named_parameters()}
        found |= {f"average.{name}": value for name, value in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            found |= {
                f"optimizer.{index}.{key}": value
                for key, value in state.items()
                if isinstance(value, Tensor)
            }
        return found

    def fits(self, weights: dict[str, Tensor]) -> bool:
        """Whether these are weights of this very model and its probes."""
        own = {name: value.shape for name, value in self.trainee.named_parameters()}
        return own == {name: value.shape for name, value in weights.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Set everything that ``tensors`` gave back.

        Raises:
            ModelFileError: a tensor is missing.
        """
        try:
            for name, parameter in self.trainee.named_parameters():
                parameter.copy_(tensors[f"weights.{name}"])
                self.average[name].copy_(tensors[f"average.{name}"])
        except KeyError as error:
            raise ModelFileError(f"the checkpoint lacks {error.args[0]}") from error
        full = self.optimizer.state_dict()
        found: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                found.setdefault(int(index), {})[key] = value
        full["state"] = found
        self.optimizer.load_state_dict(full)

    def take_over(self, weights: dict[str, Tensor]) -> Adoption:
        """Begin from another model's weights as far as they fit, with a fresh optimizer."""
        self.adoption = adopt(self.trainee.model, weights)
        for name, parameter in self.trainee.named_parameters():
            self.average[name].copy_(parameter.detach())
        return self.adoption
