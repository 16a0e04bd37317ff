"""Weights of another model, taken over as far as they fit."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

_WRAPPERS = ("module.", "_orig_mod.", "model.")
_SEED_BRANCH = re.compile(r"\b(rhythm|harmony|timbre)_(conv1|conv2|skip|norm)\b")


@dataclasses.dataclass(frozen=True)
class Adoption:
    """What became of the tensors of a file, and of the parameters of the model."""

    kept: tuple[str, ...]
    """Parameters that took the file's values."""
    dropped: tuple[str, ...]
    """The file's tensors that have no place, each with the reason."""
    new: tuple[str, ...]
    """Parameters that keep their fresh values."""
    share: float
    """Share of the model's parameters, counted in numbers, that were kept."""

    @property
    def whole(self) -> bool:
        """Whether every parameter was kept and nothing dropped."""
        return not (self.dropped or self.new)

    def lines(self) -> list[str]:
        """The report, line by line."""
        told = [
            f"weights: {len(self.kept)} tensors kept, {len(self.dropped)} dropped, "
            f"{len(self.new)} new; {100 * self.share:.2f} % of the parameters preserved"
        ]
        for kind, names in (("dropped", self.dropped), ("new", self.new)):
            told += [f"{kind}: {name}" for name in names[:6]]
            if len(names) > 6:
                told.append(f"{kind}: {len(names) - 6} more")
        return told


def plain_name(name: str, known: Mapping[str, object]) -> str:
    """The model's own name of a tensor: wrappers gone, the seed's names for branches translated.

    >>> plain_name("module.input_extractor.rhythm_conv1.weight", {})
    'agent.input_extractor.rhythm.conv1.weight'
    """
    while name.startswith(_WRAPPERS):
        name = name[name.index(".") + 1 :]
    name = _SEED_BRANCH.sub(r"\1.\2", name)
    if name not in known and re.match(r"(input|target)_extractor|component_selector|compos", name):
        name = f"agent.{name}"
    return name


@torch.no_grad()
def adopt(model: nn.Module, tensors: Mapping[str, Tensor]) -> Adoption:
    """Copy every tensor that fits into the model; the rest of it keeps its fresh values."""
    parameters = dict(model.named_parameters())
    kept, dropped = [], []
    for given, tensor in tensors.items():
        name = plain_name(given, parameters)
        if name not in parameters:
            dropped.append(f"{given} {list(tensor.shape)}: no such part")
        elif parameters[name].shape != tensor.shape:
            dropped.append(
                f"{given} {list(tensor.shape)}: the model's is {list(parameters[name].shape)}"
            )
        else:
            parameters[name].copy_(tensor)
            kept.append(name)
    new = tuple(name for name in parameters if name not in set(kept))
    total = sum(parameter.numel() for parameter in parameters.values())
    share = sum(parameters[name].numel() for name in kept) / total
    return Adoption(tuple(kept), tuple(dropped), new, share)
