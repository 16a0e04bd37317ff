"""What rings by whose strike: against the rule written out, and across chunks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from creative_mix.model.ringing import CONTEXT_FRAMES, GRACE_FRAMES, WINDOW_FRAMES, ringing

VOICES, KEYS = 3, 88


def padded(values: Tensor) -> Tensor:
    return functional.pad(values, (CONTEXT_FRAMES, 0))


def some(chance: float, *shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(2, *shape, generator=generator)
    return (drawn[0] < chance).float() * drawn[1]


def test_a_key_rings_from_its_strike_to_the_end_of_its_note() -> None:
    struck, ended = torch.zeros(1, VOICES, KEYS, 60), torch.zeros(1, KEYS, 60)
    struck[0, 2, 40, 10] = struck[0, 2, 41, 10] = 1.0
    ended[0, 40, 30] = 1.0
    ended[0, 41, 10 + GRACE_FRAMES] = 1.0  # what sounded before the strike
    rings = ringing(padded(struck), padded(ended))[0]
    assert rings[2, 40, :10].max() < 0.001 and rings[2, 40, 10:30].min() > 0.999
    assert rings[2, 40, 30:].max() < 0.02
    assert rings[2, 41, 10:].min() > 0.999
    assert rings[:2].max() < 0.001


def test_a_strike_of_another_voice_takes_the_key_over() -> None:
    struck, ended = torch.zeros(1, VOICES, KEYS, 60), torch.zeros(1, KEYS, 60)
    struck[0, 1, 40, 10] = struck[0, 2, 40, 30] = struck[0, 1, 50, 10] = struck[0, 2, 50, 10] = 1.0
    rings = ringing(padded(struck), padded(ended))[0]
    assert rings[1, 40, 10:30].min() > 0.999 and rings[1, 40, 30:].max() < 0.02
    assert rings[2, 40, 30:].min() > 0.999
    assert rings[1:, 50, 10:].min() > 0.999  # struck by both at once it is both's


def test_ringing_is_the_rule_written_out() -> None:
    frames = 300
    struck = some(0.02, 1, VOICES, KEYS, frames, seed=1)
    ended = some(0.01, 1, KEYS, frames, seed=2)
    rings = ringing(padded(struck), padded(ended))
    for voice in range(VOICES):
        others = struck[:, [other for other in range(VOICES) if other != voice]].amax(1)
        lasts = (1 - 0.99 * ended) * (1 - 0.99 * others)
        for frame in (0, 1, 2, 3, 50, 258, 259, 299):
            wanted = torch.full((1, KEYS), 1e-4)
            for at in range(max(0, frame - WINDOW_FRAMES - 1), frame + 1):
                since = lasts[..., at + GRACE_FRAMES + 1 : frame + 1].prod(2)
                wanted = torch.maximum(wanted, struck[:, voice, :, at].clamp(min=1e-4) * since)
            torch.testing.assert_close(rings[:, voice, :, frame], wanted, atol=1e-6, rtol=1e-5)


def test_a_chunk_with_its_context_rings_as_the_whole_does() -> None:
    struck = padded(some(0.02, 1, VOICES, KEYS, 400, seed=3))
    ended = padded(some(0.01, 1, KEYS, 400, seed=4))
    whole = ringing(struck, ended)
    begin = 130
    part = ringing(struck[..., begin:], ended[..., begin:])
    assert torch.equal(whole[..., begin:], part)
