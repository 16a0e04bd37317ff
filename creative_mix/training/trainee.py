"""What trains: the model and its probes, with a loss for every example of a batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from creative_mix.model.system import CreativeMix, Result
from creative_mix.training.dataset import Batch
from creative_mix.training.losses import SpectralLoss, supervise
from creative_mix.training.probes import Probes, Strangers

TRUTH_TERMS = frozenset({"log_stft", "convergence", "mel", "onset_envelope", "chroma"})
"""Terms that compare with the truth and need no notes."""
FREE_TERMS = frozenset({"timbre", "balance", "novelty"})
"""Terms that need neither truth nor notes; all others need the notes."""

Terms = dict[str, Tensor]


class Trainee(nn.Module):
    """The model and the probes that train with it; one module, so that DDP wraps it whole."""

    def __init__(self, model: CreativeMix) -> None:
        super().__init__()
        self.model = model
        self.probes = Probes(model.config.component_dim)
        self.strangers = Strangers(model.config.component_dim)
        self.spectral = SpectralLoss()

    def forward(self, batch: Batch, use_known: bool, bfloat16: bool) -> tuple[Terms, Result]:
        """The terms of every example, each (B,), and what the model made."""
        device = batch.drums.device.type
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            known = batch.known() if use_known else None
            result = self.model(batch.drums, batch.piano, batch.bias, known)
        # A kernel for every example is nothing to a CPU, and much to a CUDA device.
        separate = by_vmap if device == "cuda" else by_loop
        return separate(self._terms, result, batch), result

    def _terms(self, result: Result, batch: Batch) -> Terms:
        novelty = self.model.agent.novelty_loss(
            result.agent_output, result.analysis.drum_encoding, result.analysis.piano_encoding
        )
        terms = self.spectral(result.mix[:, 0].float(), batch.truth, batch.counted)
        # A cross-entropy of what is not a number would end the process; the loss must tell instead.
        weights = torch.nan_to_num(result.weights, nan=1 / 6)
        safe = result._replace(weights=weights)
        terms |= supervise(safe, batch, self.probes, self.strangers, novelty)
        return terms | {"novelty": novelty + 0 * result.weights.sum()}


def by_loop(function: Callable[[Any, Any], Terms], *arguments: Any) -> Terms:
    """What a function of batches gives for every example by itself, stacked: (B,)."""
    flat, forms = zip(*(_flatten(argument) for argument in arguments), strict=True)
    rows = zip(*(leaf.split(1) for leaves in flat for leaf in leaves), strict=True)
    found = []
    for row in rows:
        left = list(row)
        examples = []
        for form, leaves in zip(forms, flat, strict=True):
            examples.append(form(left[: len(leaves)]))
            left = left[len(leaves) :]
        found.append(function(*examples))
    return {name: torch.stack([terms[name] for terms in found]) for name in found[0]}


def by_vmap(function: Callable[[Any, Any], Terms], *arguments: Any) -> Terms:
    """The same in one pass over the batch."""
    flat, forms = zip(*(_flatten(argument) for argument in arguments), strict=True)

    def one(*examples: list[Tensor]) -> Terms:
        return function(
            *(
                form([leaf.unsqueeze(0) for leaf in leaves])
                for form, leaves in zip(forms, examples, strict=True)
            )
        )

    terms: Terms = torch.func.vmap(one)(*flat)
    return terms


def _flatten(value: Any) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
    """The tensors of a result or a batch, and what builds its like of others."""
    if not isinstance(value, Batch):
        leaves, form = pytree.tree_flatten(value)
        return leaves, lambda tensors: pytree.tree_unflatten(tensors, form)
    parts = {
        field.name: _flatten_part(getattr(value, field.name)) for field in dataclasses.fields(value)
    }

    def build(tensors: list[Tensor]) -> Batch:
        left, fields = list(tensors), {}
        for name, (leaves, make) in parts.items():
            fields[name] = make(left[: len(leaves)])
            left = left[len(leaves) :]
        return Batch(**fields)

    return [leaf for leaves, _ in parts.values() for leaf in leaves], build


def _flatten_part(value: Any) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
    if isinstance(value, Tensor):
        return [value], lambda tensors: tensors[0]
    return list(vars(value).values()), lambda tensors: type(value)(*tensors)


@dataclasses.dataclass(frozen=True)
class Weighting:
    """How much every example of a batch counts for each kind of term.

    An example weighs by the frames that it counts; what it has no truth or no notes for does not
    count at all. At a step with known strikes an example without notes has no strikes, so its
    sound teaches nothing.

    Shape: each (B,).
    """

    truth: Tensor
    notes: Tensor
    free: Tensor

    @classmethod
    def of(cls, batch: Batch, use_known: bool) -> Weighting:
        """The weighting of a batch."""
        frames = batch.counted.sum(1)
        notes = frames * batch.has_notes
        return cls((notes if use_known else frames) * batch.has_truth, notes, frames)

    def to(self, device: torch.device) -> Weighting:
        """The weighting on another device."""
        return Weighting(*(part.to(device) for part in (self.truth, self.notes, self.free)))

    def totals(self) -> list[float]:
        """The weight of the whole batch for each kind."""
        return [float(part.sum()) for part in (self.truth, self.notes, self.free)]

    def mean(self, terms: Terms, totals: list[float]) -> Terms:
        """The part of this batch in the mean of each term over a larger one of these totals."""
        means = {}
        for name, values in terms.items():
            kind = 0 if name in TRUTH_TERMS else 2 if name in FREE_TERMS else 1
            weights = (self.truth, self.notes, self.free)[kind]
            means[name] = (values * weights).sum() / max(totals[kind], 1e-6)
        return means
