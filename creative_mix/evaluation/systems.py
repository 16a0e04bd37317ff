"""The systems that `evaluate` knows by name: the model, the baselines, the controls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

import creative_mix
from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.errors import OptionError
from creative_mix.evaluation.baselines import BASELINES, CONTROLS, Audio, Render
from creative_mix.evaluation.features import FloatArray
from creative_mix.evaluation.report import MAIN_SYSTEM
from creative_mix.notes import Note
from creative_mix.renderer import Renderer
from creative_mix.trace import Trace

Device = Literal["auto", "cpu", "cuda"]


@dataclass
class _Loaded:
    """The model, and what it said of its last render."""

    renderer: Renderer
    trace: Trace


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
        return self.with_bias(drums, piano, np.zeros(len(COMPONENT_NAMES)))

    def with_bias(self, drums: Audio, piano: Audio, bias: FloatArray) -> Audio:
        """The same under a bias of the selector, six numbers."""
        loaded = self._loaded()
        named = dict(zip(COMPONENT_NAMES, map(float, bias), strict=True))
        rendered = creative_mix.render(
            *(drums, piano, SAMPLE_RATE), bias=named, renderer=loaded.renderer, trace=loaded.trace
        )
        return np.asarray(rendered)

    def last_scores(self) -> dict[str, float]:
        """The selector's mean weights in the last render, and their shares within an aspect."""
        weights = self._loaded().trace.weights
        mean = weights.mean(axis=1, dtype=np.float64) if weights.size else weights.sum(axis=1)
        return component_scores(dict(zip(COMPONENT_NAMES, map(float, mean), strict=True)))

    def last_notes(self) -> list[Note] | None:
        """The notes of the last render, None where the model does not tell them."""
        trace = self._loaded().trace
        return trace.notes() if trace.tells_notes else None

    def _loaded(self) -> _Loaded:
        return _load(self.model, self.device, self.threads)


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
def _load(model: Path | None, device: Device, threads: int) -> _Loaded:
    return _Loaded(Renderer(model, device, threads), Trace())


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
