"""What can be read from each component by a linear probe: the matrix that the names promise.

For every component and every kind of knowledge a ridge regression is fitted on one half of the
pairs and judged on the other: the hits by drum voice and the sounding pitches by the area under
the ROC curve (0.5 is chance), the piano's spectral envelope by the share of variance explained
(0 is chance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH
from creative_mix.evaluation.report import align
from creative_mix.model.system import CreativeMix
from creative_mix.training.losses import envelope_target
from creative_mix.training.pairfiles import Pair
from creative_mix.training.targets import frame_targets

KINDS = ("drum hits by voice", "sounding pitches", "piano's envelope")
_RIDGE = 1.0
Matrix = NDArray[np.float64]


@torch.inference_mode()
def read_frames(model: CreativeMix, pair: Pair) -> tuple[Matrix, list[Matrix]]:
    """Components (6, T, 64) of a pair, and what is known of it: hits, pitches, envelope."""
    drums, piano = (torch.from_numpy(part)[None] for part in (pair.drums, pair.piano))
    analysis = model.analyse(drums, piano)
    components = analysis.components[0].transpose(1, 2).double().numpy()
    targets = frame_targets(pair.hits, pair.piano_notes, -(-pair.piano.shape[1] // HOP_LENGTH))
    envelope = envelope_target(analysis.piano_spectra)[0].T.double().numpy()
    known = [targets.drums.label.T.astype(float), targets.pitches.T.astype(float), envelope]
    return components, known


def probe_matrix(model: CreativeMix, pairs: Sequence[Pair]) -> Matrix:
    """The score of every component (rows) for every kind of knowledge (columns).

    Shape:
        (6, 3), in the order of COMPONENT_NAMES and KINDS.
    """
    frames = [read_frames(model.eval(), pair) for pair in pairs]
    half = len(frames) // 2
    scores = np.zeros((len(COMPONENT_NAMES), len(KINDS)))
    for row in range(len(COMPONENT_NAMES)):
        seen, unseen = (
            np.concatenate([components[row] for components, _ in part])
            for part in (frames[:half], frames[half:])
        )
        for column in range(len(KINDS)):
            answers, wanted = (
                np.concatenate([known[column] for _, known in part])
                for part in (frames[:half], frames[half:])
            )
            if column < 2:  # what never is, or always, teaches nothing
                taught = answers.any(axis=0) & ~answers.all(axis=0)
                answers, wanted = answers[:, taught], wanted[:, taught]
            found = _with_one(unseen) @ _fit(_with_one(seen), answers)
            scores[row, column] = (
                explained_variance(found, wanted) if column == 2 else mean_auc(found, wanted)
            )
    return scores


def _with_one(x: Matrix) -> Matrix:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _fit(x: Matrix, y: Matrix) -> Matrix:
    return np.asarray(np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y))


def mean_auc(scores: Matrix, labels: Matrix) -> float:
    """The area under the ROC curve, mean over the columns that have both answers.

    >>> mean_auc(np.array([[0.1], [0.2], [0.9]]), np.array([[0.0], [0.0], [1.0]]))
    1.0
    >>> mean_auc(np.zeros((4, 1)), np.array([[0.0], [0.0], [1.0], [1.0]]))
    0.5
    """
    areas = []
    for score, label in zip(scores.T, labels.T, strict=True):
        positives = int(label.sum())
        negatives = len(label) - positives
        if not positives or not negatives:
            continue
        above = rankdata(score)[label > 0].sum() - positives * (positives + 1) / 2
        areas.append(above / (positives * negatives))
    return float(np.mean(areas)) if areas else float("nan")


def explained_variance(found: Matrix, wanted: Matrix) -> float:
    """One minus the residual's share of the variance, never below 0."""
    spread = float(np.sum((wanted - wanted.mean(0)) ** 2))
    return max(0.0, 1.0 - float(np.sum((wanted - found) ** 2)) / spread) if spread else 0.0


def probe_table(scores: Matrix) -> str:
    """A Markdown table of the matrix."""
    rows = [["component", *KINDS]]
    rows += [
        [name, *(f"{score:.2f}" for score in row)]
        for name, row in zip(COMPONENT_NAMES, scores, strict=True)
    ]
    return align(rows)
