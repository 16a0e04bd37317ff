"""What became of a batch, pair by pair."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .digests import Fingerprint
from .pairing import Pair
from .records import write_json

Status = Literal["rendered", "skipped", "failed", "left"]


@dataclass
class PairRecord:
    """What became of a pair."""

    drums: str
    piano: str
    output: str
    status: Status = "left"
    """"skipped": it was there already; "left": the batch was stopped before."""

    why: str | None = None
    """Why it was rendered: "new", "drums changed"..."""

    error: str | None = None
    took_s: float | None = None
    size: int | None = None
    sha256: str | None = None
    """Of the output."""

    result: dict[str, Any] = field(default_factory=dict)
    """Length, rate, channels, subtype, strikes, weights, and notes on what was decided."""

    @classmethod
    def of(cls, pair: Pair, folder: Path) -> PairRecord:
        """Return the record of a pair to which nothing has happened yet."""
        return cls(str(pair.drums), str(pair.piano), str(folder / pair.output))

    def finish(self, status: Status, state: Fingerprint, result: dict[str, Any]) -> None:
        """Note that the output is there."""
        self.status, self.size, self.sha256 = status, state.size, state.digest
        self.result = result

    def fail(self, error: str) -> None:
        """Note why there is no output."""
        self.status, self.error = "failed", error


@dataclass
class Summary:
    """What became of a batch."""

    version: str
    engine: str
    pair: str
    options: dict[str, Any]
    """What was not as it is by default."""

    model: str
    """SHA-256 of the model's file."""

    pairs: list[PairRecord]
    alone: list[str]
    """Recordings without a partner."""

    workers: int = 0
    """0 where there was nothing to render."""

    threads: int = 0
    """CPU threads of each worker."""

    device: str | None = None
    stopped: bool = False
    """Whether it was interrupted."""

    began: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    took_s: float = 0.0

    def count(self, status: Status) -> int:
        """Return how many pairs ended so."""
        return sum(record.status == status for record in self.pairs)

    @property
    def rendered_s(self) -> float:
        """Audio that was rendered."""
        return float(
            sum(r.result["duration_s"] for r in self.pairs if r.status == "rendered" and r.result)
        )

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            AudioFileError: the disk is full or the folder cannot be written.
        """
        statuses: tuple[Status, ...] = ("rendered", "skipped", "failed", "left")
        counts = {status: self.count(status) for status in statuses}
        write_json(path, {**counts, "rendered_s": round(self.rendered_s, 3), **asdict(self)})
