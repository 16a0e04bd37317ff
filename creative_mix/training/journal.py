"""Where a run tells of itself: the terminal, a JSON-lines file, TensorBoard."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.flags import Flag
from creative_mix.training.monitors import Record, progress_line, time_left

LOG = "log.jsonl"
IMAGE_BANDS, IMAGE_RANGE_DB = 128, 80.0


class Journal:
    """Tells of a run; on all ranks but the first it is silent.

    Args:
        folder: for `log.jsonl` and `tensorboard/`.
        steps: of the whole run.
        say: takes a line of text.
        tensorboard: whether to write TensorBoard files.
        speaks: whether this rank is the one that tells.
        live: whether a terminal shows the line of progress in place.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        say: Callable[[str], None],
        tensorboard: bool = False,
        speaks: bool = True,
        live: bool = False,
    ) -> None:
        self.folder, self.steps, self.speaks = folder, steps, speaks
        self._say = say if speaks else lambda line: None
        self._bar = _Bar(steps) if live and speaks else None
        self._board: Any = None
        if speaks:
            folder.mkdir(parents=True, exist_ok=True)
        if tensorboard and speaks:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError:
                self.say("tensorboard is not installed: pip install 'creative-mix[train]'")
            else:
                self._board = SummaryWriter(str(folder / "tensorboard"))

    def say(self, line: str) -> None:
        """A line of text."""
        if self._bar:
            self._bar.clear()
        self._say(line)

    def rewind(self, step: int) -> None:
        """Take back what was logged after a step that the run goes on from."""
        path = self.folder / LOG
        if not self.speaks or not path.is_file():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue  # a killed process may leave a half line
        temporary = path.with_name(LOG + ".tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        temporary.replace(path)

    def tick(self, step: int) -> None:
        """A step is done."""
        if self._bar:
            self._bar.show(step)

    def progress(self, step: int, record: Record) -> None:
        """Losses, norms, selection and speed."""
        self._log({"step": step, **record})
        if self._bar:
            self._bar.show(step, record)
        else:
            self.say(progress_line(step, self.steps, record))
        if self._board:
            for group, values in record.items():
                for name, value in values.items():
                    self._board.add_scalar(f"{group}/{name}", value, step)

    def flag(self, flag: Flag) -> None:
        """A red flag."""
        self._log(
            {"step": flag.step, "flag": flag.name, "finding": flag.finding, "remedy": flag.remedy}
        )
        self.say(flag.line())
        if self._board:
            self._board.add_text("red flags", flag.line(), flag.step)

    def validation(self, step: int, scores: dict[str, float], best: bool) -> None:
        """Scores of a validation."""
        self._log({"step": step, "validation": scores, "best": best})
        told = " ".join(f"{name}={value:.4f}" for name, value in scores.items())
        self.say(f"step {step}/{self.steps} validation {told}{' (best so far)' if best else ''}")
        if self._board:
            for name, value in scores.items():
                self._board.add_scalar(f"validation/{name}", value, step)

    def sounds(self, step: int, sounds: dict[str, np.ndarray]) -> None:
        """Audio and its spectrogram, by name."""
        if not self._board:
            return
        for name, audio in sounds.items():
            peak = max(1.0, float(np.abs(audio).max()))
            self._board.add_audio(name, audio[None] / peak, step, SAMPLE_RATE)
            self._board.add_image(f"{name}/mel", draw_mel(audio), step, dataformats="HW")

    def close(self) -> None:
        """Write out what is left."""
        if self._bar:
            self._bar.clear()
        if self._board:
            self._board.close()

    def _log(self, entry: dict[str, Any]) -> None:
        if self.speaks:
            with open(self.folder / LOG, "a", encoding="utf-8") as log:
                log.write(json.dumps(_finite(entry), allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """The value as JSON can have it: null for what is not a finite number."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw_mel(audio: np.ndarray) -> np.ndarray:
    """A mel spectrogram as an image, low tones below: uint8 (bands, frames)."""
    from creative_mix.evaluation.features import Features

    level_db = 10 * np.log10(np.maximum(Features(audio).mel_power, 1e-10))
    above = level_db - (level_db.max() - IMAGE_RANGE_DB)
    image: np.ndarray = np.clip(above / IMAGE_RANGE_DB * 255, 0, 255).astype(np.uint8)[::-1]
    return image


class _Bar:
    """A line on a terminal that is written over."""

    WIDTH = 20

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._told = ""

    def show(self, step: int, record: Record | None = None) -> None:
        if record is not None:
            speed = record["speed"]
            self._told = (
                f" loss {record['total']['loss']:.3f} mel {record['terms']['mel']:.3f} "
                f"{speed['steps_per_s']:.2f} steps/s, {100 * speed['waiting']:.0f} % waiting, "
                f"{time_left(self.steps - step, speed)} left"
            )
        done = self.WIDTH * step // self.steps
        bar = "#" * done + "-" * (self.WIDTH - done)
        line = f"[{bar}] {step}/{self.steps}{self._told}"
        sys.stdout.write("\r\x1b[K" + line[: os.get_terminal_size().columns - 1])
        sys.stdout.flush()

    def clear(self) -> None:
        sys.stdout.write("\r\x1b[K")
        sys.stdout.flush()
