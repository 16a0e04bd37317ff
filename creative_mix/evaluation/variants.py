"""The torch model with one of its parts taken out, for `creative_mix.evaluation.ablations`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.evaluation.ablations import IndexedRender, shuffled
from creative_mix.evaluation.baselines import Audio
from creative_mix.evaluation.runner import Case
from creative_mix.model.system import Analysis, CreativeMix

Change = Callable[[Analysis, int], Analysis]
Recode = Callable[[Tensor, int], Tensor]


class Variants:
    """Renders of the same cases by the model and by what is left of it without a part.

    Args:
        model: the torch model.
        cases: what to render; all of one length, so that encodings can change places.
    """

    def __init__(self, model: CreativeMix, cases: Sequence[Case]) -> None:
        self.model = model.eval()
        self.cases = cases
        self.partners = shuffled(len(cases))

    def renders(self) -> dict[str, IndexedRender]:
        """Every variant by name, "whole" first."""
        found: dict[str, IndexedRender] = {"whole": self._render}
        found["composed encoding zeroed"] = partial(
            self._render, recode=lambda encoding, _: torch.zeros_like(encoding)
        )
        found["composed encoding of another pair"] = partial(self._render, recode=self._of_partner)
        for place, name in enumerate(COMPONENT_NAMES):
            found[f"{name} zeroed"] = partial(self._render, zeroed=place)
        for stages in range(len(self.model.cascade)):
            found[f"cascade cut to {stages} stages"] = partial(self._render, stages=stages)
        return found

    @torch.inference_mode()
    def _render(
        self,
        index: int,
        recode: Recode | None = None,
        zeroed: int | None = None,
        stages: int | None = None,
    ) -> Audio:
        piano = self._audio(index)[1]
        analysis, weights, output, encoding = self._encode(index, zeroed, stages)
        if recode is not None:
            encoding = recode(encoding, index)
        result = self.model.decode(piano, analysis, weights, output, encoding)
        return np.asarray(result.mix[0].numpy())

    def _audio(self, index: int) -> tuple[Tensor, Tensor]:
        case = self.cases[index]
        return tuple(torch.from_numpy(part).float()[None] for part in (case.drums, case.piano))  # type: ignore[return-value]

    def _encode(
        self, index: int, zeroed: int | None = None, stages: int | None = None
    ) -> tuple[Analysis, Tensor, Tensor, Tensor]:
        analysis = self.model.analyse(*self._audio(index))
        if zeroed is not None:
            components = analysis.components.clone()
            components[:, zeroed] = 0
            analysis = analysis._replace(components=components)
        bias = self.cases[index].bias
        asked = None if bias is None else torch.from_numpy(bias).float()[None]
        weights = self.model.agent.select(analysis.components, asked)
        composition = self.model.agent.compose(analysis.components, weights)
        made = self.model.refine(composition, stages)
        return analysis, weights, composition.output, made

    def _of_partner(self, encoding: Tensor, index: int) -> Tensor:
        other = self._encode(self.partners[index])[3]
        frames = encoding.shape[2]
        return other[:, :, torch.arange(frames) % other.shape[2]]
