"""What a render knows of itself, and reports are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ..mixing import Mixture, Settings
from ..trace import Trace


@dataclass(frozen=True)
class Facts:
    """A render that is done but for its output's name."""

    drums: str
    """Name of the file."""

    piano: str
    output: str
    settings: Settings
    subtype: str
    mixture: Mixture
    """With its sources, where a report is wanted."""

    trace: Trace

    @property
    def sample_rate(self) -> int:
        """Of the output."""
        return self.mixture.sample_rate
