"""Where the notes that a strike strikes began: each from its own attack, which may be long past.

A voice's last attack is often another note's: an inner voice holds several that were begun one
after another, and a top note rings on under what is played below it. So the attacks at which keys
begin are told apart by how the keys' levels rise there, and a strike restarts its keys from those.
The inner voice has further streams, each from an earlier attack, and every bin is taken from the
stream of the note that it belongs to. But for ``BeginReader``, gradients do not pass through here.

How much a key restarts from its attack moves continuously with its chances. Which attack that is
does not: where the chance of a later beginning passes the lower end of ``BEGUN_RAMP``, the key goes
over to that one at once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.rhythm import VOICES, at_frames, places, ramp

FADE = 96
"""Samples over which a stream changes over to its new strike."""
STRUCK_WITHIN = 1323
"""Samples (30 ms) after a strike within which a piano attack still counts as its own."""
STRUCK_WITHIN_FRAMES = 4
INNER = 1
"""Place of the inner voice among the voices."""
FURTHER = 2
"""Streams of the inner voice beside that from the latest of its keys' attacks."""
TOGETHER_FRAMES = 1
"""Frames within which keys begin with one attack."""
BEGUN_RAMP = (0.25, 0.6)
"""Chances at which a beginning starts to count and counts in full."""
NEEDED_RAMP = (0.05, 0.2)
"""The same for a key that is struck and whose beginning is known."""


class BeginReader(nn.Module):
    """Tells, of an attack in a frame, whether a key begins with it.

    It looks at the key's level before and after, at whether the key sounds, and at the levels of
    keys whose partials could be taken for its own. One small network looks at every key.

    Shape: logits of sounding keys and their powers, REACH frames on either side, both
    (B, 88, REACH + T + REACH) -> logits (B, 88, T).
    """

    REACH = 3
    NEIGHBOURS = (12, 19, 24, -12, 1, -1)
    """Semitones by which such keys lie below."""
    LOWEST = -6.0
    """Taken for the level and rise of a key that the piano does not have."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.enter = nn.Conv2d(5 + 2 * len(self.NEIGHBOURS), width, 1)
        self.leave = nn.Conv2d(width, 1, 1)

    def forward(self, sounding: Tensor, powers: Tensor) -> Tensor:
        logits: Tensor = self.leave(functional.gelu(self.enter(self.features(sounding, powers))))
        return logits[:, 0].float()

    def features(self, sounding: Tensor, powers: Tensor) -> Tensor:
        """What there is to see of every key: (B, 5 + 2 x neighbours, 88, T)."""
        reach = self.REACH
        frames = sounding.shape[2] - 2 * reach

        def at(values: Tensor, shift: int) -> Tensor:
            return values[..., reach + shift : reach + shift + frames]

        with torch.no_grad(), torch.autocast(sounding.device.type, enabled=False):
            level = torch.log10(powers.float() + 1e-9)
            after = torch.maximum(at(level, 2), at(level, 3))
            before = torch.maximum(at(level, -2), at(level, -3))
            rise = (after - before).clamp(-2.0, 4.0)
            height = 0.5 * (after - after.amax(1, keepdim=True)).clamp(min=-6.0)
            sure = sounding.float().clamp(-6.0, 6.0) / 3
            seen = [
                rise,
                height,
                at(sure, 3),
                torch.maximum(at(sure, -2), at(sure, -1)),
                at(sure, 0),
            ]
            for below in self.NEIGHBOURS:
                around = (0, 0, below, 0) if below > 0 else (0, 0, 0, -below)
                for values in (rise, height):
                    moved = functional.pad(values, around, value=self.LOWEST)
                    keys = values.shape[1]
                    seen.append(moved[:, :keys] if below > 0 else moved[:, -keys:])
            return torch.stack(seen, 1)


class Origins(NamedTuple):
    """The attacks with which the keys began that a strike in each frame strikes."""

    hops: Tensor
    """(B, S, T) samples by which the attack lies behind the strike, of whole frames alone."""
    rest: Tensor
    """(B, S, T) the other samples."""
    known: Tensor
    """(B, S, T) how sure it is; 0 where the keys' attack is not known."""
    keys: Tensor
    """(B, FURTHER, 88, T) how much of each inner key began with those of the further streams."""


def begun(strength: Tensor, begins: Tensor) -> Tensor:
    """How sure it is that each key begins with the attack in a frame.

    Shape: strengths of attacks (B, V, T), chances of beginnings (B, 88, T) -> (B, 88, T).
    """
    return ramp(begins, BEGUN_RAMP) * strength.amax(1, keepdim=True)


def highest_of(values: Tensor, count: int) -> Tensor:
    """The highest of each frame and the ``count - 1`` before it, by doubling.

    Shape: ``count - 1`` frames and then T of them (.., count - 1 + T) -> (.., T).

    >>> highest_of(torch.tensor([3.0, 1, 2, 0, 0]), 3).tolist()
    [3.0, 2.0, 2.0]
    """
    reach = 1
    while 2 * reach <= count:
        values = torch.maximum(values[..., reach:], values[..., :-reach])
        reach *= 2
    left = count - reach
    return torch.maximum(values[..., left:], values[..., :-left]) if left else values


def newest_within(strength: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Where frames are, and where the last one of any strength is in the window of each; 0 none.

    Indices plus one, counted from the first frame. The last STRUCK_WITHIN_FRAMES of a window lie
    ahead.

    Shape: ``window - STRUCK_WITHIN_FRAMES`` frames, then T and STRUCK_WITHIN_FRAMES of them,
    (.., window + T) -> (T,) and (.., T).
    """
    index = places(strength.shape[-1], strength)
    marked = torch.where(strength > 0, index, torch.zeros_like(index))
    ahead = STRUCK_WITHIN_FRAMES
    return index[window - ahead : -ahead], highest_of(marked, window + 1)


def in_time(behind: Tensor) -> Tensor:
    """How much an attack counts that lies so many samples behind a strike, or soon after it."""
    return ((behind + STRUCK_WITHIN) / FADE + 0.5).clamp(0.0, 1.0)


def find_origins(
    strike_time: Tensor,
    sure: Tensor,
    time: Tensor,
    struck: Tensor,
    window: int,
) -> Origins:
    """The attacks with which the keys began that strikes strike.

    Parameters
    ----------
    strike_time : (B, T) samples from the start of the frame
    sure : as ``begun`` has it
    time : samples from the start of each frame to its attack
    struck : (B, V, 88, T) chance that a strike of the voice in a frame strikes a key
    window : frames in which an attack is looked for, the last STRUCK_WITHIN_FRAMES of them ahead

    Shape: sure ``window - STRUCK_WITHIN_FRAMES`` frames, then T and STRUCK_WITHIN_FRAMES of them,
    (B, 88, window + T), time (B, window + T).
    """
    here, newest = newest_within(sure, window)
    times = time.unsqueeze(1).expand(-1, sure.shape[1], -1)
    late = (here - newest) * HOP_LENGTH + strike_time.unsqueeze(1) - at_frames(times, newest)
    chance = at_frames(sure, newest) * in_time(late)
    needed = ramp(chance.unsqueeze(1) * struck, NEEDED_RAMP)
    # What is not a number must not become a place to read from: it is not needed.
    needed = torch.where(needed > 0, needed, torch.zeros_like(needed))

    def attack(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Hops, rest and certainty of the attack of a frame index, with which these keys began."""
        known = keys.amax(1)
        hops = torch.where(known > 0, (here - wanted) * HOP_LENGTH, torch.zeros_like(known))
        return hops, strike_time - at_frames(time, wanted), known

    found: list[tuple[Tensor, Tensor, Tensor]] = []
    further: list[tuple[Tensor, Tensor, Tensor]] = []
    members = []
    for voice in range(VOICES):
        left = needed[:, voice]
        if voice != INNER:
            most = left.amax(1, keepdim=True)
            wanted = torch.where(left >= most, newest, torch.zeros_like(newest)).amax(1)
            found.append(attack(left, wanted))
            continue
        wanted = torch.where(left > 0, newest, torch.zeros_like(newest)).amax(1)
        with_it = left * (newest >= wanted.unsqueeze(1) - TOGETHER_FRAMES)
        found.append(attack(with_it, wanted))
        left = left - with_it
        for _ in range(FURTHER):
            # The oldest next: they have died away most.
            oldest = torch.where(left > 0, newest, torch.full_like(newest, 1e6)).amin(1)
            with_it = left * (newest <= oldest.unsqueeze(1) + TOGETHER_FRAMES)
            wanted = torch.where(oldest < 1e6, oldest, torch.zeros_like(oldest))
            further.append(attack(with_it, wanted))
            members.append(with_it)
            left = left - with_it
    hops, rest, known = (torch.stack(each, 1) for each in zip(*found, *further, strict=True))
    return Origins(hops, rest, known, torch.stack(members, 1))


def blend(latest: Tensor, further: list[Tensor], shares: Tensor) -> Tensor:
    """What the inner voice's streams make together, every bin from the note that it belongs to.

    Parameters
    ----------
    latest : of the stream from the latest attack, bins last
    further : the same of the others
    shares : (B, FURTHER, T, F), or so many of the lowest bins as there are

    Shape: (B, T, F) or (B, C, T, 2, F), all alike.
    """
    shares = shares[..., : latest.shape[-1]]
    made = latest
    for of_one, share in zip(further, shares.unbind(1), strict=True):
        if latest.ndim == 5:
            share = share[:, None, :, None]
        made = made + share * (of_one - latest)
    return made
