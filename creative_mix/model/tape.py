"""Signals that come block by block: how late each is, and what of it later blocks will need.

What looks ahead gives its result late, and where two ways join, the earlier one must wait. All that
is counted here, from what is read: nobody else adds up frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Parts = TypeVar("Parts", bound=tuple[Any, ...])
"""A named tuple of tensors."""


class Line:
    """A signal of the present block.

    Its frames are those that came in ``lag`` frames ago. It can be read later than that, and with
    frames around, as far as the past reaches that the tape has kept of it.
    """

    def __init__(self, block: Tensor, lag: int, axis: int, unit: int) -> None:
        self.block = block
        self.lag = lag
        self.axis = axis % block.ndim
        self.unit = unit
        self.past: Tensor | None = None
        self.kept = 0
        """Frames of the past that are at hand."""
        self.needed = 0
        """Frames of the past that have been read."""
        self._whole: Tensor | None = None

    def read(self, lag: int | None = None, behind: int = 0, ahead: int = 0) -> Tensor:
        """The block ``lag`` frames late, with so many frames before it and after it.

        By default it is as early as the frames after it allow.
        """
        lag = self.lag + ahead if lag is None else lag
        late = lag - ahead - self.lag
        if late < 0:
            raise ValueError(f"{ahead} frames ahead at lag {lag} of a signal of lag {self.lag}")
        need = lag - self.lag + behind
        self.needed = max(self.needed, need)
        if not need:
            return self.block
        if self.past is None:
            return self._cut(self._after_zeros(need), 0, -late)
        return self._cut(self._with_past(), self.kept - need, -late)

    def look_back(self, lag: int, behind: int) -> tuple[Tensor, int]:
        """All that is at hand, and where in it the block ``lag`` frames late begins.

        At least ``behind`` frames come before that. Where single frames are looked up, nothing
        need be cut out.
        """
        need = lag - self.lag + behind
        self.needed = max(self.needed, need)
        if self.past is None:
            return self._after_zeros(need), behind
        return self._with_past(), self.kept - (lag - self.lag)

    def rest(self) -> Tensor:
        """What the next block needs of this and the blocks before it."""
        if self.past is None:
            return self._cut(self._after_zeros(self.needed), -self.needed, 0)
        return self._cut(self._with_past(), -self.kept, 0)

    def _with_past(self) -> Tensor:
        if self._whole is None:
            assert self.past is not None
            self._whole = torch.cat([self.past, self.block], self.axis) if self.kept else self.block
        return self._whole

    def _after_zeros(self, frames: int) -> Tensor:
        shape = list(self.block.shape)
        shape[self.axis] = frames * self.unit
        return torch.cat([self.block.new_zeros(shape), self.block], self.axis)

    def _cut(self, values: Tensor, begin: int, end: int) -> Tensor:
        """Frames of it; an end of 0 is its own."""
        if not begin and not end:
            return values
        span = slice(begin * self.unit, end * self.unit or None)
        return values[(slice(None),) * self.axis + (span,)]


class Tape:
    """The lines of one block, and what the blocks before it have left of each.

    Parameters
    ----------
    needs : frames to keep of each line; without them the past is zeros, and what is read is
        counted: so a first block tells what later ones need
    past : what the last block left
    """

    def __init__(
        self, needs: Mapping[str, int] | None = None, past: Mapping[str, Tensor] | None = None
    ) -> None:
        self._needs = needs
        self._past = past or {}
        self._lines: dict[str, Line] = {}

    def line(self, name: str, block: Tensor, lag: int, axis: int = -1, unit: int = 1) -> Line:
        """A new line; frames lie along the axis, each of so many values."""
        if name in self._lines:
            raise ValueError(f"{name}: there is a line of that name")
        line = self._lines[name] = Line(block, lag, axis, unit)
        if self._needs is not None:
            line.kept = self._needs.get(name, 0)
            line.past = self._past.get(name, block)
        return line

    def needs(self) -> dict[str, int]:
        """Frames that have been read of the past of each line, where any have."""
        return {name: line.needed for name, line in self._lines.items() if line.needed}

    def rest(self) -> dict[str, Tensor]:
        """What the next block needs."""
        return {name: line.rest() for name, line in self._lines.items() if line.needed}


class Lines(Generic[Parts]):
    """A named tuple of signals, each part on a line of its own.

    Parameters
    ----------
    tape : where the lines go, as ``name.part``
    values : the parts
    lag : of all of them
    axes : along which the frames lie, where that is not the last
    """

    def __init__(
        self,
        tape: Tape,
        name: str,
        values: Parts,
        lag: int,
        axes: Mapping[str, int] | None = None,
    ) -> None:
        self._kind = type(values)
        fields: dict[str, Tensor] = values._asdict()  # type: ignore[attr-defined]
        self._lines = {
            part: tape.line(f"{name}.{part}", value, lag, (axes or {}).get(part, -1))
            for part, value in fields.items()
        }

    def __getitem__(self, part: str) -> Line:
        return self._lines[part]

    def read(self, lag: int | None = None, behind: int = 0, ahead: int = 0) -> Parts:
        """Every part, as ``Line.read`` gives it."""
        return self._kind(*(line.read(lag, behind, ahead) for line in self._lines.values()))
