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
    the recording. So whole rows of 16 samples are looked up, and one small matrix for every hop
    cuts the 8 out of each, mixes two neighbours for the fraction, and weighs and adds up what comes
    from several places: far less memory moves than by looking up every sample.

    Parameters
    ----------
    piano : the recording, (B, C, N)
    frames : of it, ceil(N / 512)
    first : the frame from whose start places count
    """

    def __init__(self, piano: Tensor, frames: int, first: Tensor | int = 0) -> None:
        self.batch, self.channels, samples = piano.shape
        self.first = first
        # A hop of silence and a run before, and a hop after: what is read there counts as silent.
        self.before = HOP_LENGTH + _RUN
        sound = functional.pad(piano, (self.before, (frames + 1) * HOP_LENGTH - samples + _RUN))
        runs = sound.view(self.batch * self.channels, -1, _RUN)
        rows = torch.cat([runs[:, :-1], runs[:, 1:]], 2)
        self.row_count = rows.shape[1]
        self.table = rows.reshape(-1, 2 * _RUN)
        self.sound = sound
        eye = torch.eye(2 * _RUN, device=piano.device)
        # cut[r] takes samples r .. r + 7 of a row of 16, and those one later are cut[r + 1].
        self.cuts = torch.stack([eye[:, r : r + _RUN] for r in range(_RUN + 1)]).flatten(1)

    def hops(self, count: int) -> Tensor:
        """So many hops of the recording as it is, from the first on: (B, C, count, 512)."""
        begin = self.before + self.first * HOP_LENGTH
        plain = self.sound[:, :, begin : begin + count * HOP_LENGTH]
        return plain.reshape(self.batch, self.channels, -1, HOP_LENGTH)

    def read(self, places: list[tuple[Tensor, Tensor]], shares: list[Tensor]) -> Tensor:
        """The weighted sum of hops from several places.

        Each place is a whole sample and the fraction of one by which it lies before that.

        Shape: places and shares (B, V, T) -> (B, C, V, T, 512).
        """
        rows, cuts = [], []
        for (sample, part), share in zip(places, shares, strict=True):
            place = (sample + (self.first * HOP_LENGTH + self.before - 1)).clamp(
                min=0.0, max=(self.row_count - HOP_LENGTH // _RUN) * float(_RUN)
            )
            row = torch.floor(place / _RUN)
            within = (place - row * _RUN).long()
            earlier, later = self.cuts[within], self.cuts[within + 1]
            part = part.unsqueeze(3)
            cuts.append((later + part * (earlier - later)) * share.unsqueeze(3))
            rows.append(row.long())
        voices, frames = rows[0].shape[1:]
        sources = torch.arange(self.batch * self.channels, device=self.table.device)
        index = torch.stack(rows, 3).unsqueeze(1).unsqueeze(4)  # (B, 1, V, T, 1, places)
        index = index + torch.arange(HOP_LENGTH // _RUN, device=index.device).view(-1, 1)
        origin = (sources * self.row_count).view(self.batch, self.channels, 1, 1, 1, 1)
        found = functional.embedding(index + origin, self.table)
        found = found.reshape(self.batch, self.channels, voices, frames, -1, len(places) * 2 * _RUN)
        cut = torch.stack(cuts, 3).reshape(self.batch, 1, voices, frames, -1, _RUN)
        return (found @ cut).flatten(4)
