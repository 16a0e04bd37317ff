"""How a batch is done, and what shows how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import OptionError
from ..mixing import Settings
from ..options import (
    DEVICES,
    ENGINES,
    OUTPUT_FORMATS,
    PAIR_RULES,
    Device,
    EngineName,
    OutputFormat,
    PairRule,
)
from .summary import PairRecord


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is done."""

    pair: PairRule = "zip"
    format: OutputFormat = "wav"
    settings: Settings = field(default_factory=Settings)
    subtype: str | None = None
    """Sample format; None for each piano's."""

    dither: bool = True
    """Whether outputs of up to 24 bits are dithered."""

    engine: EngineName = "local"
    address: str | None = None
    """Of the Ray cluster; None for the one of this machine or of RAY_ADDRESS."""

    workers: int | None = None
    """Renders at a time, at least 1; None for what suits the machine or the cluster."""

    threads: int | None = None
    """CPU threads of each worker, at least 1; None for what suits: bytes may depend on it."""

    device: Device = "auto"
    model_path: Path | None = None
    force: bool = False
    """Whether what is there is rendered again, and a file from elsewhere is replaced."""

    def __post_init__(self) -> None:
        choices: dict[str, tuple[str, ...]] = {
            "pair": PAIR_RULES,
            "format": OUTPUT_FORMATS,
            "engine": ENGINES,
            "device": DEVICES,
        }
        for name, known in choices.items():
            if (chosen := getattr(self, name)) not in known:
                raise OptionError(f"{name} {chosen!r} is unknown; choose one of {', '.join(known)}")
        if self.model_path is not None:
            object.__setattr__(self, "model_path", Path(self.model_path))
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise OptionError(f"{name} must be at least 1, not {value}")
        if self.address is not None and self.engine != "ray":
            raise OptionError(f"address {self.address!r} is for the engine ray; choose that")


class Display(Protocol):
    """Whatever shows how a batch goes."""

    def say(self, line: str) -> None:
        """Something worth a line."""

    def begin(self, sizes: Sequence[int]) -> None:
        """So many pairs are rendered now; their sizes say which of them take longer."""

    def share(self, place: int, done: float) -> None:
        """So much of the pair at this place among them is done, 0..1."""

    def end(self, place: int | None, record: PairRecord) -> None:
        """A pair is rendered or has failed; without a place it was not even begun."""


class Silence:
    """A display that shows nothing."""

    def say(self, line: str) -> None: ...

    def begin(self, sizes: Sequence[int]) -> None: ...

    def share(self, place: int, done: float) -> None: ...

    def end(self, place: int | None, record: PairRecord) -> None: ...
