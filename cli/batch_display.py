"""How a batch shows itself: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..batch import PairRecord

_STEPS = 10_000


def clock(seconds: float) -> str:
    """Return a time as m:ss, or h:mm:ss.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class BatchDisplay:
    """Failures at once, and how much is done: in a bar, a line for every pair, or not at all.

    Use it in a `with`.

    Args:
        quiet: whether only failures show.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._bar: Any = None
        self._sizes: Sequence[int] = ()
        self._shares: list[float] = []
        self._ended = 0

    def __enter__(self) -> BatchDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None

    def say(self, line: str) -> None:
        """A line that is not about one pair."""
        if not self._quiet:
            self._echo(line)

    def begin(self, sizes: Sequence[int]) -> None:
        """The pairs that are rendered now."""
        self._sizes, self._shares = sizes, [0.0] * len(sizes)
        self._began = time.monotonic()
        if self._live and sizes:
            self._bar = click.progressbar(length=_STEPS, file=sys.stderr, label=self._label())
            self._bar.render_progress()

    def share(self, place: int, done: float) -> None:
        """A pair is under way."""
        self._shares[place] = done
        self._move()

    def end(self, place: int | None, record: PairRecord) -> None:
        """A pair is rendered, or has failed."""
        if record.status == "failed":
            error = record.error or ""
            named = error.startswith((record.drums, record.piano, record.output))
            self._echo(f"failed: {'' if named else f'{record.drums} + {record.piano}: '}{error}")
        if place is None:
            return
        self._ended += 1
        self._shares[place] = 1.0
        if self._bar is not None:
            self._bar.label = self._label()
        elif not self._quiet and record.status == "rendered":
            self._echo(f"[{self._label()}] {record.output} ({self._left()})")
        self._move()

    def _label(self) -> str:
        return f"{self._ended}/{len(self._sizes)}"

    def _done(self) -> float:
        done = sum(size * share for size, share in zip(self._sizes, self._shares, strict=True))
        return done / sum(self._sizes)

    def _left(self) -> str:
        done = self._done()
        return f"{clock((time.monotonic() - self._began) * (1 - done) / done)} left"

    def _move(self) -> None:
        if self._bar is not None:
            self._bar.update(round(_STEPS * self._done()) - self._bar.pos)
            self._bar.render_progress()  # for the label alone, too

    def _echo(self, line: str) -> None:
        if self._bar is not None:
            # Over the bar, which comes again below.
            width = len(self._label()) + 60
            line = f"\r{' ' * width}\r{line}"
        click.echo(line, err=True)
