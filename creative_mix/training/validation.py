"""Validation inside a run: a few fixed pairs, rendered and scored by the product's own measures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from creative_mix.errors import TrainingDataError
from creative_mix.model.system import CreativeMix
from creative_mix.training.inventory import Inventory, check_pairs
from creative_mix.training.pairfiles import Pair, read_pair
from creative_mix.training.ranks import Ranks

SHOWN = 2
"""Pairs whose sound goes to TensorBoard."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The scores of a validation, and the sound of its first pairs."""

    scores: dict[str, float]
    """Means over the pairs by the measures' names; mel decides which checkpoint is the best."""
    sounds: dict[str, np.ndarray]
    """(N,) by `PAIR/mix`; on the first rank alone."""


class Validation:
    """Scores a model on the first pairs of a folder.

    Args:
        folder: of ready pairs.
        count: how many.
        ranks: they share the pairs.

    Raises:
        TrainingDataError: there are none.
    """

    def __init__(self, folder: str | Path, count: int, ranks: Ranks) -> None:
        self.folder, self.ranks = Path(folder), ranks
        self.inventory = Inventory()
        self.stems = check_pairs(self.folder, self.inventory)[:count]
        if not self.stems:
            raise TrainingDataError(f"{folder}: no usable validation pairs in it")

    def sources(self) -> dict[str, np.ndarray]:
        """What the shown pairs are made of: (N,) by `PAIR/drums`, `PAIR/piano`, `PAIR/truth`."""
        found = {}
        for stem in self.stems[:SHOWN]:
            pair = read_pair(self.folder, stem)
            for part in ("drums", "piano", "truth"):
                found[f"{stem}/{part}"] = getattr(pair, part).mean(0)
        return found

    @torch.inference_mode()
    def judge(self, model: CreativeMix) -> Verdict:
        """Render and score; every rank its share, the means over all."""
        rows: list[dict[str, float]] = []
        sounds = {}
        for index in self.ranks.share(len(self.stems)):
            stem = self.stems[index]
            pair = read_pair(self.folder, stem)
            mix = self._render(model, pair)
            rows.append(score(mix, pair))
            if index < SHOWN and self.ranks.first:
                sounds[f"{stem}/mix"] = mix.mean(0)
        return Verdict(self._mean(rows), sounds)

    def _render(self, model: CreativeMix, pair: Pair) -> np.ndarray:
        device = self.ranks.device
        drums, piano, bias = (
            torch.from_numpy(np.asarray(part, np.float32))[None].to(device)
            for part in (pair.drums, pair.piano, pair.bias)
        )
        mix: np.ndarray = model(drums, piano, bias).mix[0].float().cpu().numpy()
        return mix[:, : pair.truth.shape[1]]

    def _mean(self, rows: Sequence[dict[str, float]]) -> dict[str, float]:
        """Means over all ranks' pairs, of each score over the pairs that have it."""
        sums: list[float] = []
        for name in SCORES:
            values = [row[name] for row in rows if math.isfinite(row[name])]
            sums += [float(np.sum(values)), float(len(values))]
        totals = self.ranks.sum(sums)
        return {
            name: totals[2 * place] / totals[2 * place + 1]
            for place, name in enumerate(SCORES)
            if totals[2 * place + 1]
        }


SCORES = ("mel", "log_stft", "strikes_f50", "truth_chroma")


def score(mix: np.ndarray, pair: Pair) -> dict[str, float]:
    """The measures of `creative_mix.evaluation` that compare with the truth, one pair.

    What is not finite gets a mel distance of 99.
    """
    from creative_mix.evaluation import onsets, scores
    from creative_mix.evaluation.features import Features

    if not np.isfinite(mix).all():
        return dict.fromkeys(SCORES, math.nan) | {"mel": 99.0}
    output, truth = Features(mix), Features(pair.truth)
    return {
        "mel": scores.mel_distance(output, truth),
        "log_stft": scores.log_stft_distance(output, truth),
        "strikes_f50": onsets.onset_f(pair.strikes_s, output.onsets_s, 0.05),
        "truth_chroma": scores.chroma_cosine(output, truth),
    }


class Shortlist:
    """Remembers the best mel distance, and how long ago it was.

    Args:
        patience: validations without a better one after which to stop; 0 for never.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = math.inf
        self.since = 0

    def take(self, scores: dict[str, float]) -> bool:
        """Whether these scores are the best so far."""
        better = scores.get("mel", math.inf) < self.best
        self.since = 0 if better else self.since + 1
        if better:
            self.best = scores["mel"]
        return better

    @property
    def exhausted(self) -> bool:
        """Whether the run should stop."""
        return 0 < self.patience <= self.since
