"""What does the work of a batch, whatever it runs on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .worker import Job, Outcome, Ready


@dataclass(frozen=True)
class Share:
    """A job under way."""

    index: int
    done: float
    """0..1."""


@dataclass(frozen=True)
class Word:
    """Something worth a line."""

    line: str


Event = Ready | Share | Word | Outcome
"""`Ready` comes once, from the first worker."""


class Engine(Protocol):
    """Renders the pairs of a batch on some number of workers."""

    workers: int
    """Renders at a time."""

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Yield one outcome for every job, in the order in which they end.

        When the iterator is closed, or something is raised in it, all workers end.

        Raises:
            CreativeMixError: no worker can do anything.
        """
        ...
