"""What a run says of itself: loss terms, gradient norms by part, the six weights and shares."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.training.probes import aspect_shares

BRANCHES = tuple(
    f"agent.{source}_extractor.{aspect}"
    for source in ("input", "target")
    for aspect in ("rhythm", "harmony", "timbre")
)
PARTS = (
    "encoder",
    *BRANCHES,
    "agent.component_selector",
    "agent.composer",
    "cascade",
    "drum_rhythm",
    "piano_rhythm",
    "key_reader",
    "decoder",
)

Record = dict[str, dict[str, float]]


def parts_of(model: nn.Module) -> list[str]:
    """The model's parts by the beginning of their parameters' names, each cascade stage apart."""
    names = [name for name, _ in model.named_parameters()]
    found: list[str] = []
    for part in PARTS:
        if part == "cascade":
            stages = {".".join(n.split(".")[:2]) for n in names if n.startswith("cascade.")}
            found.extend(sorted(stages))
        elif any(name.startswith(f"{part}.") for name in names):
            found.append(part)
    return found


@torch.no_grad()
def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Norm of the gradient of every part that learns.

    Of an extractor's branch the convolutions alone count: its norm's scale gets a gradient even
    where nothing flows through the branch.
    """
    norms = {}
    for part in parts_of(model):
        owned = [
            parameter
            for name, parameter in model.named_parameters()
            if name.startswith(f"{part}.")
            and parameter.requires_grad
            and (part not in BRANCHES or parameter.ndim > 1)
        ]
        gradients = [p.grad for p in owned if p.grad is not None]
        if owned:
            norms[part] = (
                float(torch.stack([g.norm() for g in gradients]).norm()) if gradients else 0.0
            )
    return norms


@torch.no_grad()
def selection(weights: Tensor) -> dict[str, float]:
    """Mean of the six selection weights, and the expected component's share in each aspect."""
    values = dict(zip(COMPONENT_NAMES, weights.float().mean((0, 2)).tolist(), strict=True))
    shares = aspect_shares(weights).tolist()
    names = ("rhythm_share", "harmony_share", "timbre_share")
    return values | dict(zip(names, shares, strict=True))


@torch.no_grad()
def departure(weights: Tensor, bias: Tensor) -> tuple[float, float]:
    """How far the selector departs from a uniform choice, and how many frames were looked at.

    The largest relative distance of the six weights from their mean, over the frames without a
    bias, which would move the weights whatever the selector says.

    Shape: weights (B, 6, T), bias (B, 6).
    """
    plain = weights[bias.abs().sum(1) == 0].float()
    relative = plain / plain.mean(1, keepdim=True).clamp(min=1e-12) - 1
    frames = float(plain.shape[0] * plain.shape[2])
    return float(relative.abs().amax(1).sum()) / max(frames, 1.0), frames


@dataclasses.dataclass(frozen=True)
class Vitals:
    """The figures in which a run that learns nothing shows; the same on every rank."""

    step: int
    loss: float
    gradient_norm: float
    novelty: float
    departure: float | None
    """From a uniform selection; None where every example has a bias."""
    weight_sum: float
    """Of the six selection weights, whose sum is 1."""
    gradients: dict[str, float]
    """Norms by part, before clipping."""
    waiting: float
    """Share of time that went into waiting for data since the last look."""


def progress_line(step: int, steps: int, record: Record) -> str:
    """One line for a terminal."""
    terms = " ".join(f"{name}={value:.3f}" for name, value in record["terms"].items())
    weights = "/".join(f"{record['selection'][name]:.2f}" for name in COMPONENT_NAMES)
    norms = " ".join(
        f"{part.replace('agent.', '').replace('_extractor.', '.')}={value:.2g}"
        for part, value in record["gradients"].items()
    )
    speed = record["speed"]
    return (
        f"step {step}/{steps} loss={record['total']['loss']:.4f} {terms} | weights {weights} | "
        f"{speed['steps_per_s']:.2f} steps/s {speed['samples_per_s']:.1f} samples/s "
        f"waiting {100 * speed['waiting']:.0f} % {time_left(steps - step, speed)} left | "
        f"gradients {norms}"
    )


def time_left(steps: int, speed: dict[str, float]) -> str:
    """Hours and minutes that so many steps take at this speed.

    >>> time_left(1000, {"steps_per_s": 0.25})
    '1:07'
    """
    minutes = round(steps / max(speed["steps_per_s"], 1e-9) / 60)
    return f"{minutes // 60}:{minutes % 60:02}"
