"""The systems that `evaluate` knows by name: the model, the baselines, the controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

import creative_mix
from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.errors import OptionError
from creative_mix.evaluation.baselines import BASELINES, CONTROLS, Audio, Render
from creative_mix.evaluation.report import MAIN_SYSTEM
from creative_mix.renderer import Block, Renderer

Device = Literal["auto", "cpu", "cuda"]


class WatchedRenderer(Renderer):
    """A renderer that remembers the mean weights of its last render."""

    weights: dict[str, float]

    def render_blocks(self, *args: Any, **options: Any) -> Iterator[Block]:
        """Yield the blocks of `Renderer.render_blocks`, watching their weights."""
        total, frames = np.zeros(len(COMPONENT_NAMES)), 0
        for block in super().render_blocks(*args, **options):
            total += block.weights.sum(axis=1, dtype=np.float64)
            frames += block.weights.shape[1]
            yield block
        mean = total / max(1, frames)
        self.weights = {n: float(w) for n, w in zip(COMPONENT_NAMES, mean, strict=True)}


@dataclass(frozen=True)
class ModelSystem:
    """The product's own path, `creative_mix.render`; the model is loaded once in each process.

    Attributes:
        model: ONNX file, None for the shipped one.
        device: "auto", "cpu" or "cuda".
        threads: of the runtime.
    """

    model: Path | None = None
    device: Device = "cpu"
    threads: int = 1

    def __call__(self, drums: Audio, piano: Audio) -> Audio:
        """The render: drums (1 or 2, N) and piano (C, N) at 44.1 kHz -> (C, N)."""
        renderer = _load(self.model, self.device, self.threads)
        return np.asarray(creative_mix.render(drums, piano, SAMPLE_RATE, renderer=renderer))

    def last_scores(self) -> dict[str, float]:
        """The selector's mean weights in the last render, and their shares within an aspect."""
        return component_scores(_load(self.model, self.device, self.threads).weights)


def component_scores(weights: dict[str, float]) -> dict[str, float]:
    """The weights under `weight_NAME`, and each expected component's share of its aspect.

    Args:
        weights: mean weight by component name.

    >>> found = component_scores({name: 1 / 6 for name in COMPONENT_NAMES})
    >>> found["rhythm_share"]
    0.5
    """
    scores = {f"weight_{name}": weight for name, weight in weights.items()}
    for aspect, ours, other in (
        ("rhythm", "input", "target"),
        ("harmony", "target", "input"),
        ("timbre", "target", "input"),
    ):
        expected, rival = weights[f"{ours}_{aspect}"], weights[f"{other}_{aspect}"]
        scores[f"{aspect}_share"] = expected / max(expected + rival, 1e-12)
    return scores


@lru_cache(maxsize=1)
def _load(model: Path | None, device: Device, threads: int) -> WatchedRenderer:
    renderer = WatchedRenderer(model, device, threads)
    renderer.weights = dict.fromkeys(COMPONENT_NAMES, 0.0)
    return renderer


def choose_systems(
    names: str | None, model: Path | None = None, device: Device = "cpu", threads: int = 1
) -> dict[str, Render]:
    """The systems of a comma-separated list, all of them when None.

    Raises:
        OptionError: a name is unknown.
        CreativeMixError: the model is wanted and cannot be loaded.
    """
    known: dict[str, Render] = {MAIN_SYSTEM: ModelSystem(model, device, threads)}
    known.update(BASELINES)
    known.update(CONTROLS)
    wanted = list(known) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise OptionError(f"--systems {name}: unknown; choose from {', '.join(known)}")
    if MAIN_SYSTEM in wanted:
        _load(model, device, threads)  # A model that cannot be used is said at once.
    return {name: known[name] for name in wanted}
