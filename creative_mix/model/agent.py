"""The compositional creative agent: extract components, select among them, compose."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.model.config import ModelConfig
from creative_mix.model.layers import ContextConv1d, FrameNorm, TransformerLayer


class ExtractorBranch(nn.Module):
    """Two convolutions with a 1x1 skip and a norm per frame, so that gradient always flows.

    Shape: (B, 128, T) -> (B, 64, T).
    """

    def __init__(self, encoding_dim: int, out_dim: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        first, second = kernels
        self.conv1 = ContextConv1d(encoding_dim, out_dim * 2, first, lookahead=first // 4)
        self.conv2 = ContextConv1d(out_dim * 2, out_dim, second, lookahead=second // 4)
        self.skip = nn.Conv1d(encoding_dim, out_dim, 1)
        self.norm = FrameNorm(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.leaky_relu(self.conv1(x), 0.2)
        hidden = functional.leaky_relu(self.conv2(hidden), 0.2)
        return self.norm(hidden + self.skip(x))


class MultiScaleExtractor(nn.Module):
    """Rhythm, harmony and timbre components of one source, by kernels of growing length.

    Shape: (B, 128, T) -> three tensors of (B, 64, T).
    """

    def __init__(self, encoding_dim: int = 128, output_dim: int = 64) -> None:
        super().__init__()
        self.rhythm = ExtractorBranch(encoding_dim, output_dim, (3, 5))
        self.harmony = ExtractorBranch(encoding_dim, output_dim, (7, 9))
        self.timbre = ExtractorBranch(encoding_dim, output_dim, (15, 21))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.rhythm(x), self.harmony(x), self.timbre(x)


class Composer(nn.Module):
    """A transformer over the weighted components.

    Shape: (B, 384, T) -> (B, 128, T).
    """

    def __init__(self, config: ModelConfig, in_dim: int) -> None:
        super().__init__()
        width = config.composer_width
        self.enter = nn.Conv1d(in_dim, width, 1)
        self.layers = nn.ModuleList(
            TransformerLayer(
                width,
                config.attention_heads,
                config.attention_lookback,
                config.attention_lookahead,
            )
            for _ in range(config.composer_layers)
        )
        self.leave = nn.Conv1d(width, config.encoding_dim, 1)
        self.norm = FrameNorm(config.encoding_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for layer in self.layers:
            x = layer(x)
        return self.norm(self.leave(x))


class Composition(NamedTuple):
    """What the agent made of two encodings, with the parts it is made of."""

    output: Tensor
    """The composed encoding, (B, 128, T)."""
    components: Tensor
    """The six components before weighting, (B, 6, 64, T), in the order of COMPONENT_NAMES."""
    weights: Tensor
    """The selection weights, (B, 6, T), summing to 1 over the six."""
    selected: Tensor
    """The components as they were weighted, (B, 384, T): what the cascade sees of the sources."""


class CompositionalCreativeAgent(nn.Module):
    """Composes a new encoding from components of two sources.

    ``agent(x, y)`` gives ``(output, novelty_loss)`` for two (B, 128, T) encodings, x of the drums
    (input) and y of the piano (target).

    Parameters
    ----------
    encoding_dim : features of an encoding frame
    config : sizes of the parts; the defaults are those of the shipped weights
    """

    def __init__(self, encoding_dim: int = 128, config: ModelConfig | None = None) -> None:
        super().__init__()
        config = config or ModelConfig(encoding_dim=encoding_dim)
        self.novelty_weight = config.novelty_weight
        self.component_dim = config.component_dim
        dim = config.component_dim
        self.input_extractor = MultiScaleExtractor(encoding_dim, dim)
        self.target_extractor = MultiScaleExtractor(encoding_dim, dim)
        self.component_selector = nn.Sequential(
            nn.Conv1d(dim * 6, 256, 1), nn.LeakyReLU(0.2), nn.Conv1d(256, 6, 1)
        )
        self.composer = Composer(config, dim * 6)

    def extract(self, x: Tensor, y: Tensor) -> Tensor:
        """The six components of two encodings: 2 x (B, 128, T) -> (B, 6, 64, T)."""
        return torch.stack([*self.input_extractor(x), *self.target_extractor(y)], 1)

    def select(self, components: Tensor, bias: Tensor | None = None) -> Tensor:
        """Selection weights of (B, 6, 64, T) and a bias (B, 6) or (B, 6, T): -> (B, 6, T)."""
        logits = self.component_selector(components.flatten(1, 2)).float()
        if bias is not None:
            logits = logits + (bias.unsqueeze(2) if bias.ndim == 2 else bias)
        return torch.softmax(logits, 1)

    def compose(self, components: Tensor, weights: Tensor) -> Composition:
        """Weigh the components and compose them."""
        selected = (components * weights.unsqueeze(2)).flatten(1, 2) * 6.0
        return Composition(self.composer(selected), components, weights, selected)

    def novelty_loss(self, output: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Mean of the output's cosine similarities to both sources: always with gradient."""
        similarity = functional.cosine_similarity(output, x, 1).mean()
        similarity = similarity + functional.cosine_similarity(output, y, 1).mean()
        return similarity * 0.5 * self.novelty_weight

    def forward(self, x: Tensor, y: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        components = self.extract(x, y)
        composition = self.compose(components, self.select(components, bias))
        return composition.output, self.novelty_loss(composition.output, x, y)

    @torch.no_grad()
    def get_component_statistics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Mean selection weight of each component type, under ``NAME_weight``; they sum to 1."""
        weights = self.select(self.extract(x, y)).mean((0, 2))
        return {
            f"{name}_weight": float(weight)
            for name, weight in zip(COMPONENT_NAMES, weights, strict=True)
        }


class CascadeStage(nn.Module):
    """One refinement: sees both sources as they were selected and what was made, and adds to it.

    The sources come through the selector: a stage that saw the encodings themselves would make
    the selection a matter of taste (with them, taking input_rhythm out cost nothing).

    Shape: selected (B, 384, T) and made (B, 128, T) -> (B, 128, T).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.composer_width
        self.enter = nn.Conv1d(6 * config.component_dim + config.encoding_dim, width, 1)
        self.layer = TransformerLayer(
            width, config.attention_heads, config.attention_lookback, config.attention_lookahead
        )
        self.leave = nn.Conv1d(width, config.encoding_dim, 1)
        self.scale = nn.Parameter(torch.full((config.encoding_dim, 1), 0.5))
        self.norm = FrameNorm(config.encoding_dim)

    def forward(self, selected: Tensor, made: Tensor) -> Tensor:
        hidden = self.layer(self.enter(torch.cat([selected, made], 1)))
        return self.norm(made + self.scale * self.leave(hidden))
