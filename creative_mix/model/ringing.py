"""Which keys ring: struck by a voice, and since then neither let go nor struck by another voice.

That a struck note rings until the piano lets it go is the rule of the composition; what is read
from the recordings is only what was struck and what ended. Nothing here is learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor

GRACE_FRAMES = 2
"""Frames after a strike in which a note that ends is not what it has struck, but what was before.

The piano's attack may come 30 ms after the strike that it counts for.
"""
WINDOW_FRAMES = 256
"""Frames for which a struck note is followed at most: 3 s. A power of two."""
CONTEXT_FRAMES = WINDOW_FRAMES - 1 + GRACE_FRAMES
"""Frames before the first that ``ringing`` has to see."""
_LEAST = 1e-4
_SURE = 0.99
"""What an end or a strike that is certain takes away: not all, so that its logarithm is finite."""


def ringing(struck: Tensor, ended: Tensor) -> Tensor:
    """Probability that each key rings by a strike of each voice.

    The most likely one counts of the strikes in the window, each with the chance that its note has
    lasted since. The window is gone through by doubling: so it costs a few passes, and the result
    does not depend on where a chunk begins.

    Parameters
    ----------
    struck : probability that a voice strikes a key in a frame
    ended : probability that a note of the key ends in a frame

    Shape: CONTEXT_FRAMES frames and then T of them, struck (B, V, 88, ..) and ended (B, 88, ..)
    -> (B, V, 88, T).
    """
    others = _by_others(struck)
    lasting = torch.log1p(-_SURE * ended).unsqueeze(1) + torch.log1p(-_SURE * others)
    chance = torch.log(struck.clamp(min=_LEAST))
    last, since = chance[..., :-GRACE_FRAMES], lasting[..., GRACE_FRAMES:]
    reach = 1
    while reach < WINDOW_FRAMES:
        last = torch.maximum(last[..., reach:], last[..., :-reach] + since[..., reach:])
        since = since[..., reach:] + since[..., :-reach]
        reach *= 2
    for late in range(GRACE_FRAMES):
        begin, end = CONTEXT_FRAMES - late, chance.shape[3] - late
        last = torch.maximum(last, chance[..., begin:end])
    return torch.exp(last)


def _by_others(struck: Tensor) -> Tensor:
    """The strongest strike by any other voice: (B, V, 88, T) -> (B, V, 88, T)."""
    voices = struck.unbind(1)
    strongest = []
    for place in range(len(voices)):
        others = [voice for other, voice in enumerate(voices) if other != place]
        most = others[0]
        for other in others[1:]:
            most = torch.maximum(most, other)
        strongest.append(most)
    return torch.stack(strongest, 1)
