"""What a run says of itself: loss terms, gradient norms by part, the six weights and shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.training.probes import aspect_shares

PARTS = (
    "encoder",
    "agent.input_extractor.rhythm",
    "agent.input_extractor.harmony",
    "agent.input_extractor.timbre",
    "agent.target_extractor.rhythm",
    "agent.target_extractor.harmony",
    "agent.target_extractor.timbre",
    "agent.component_selector",
    "agent.composer",
    "cascade",
    "drum_rhythm",
    "piano_rhythm",
    "pitch_reader",
    "decoder",
)


@torch.no_grad()
def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Norm of the gradient of every named part."""
    norms = {}
    for part in PARTS:
        gradients = [
            p.grad
            for name, p in model.named_parameters()
            if name.startswith(part + ".") and p.grad is not None
        ]
        norms[part] = float(torch.stack([g.norm() for g in gradients]).norm()) if gradients else 0.0
    return norms


@torch.no_grad()
def selection(weights: Tensor) -> dict[str, float]:
    """Mean of the six selection weights, and the expected component's share in each aspect."""
    values = dict(zip(COMPONENT_NAMES, weights.float().mean((0, 2)).tolist(), strict=True))
    shares = aspect_shares(weights).tolist()
    names = ("rhythm_share", "harmony_share", "timbre_share")
    return values | dict(zip(names, shares, strict=True))


def progress_line(step: int, steps: int, rate: float, record: dict[str, dict[str, float]]) -> str:
    """One line for a terminal."""
    terms = " ".join(f"{name}={value:.3f}" for name, value in record["terms"].items())
    weights = "/".join(f"{record['selection'][name]:.2f}" for name in COMPONENT_NAMES)
    norms = " ".join(
        f"{part.replace('agent.', '').replace('_extractor.', '.')}={value:.2g}"
        for part, value in record["gradients"].items()
    )
    return (
        f"step {step}/{steps} loss={record['total']['loss']:.4f} {terms} | weights {weights} | "
        f"{rate:.2f} steps/s | gradients {norms}"
    )
