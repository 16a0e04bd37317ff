"""The receptive field, counted from the sizes of the layers; a test measures it by perturbation."""

from __future__ import annotations

import math

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.model.config import ModelConfig
from creative_mix.model.decoder import decoder_field
from creative_mix.model.origins import STRUCK_WITHIN_FRAMES, BeginReader
from creative_mix.model.pitch import KeyReader
from creative_mix.model.refiner import DecayLimiter, GainRefiner
from creative_mix.model.restrike import UNSTRUCK_S
from creative_mix.model.ringing import CONTEXT_FRAMES

LEAST_SAMPLES = 2048
"""Shortest input of the graph."""
_SPECTRUM = (2, 2)  # a window of 2048 around a hop of 512, for analysis as for synthesis
_RHYTHM_HEAD = (1, 1)
_PEAK = (1, 1)


def _sum(*parts: tuple[int, int]) -> tuple[int, int]:
    return sum(p[0] for p in parts), sum(p[1] for p in parts)


def receptive_field(config: ModelConfig) -> tuple[int, int]:
    """Frames behind and ahead that a frame of the output depends on.

    The longest way of the model that ships leads from the piano through the reader of its keys, and
    back over the strike and the attack windows to the keys that an attack began.
    """
    unstruck = math.ceil(UNSTRUCK_S * SAMPLE_RATE / HOP_LENGTH)
    return _field(config, config.strike_window, config.attack_window, unstruck, CONTEXT_FRAMES)


def settling_frames(config: ModelConfig) -> int:
    """Frames of silence after which more of it change nothing.

    Silence strikes nothing, so nothing leads back over the windows of strikes and attacks: before
    the start of a recording no more context than this is needed. A voice that was never struck
    looks farther back, but to the first frame at most, which is as silent as those before it.
    """
    return _field(config, 0, 0, 0, 0)[0]


def _field(
    config: ModelConfig, strike_window: int, attack_window: int, unstruck: int, rings: int
) -> tuple[int, int]:
    encoder = _sum(_SPECTRUM, (4 * config.encoder_blocks, 2 * config.encoder_blocks))
    timbre = ((15 - 1 - 15 // 4) + (21 - 1 - 21 // 4), 15 // 4 + 21 // 4)
    layers = config.composer_layers + config.cascade_stages
    attention = (layers * config.attention_lookback, layers * config.attention_lookahead)
    encoding = _sum(encoder, timbre, attention)
    struck = _sum(encoding, _PEAK, (max(strike_window, rings), 1))
    ended = _sum(KeyReader.FIELD, (rings, 0))
    rhythm = _sum(encoder, (3, 1), _RHYTHM_HEAD, _PEAK)
    attack = _sum(rhythm, (strike_window + attack_window, STRUCK_WITHIN_FRAMES + 1))
    read = _sum(
        KeyReader.FIELD,
        (strike_window + attack_window + 2, STRUCK_WITHIN_FRAMES + 2),
    )
    reach = BeginReader.REACH
    begun = _sum(
        KeyReader.FIELD,
        (reach + strike_window + attack_window, reach + STRUCK_WITHIN_FRAMES + 1),
    )
    # An attack that a strike plays, or that of a strike which there has not been.
    played = max(strike_window + attack_window + 2, unstruck)
    held = _sum(
        _SPECTRUM,
        (GainRefiner.BEFORE_FRAMES, DecayLimiter.ATTACK_FRAMES - 1),
        (played, STRUCK_WITHIN_FRAMES + 2),
    )
    ways = (struck, ended, attack, read, begun, held)
    return _sum((max(w[0] for w in ways), max(w[1] for w in ways)), decoder_field(config))
