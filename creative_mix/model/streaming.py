"""The model in blocks of any length, with the past as a state that goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH
from creative_mix.model.block import Block, Made
from creative_mix.model.system import CreativeMix
from creative_mix.model.tape import Tape

State = dict[str, Tensor]


class BlockControls(NamedTuple):
    """What a player may ask for in a block; it goes with the audio that comes in with it."""

    bias: Tensor
    """(1, 6, T) added to the selection logits."""
    density: Tensor
    """(1, T) share of the strikes that stay."""
    dynamics: Tensor
    """(1, T) factor on the differences between loud and soft strikes."""


class StreamingMix:
    """A model that takes recordings block by block and gives, late, what it would give at once.

    It has no weights of its own and nothing of a model's past: that is the state.

    Parameters
    ----------
    model : the model
    channels : of both recordings
    """

    def __init__(self, model: CreativeMix, channels: int = 2) -> None:
        self.model = model
        self.channels = channels
        tape = Tape()
        with torch.no_grad():
            _, self.latency_frames = self._run(tape, *self._nothing(1))
        self.needs = tape.needs()
        self._rest = tape.rest()

    def _nothing(self, frames: int) -> tuple[Tensor, Tensor, BlockControls]:
        audio = torch.zeros(1, self.channels, frames * HOP_LENGTH)
        ones = torch.ones(1, frames)
        controls = BlockControls(torch.zeros(1, len(COMPONENT_NAMES), frames), ones, ones)
        return audio, audio, controls

    def _run(
        self, tape: Tape, drums: Tensor, piano: Tensor, controls: BlockControls
    ) -> tuple[Made, int]:
        return Block(self.model, tape).run(drums, piano, *controls)

    def __call__(
        self, drums: Tensor, piano: Tensor, controls: BlockControls, state: Mapping[str, Tensor]
    ) -> tuple[Made, State]:
        """What a block gives, ``latency_frames`` late, and the state for the next block.

        Shape: drums and piano (1, C, 512 T).
        """
        tape = Tape(self.needs, state)
        made, _ = self._run(tape, drums, piano, controls)
        return made, tape.rest()

    @torch.no_grad()
    def silence(self, block: int = 64) -> State:
        """The state after endless silence: with it a stream begins."""
        state = self._rest
        # A signal forgets what lies farther back than what is kept of it, one after the other.
        memory = sum(self.needs.values())
        frames = 0
        while True:
            _, new = self(*self._nothing(block), state)
            frames += block
            still = all(torch.equal(new[name], state[name]) for name in state)
            state = new
            if still or frames > memory:
                return state
