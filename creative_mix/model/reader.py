"""Reads a recording from any place, between its samples too, a hop at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH

_RUN = 8
"""Samples that are read together: a hop is 64 runs, each cut out of the two that it lies in."""


class Reader:
    """Reads hops of a recording from any place.

    A hop from an arbitrary sample on is 64 runs of 8 samples, each of which lies within two runs of
    the recording. So those are looked up, and one small matrix for every hop cuts the 8 samples out
    of each pair, mixes two neighbours for the fraction, and weighs and adds up what comes from
    several places: far less memory moves than by looking up every sample.

    Parameters
    ----------
    sound : the recording, (B, C, N), N a multiple of 8; what is read beyond its ends is taken from
        its first or last hop
    first : the frame from whose start places count
    """

    def __init__(self, sound: Tensor, first: Tensor | int) -> None:
        self.batch, self.channels, samples = sound.shape
        self.sound = sound
        self.begin = first * HOP_LENGTH
        self.table = sound.reshape(-1, _RUN)
        self.runs = samples // _RUN
        eye = torch.eye(2 * _RUN, device=sound.device)
        # cut[r] takes samples r .. r + 7 of a pair of runs, and those one later are cut[r + 1].
        self.cuts = torch.stack([eye[:, r : r + _RUN] for r in range(_RUN + 1)]).flatten(1)

    def hops(self, count: int) -> Tensor:
        """So many hops of the recording as it is, from the first on: (B, C, count, 512)."""
        plain = self.sound[:, :, self.begin : self.begin + count * HOP_LENGTH]
        return plain.reshape(self.batch, self.channels, -1, HOP_LENGTH)

    def read(self, places: list[tuple[Tensor, Tensor]], shares: list[Tensor]) -> Tensor:
        """The weighted sum of hops from several places.

        Each place is a whole sample and the fraction of one by which it lies before that.

        Shape: places and shares (B, V, T) -> (B, C, V, T, 512).
        """
        runs, cuts = [], []
        for (sample, part), share in zip(places, shares, strict=True):
            place = (sample + (self.begin - 1)).clamp(
                min=0.0, max=(self.runs - HOP_LENGTH // _RUN - 1) * float(_RUN)
            )
            run = torch.floor(place / _RUN)
            within = (place - run * _RUN).long()
            earlier, later = self.cuts[within], self.cuts[within + 1]
            part = part.unsqueeze(3)
            cuts.append((later + part * (earlier - later)) * share.unsqueeze(3))
            runs += [run.long(), run.long() + 1]
        voices, frames = runs[0].shape[1:]
        sources = torch.arange(self.batch * self.channels, device=self.table.device)
        index = torch.stack(runs, 3).unsqueeze(1).unsqueeze(4)  # (B, 1, V, T, 1, places * 2)
        index = index + torch.arange(HOP_LENGTH // _RUN, device=index.device).view(-1, 1)
        origin = (sources * self.runs).view(self.batch, self.channels, 1, 1, 1, 1)
        found = functional.embedding(index + origin, self.table)
        found = found.reshape(self.batch, self.channels, voices, frames, -1, len(places) * 2 * _RUN)
        cut = torch.stack(cuts, 3).reshape(self.batch, 1, voices, frames, -1, _RUN)
        return (found @ cut).flatten(4)
