"""Sizes of the model, and the receptive field that follows from them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

_UNNAMED: dict[str, Any] = {"decoder_expansion": 3, "key_expansion": 2}
"""Sizes of files that do not name them, for they could not be chosen then."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes of every part; the defaults are those of the weights that ship."""

    encoding_dim: int = 128
    """Features of an encoding frame."""
    component_dim: int = 64
    """Features of each of the six components."""
    encoder_width: int = 256
    """Channels inside the encoder."""
    encoder_blocks: int = 3
    """ConvNeXt blocks of the encoder."""
    composer_width: int = 256
    """Channels inside the composer and the cascade stages."""
    composer_layers: int = 2
    """Transformer layers of the composer."""
    cascade_stages: int = 2
    """Refinement stages after the agent."""
    attention_heads: int = 4
    """Heads of every attention layer."""
    attention_lookback: int = 32
    """Frames that an attention layer sees behind each frame; also the length of its blocks."""
    attention_lookahead: int = 1
    """Frames that an attention layer sees ahead of each frame."""
    decoder_width: int = 384
    """Channels inside the decoder."""
    decoder_blocks: int = 4
    """ConvNeXt blocks of the decoder."""
    decoder_expansion: int = 5
    """Channels inside such a block, relative to the decoder's."""
    refiner_bins: int = 512
    """Lowest STFT bins whose gains are refined bin by bin."""
    refiner_width: int = 32
    """Channels of that refinement."""
    key_width: int = 320
    """Channels inside the reader of the piano's keys."""
    key_expansion: int = 3
    """Channels inside one of its blocks, relative to those."""
    strike_window: int = 288
    """Frames behind within which a drum hit can still be the last strike of a voice."""
    attack_window: int = 368
    """Frames behind a strike within which the piano's attack is looked for."""
    novelty_weight: float = 1.0
    """Factor on the novelty loss that the agent returns; the training loss weighs it again."""

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The sizes that a file of weights names.

        >>> ModelConfig.from_json('{"key_width": 32}').key_expansion
        2
        """
        return cls(**_UNNAMED | json.loads(text))
