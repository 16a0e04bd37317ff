"""The checkpoints of a run: whole or not there at all, the newest few, `last` and `best`."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from creative_mix.errors import ModelFileError
from creative_mix.model.checkpoint import load_tensors, save_tensors

LAST, BEST = "last.safetensors", "best.safetensors"
STATE_FORMAT = "creative-mix training state"
STATE_VERSION = 2
_STEP = re.compile(r"step-(\d+)\.safetensors")


class NotAStateError(ModelFileError):
    """A whole file of tensors that no training run has saved."""


@dataclasses.dataclass(frozen=True)
class State:
    """All that a run goes on from.

    Tensors are named `weights.` and `average.` with the parameter's name, `optimizer.INDEX.KEY`
    and `rng.RANK.KIND`; the rest is in ``about``.
    """

    tensors: dict[str, Tensor]
    about: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, without that beginning."""
        return {
            name[len(prefix) :]: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


class CheckpointFolder:
    """Checkpoints in a folder.

    A save writes `step-N.safetensors` under another name, flushes it to the disk and renames it;
    `last` and `best` are links to such files, set by a rename as well. So a process that is killed
    at any moment leaves the file before it whole.

    Args:
        folder: made where it is missing.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: str | Path, keep: int = 3) -> None:
        self.folder, self.keep = Path(folder), keep

    def save(self, state: State, step: int, best: bool = False) -> Path:
        """Write the state of a step; what is older than the newest few goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:08}.safetensors"
        save_state(path, state)
        link(path, self.folder / LAST)
        if best:
            link(path, self.folder / BEST)
        for old in self.numbered()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def numbered(self) -> list[Path]:
        """The numbered checkpoints, newest first."""
        found = [p for p in self.folder.glob("step-*.safetensors") if _STEP.fullmatch(p.name)]
        return sorted(found, reverse=True)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole, or None."""
        # A kill can leave the newest one without its second name.
        for path in sorted([self.folder / LAST, *self.numbered()], key=step_of, reverse=True):
            try:
                load_state(path)
                return path
            except ModelFileError:
                continue
        return None

    def after(self, step: int) -> list[Path]:
        """The numbered checkpoints of later steps."""
        return [path for path in self.numbered() if int(path.stem[len("step-") :]) > step]

    def clear(self) -> None:
        """Take away what a killed process has left half written."""
        for path in self.folder.glob("*.safetensors.tmp"):
            path.unlink(missing_ok=True)


def step_of(path: Path) -> int:
    """The step of a checkpoint, as its header tells it; -1 where it tells none."""
    try:
        with safe_open(path, "pt") as file:
            return int((file.metadata() or {})["step"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return -1


def save_state(path: Path, state: State) -> None:
    """Write a state, with a checksum over all of it."""
    about = {"format": STATE_FORMAT, "format_version": str(STATE_VERSION)}
    about |= {key: json.dumps(value) for key, value in state.about.items()}
    about["checksum"] = str(_checksum(state.tensors))
    save_tensors(path, state.tensors, about)


def load_state(path: Path) -> State:
    """A state that ``save_state`` wrote, or the trainer before it (format 1).

    Raises:
        NotAStateError: it holds other tensors.
        ModelFileError: the file is missing, torn, changed, or of a newer format.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != STATE_FORMAT:
        if "step" in metadata and any(name.startswith("weights.") for name in tensors):
            return State(tensors, {key: json.loads(value) for key, value in metadata.items()})
        raise NotAStateError(f"{path}: not a state of a training run, but another file's tensors")
    if int(metadata["format_version"]) > STATE_VERSION:
        raise ModelFileError(
            f"{path}: format {metadata['format_version']}, and this version reads up to "
            f"{STATE_VERSION}; install a newer creative-mix"
        )
    if int(metadata["checksum"]) != _checksum(tensors):
        raise ModelFileError(f"{path}: damaged; its tensors are not those that were saved")
    plain = ("format", "format_version", "checksum")
    about = {key: json.loads(value) for key, value in metadata.items() if key not in plain}
    return State(tensors, about)


def link(path: Path, name: Path) -> None:
    """Let a name stand for a file, at once; by a copy where the file system has no links."""
    temporary = name.with_name(name.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:
        with open(path, "rb") as source, open(temporary, "wb") as copy:
            while block := source.read(1 << 24):
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
    temporary.replace(name)


def _checksum(tensors: dict[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        data = tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total = zlib.crc32(data.numpy().data, total)
    return total


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The random generators of this process as tensors of bytes."""
    version, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    plain = {
        "python": [version, list(words), gauss],
        "numpy": {**numpy_state, "state": {k: _plain(v) for k, v in numpy_state["state"].items()}},
    }
    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    text = json.dumps(plain).encode().ljust(24_000)  # the same length in every rank
    return states | {"plain": torch.frombuffer(bytearray(text), dtype=torch.uint8)}


def restore_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Set the random generators of this process back."""
    if "torch" in states:
        torch.set_rng_state(states["torch"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "plain" in states:
        plain = json.loads(bytes(states["plain"].numpy()).decode())
        version, words, gauss = plain["python"]
        random.setstate((version, tuple(words), gauss))
        state = plain["numpy"]
        state["state"]["key"] = np.asarray(state["state"]["key"], np.uint32)
        np.random.set_state(state)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
