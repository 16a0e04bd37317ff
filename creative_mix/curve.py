"""A bias of the selection that changes over time: breakpoints, and lines between them."""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .audio import FloatArray
from .constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from .errors import CurveFileError, OptionError
from .options import BIAS_RANGE

if TYPE_CHECKING:
    import _csv

TIME_COLUMN = "time_s"

_MOST_BYTES = 1 << 26
"""Ten points a second for a day are 20 MB; a larger file is none that anybody drew."""


@dataclass(frozen=True)
class BiasCurve:
    """Breakpoints of some of the six components, over the seconds of the output.

    Between two points of a component its bias runs in a line; before the first and after the last
    it stays.  Two points at one time are a jump.

    >>> curve = BiasCurve.of({"time_s": [0, 1], "target_rhythm": [0, 4]})
    >>> curve.at([0.5, 9.0])[3].tolist()
    [2.0, 4.0]
    """

    points: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]
    """Name, times in seconds and values of each component that has any."""

    def __post_init__(self) -> None:
        low, high = BIAS_RANGE
        for name, times, values in self.points:
            if name not in COMPONENT_NAMES:
                raise OptionError(
                    f"bias curve of {name!r}: unknown; choose among {', '.join(COMPONENT_NAMES)}"
                )
            if not times or len(times) != len(values):
                raise OptionError(
                    f"bias curve of {name}: {len(times)} times and {len(values)} values; give as "
                    "many of both, at least one"
                )
            if not all(math.isfinite(time) and time >= 0 for time in times):
                raise OptionError(f"bias curve of {name}: times must be 0 s or more")
            if any(after < before for before, after in zip(times, times[1:], strict=False)):
                raise OptionError(f"bias curve of {name}: times must not fall; sort the points")
            for time, value in zip(times, values, strict=True):
                if not low <= value <= high:
                    raise OptionError(
                        f"bias curve of {name}: {value:g} at {time:g} s is out of range; give "
                        f"{low:g} to {high:g}"
                    )

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[float]]) -> BiasCurve:
        """Return the curve of some columns: "time_s" and any of the six components.

        Raises:
            OptionError: an unknown name, a value out of range, times that fall.
        """
        if TIME_COLUMN not in columns:
            raise OptionError(f"a bias curve needs a column {TIME_COLUMN}; add one, in seconds")
        times = tuple(float(time) for time in columns[TIME_COLUMN])
        return cls(
            tuple(
                (name, times, tuple(float(value) for value in values))
                for name, values in columns.items()
                if name != TIME_COLUMN
            )
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> BiasCurve:
        """Return the curve of a CSV file; a cell left empty is no point of its component.

        Raises:
            CurveFileError: the file cannot be read or holds something else; the line is named.
        """
        try:
            if os.path.getsize(path) > _MOST_BYTES:
                raise CurveFileError(f"{path}: too large for a bias curve; give fewer points")
            with open(path, newline="", encoding="utf-8-sig") as file:
                return cls(_read_points(csv.reader(file)))
        except OSError as error:
            raise CurveFileError(
                f"{path}: cannot be read ({error.strerror}); check the path of the bias curve"
            ) from None
        except (UnicodeDecodeError, csv.Error):
            raise CurveFileError(
                f"{path}: not a CSV file; give one with the columns {TIME_COLUMN} and names of "
                "components"
            ) from None
        except OptionError as error:
            raise CurveFileError(f"{path}: {error}") from None

    @property
    def is_flat(self) -> bool:
        """Whether it changes nothing, at any time."""
        return not any(value for _, _, values in self.points for value in values)

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, in hexadecimal digits: the same for every spelling of it."""
        return hashlib.sha256(repr(sorted(self.points)).encode()).hexdigest()

    def at(self, times_s: Sequence[float] | FloatArray) -> FloatArray:
        """Return the bias at some times.

        Shape: (T,) -> (6, T).
        """
        out = np.zeros((len(COMPONENT_NAMES), len(times_s)), np.float32)
        for name, times, values in self.points:
            out[COMPONENT_NAMES.index(name)] = np.interp(times_s, times, values)
        return out

    def frames(self, first: int, last: int) -> FloatArray:
        """Return the bias in the middles of the model's frames `first` to `last`.

        Frames below 0, context before the recording, have the bias of its start.

        Shape: (6, last - first).
        """
        return self.at((np.arange(first, last) + 0.5) * (HOP_LENGTH / SAMPLE_RATE))


def _read_points(rows: _csv.Reader) -> tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]:
    header = [name.strip() for name in next(rows, [])]
    if TIME_COLUMN not in header:
        raise OptionError(
            f"its first line must name the columns, {TIME_COLUMN} and any of "
            f"{', '.join(COMPONENT_NAMES)}"
        )
    for name in header:
        if header.count(name) > 1:
            raise OptionError(f"has two columns {name!r}; leave one out")
        if name != TIME_COLUMN and name not in COMPONENT_NAMES:
            raise OptionError(
                f"column {name!r} is unknown; choose among {TIME_COLUMN}, "
                f"{', '.join(COMPONENT_NAMES)}"
            )
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in header}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise OptionError(
                f"line {rows.line_num} has {len(row)} cells where {len(header)} columns are named"
            )
        cells = dict(zip(header, row, strict=True))
        time = _number(cells.pop(TIME_COLUMN), TIME_COLUMN, rows.line_num)
        for name, cell in cells.items():
            if cell.strip():
                found[name].append((time, _number(cell, name, rows.line_num)))
    points = tuple(
        (name, tuple(time for time, _ in pairs), tuple(value for _, value in pairs))
        for name, pairs in found.items()
        if pairs
    )
    if not points:
        raise OptionError("holds no points; add lines with a time and a bias")
    return points


def _number(cell: str, name: str, line: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise OptionError(f"line {line}: {cell.strip()!r} in {name} is not a number") from None
