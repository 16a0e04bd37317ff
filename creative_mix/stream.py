"""The model over a stream: a block of both recordings in, a block of the performance out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .audio import FloatArray
from .constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from .controls import Controls, bias_vector, check_bias
from .errors import CreativeMixError, DeviceError, ModelFileError, OptionError
from .options import Device
from .renderer import read_info
from .runtime import load_runtime, open_session


@dataclass(frozen=True)
class StreamBlock:
    """What the model makes of a block, late by the stream's latency."""

    mix: FloatArray
    """The piano's performance, shape (C, N)."""

    weights: FloatArray
    """The selector's weight of every component in every frame, shape (6, N / 512)."""

    strikes: FloatArray
    """The probability of a strike in every frame, shape (N / 512,)."""


class Stream:
    """The model in its streaming form, loaded and ready for the first block.

    Joined, and shifted by the latency, the blocks are what `Renderer` makes of the whole.  Loudness
    and peaks are left as the model makes them.

    Args:
        model_path: an ONNX file that `creative-mix export --stream` wrote.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads, at least 1; by default as many as there are cores.

    Raises:
        RuntimeMissingError: no ONNX Runtime is installed.
        DeviceError: `device` is "cuda" and CUDA cannot be used.
        ModelFileError: the file is missing or not such a model.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str],
        device: Device = "auto",
        threads: int | None = None,
    ) -> None:
        path = Path(model_path)
        session = open_session(path, device, threads)
        self._session = session.run
        self._value = load_runtime().OrtValue.ortvalue_from_numpy
        self.device = session.device
        self.threads = session.threads
        self.notice = session.notice
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info = read_info(path, metadata)
        try:
            self.latency_samples = int(metadata["latency_samples"])
            self.channels = int(metadata["channels"])
            names = metadata["state_names"].split(",")
            fixed = metadata["block_samples"]
        except (KeyError, ValueError) as error:
            raise ModelFileError(
                f"{path}: takes whole recordings, not a stream ({error} is not in its metadata); "
                "write one with `creative-mix export --stream`"
            ) from error
        self.block_samples = int(fixed) if fixed.isdigit() else None
        self._inputs = [f"in_{name}" for name in names]
        defaults = self._session.get_overridable_initializers()
        states = [each.shape for each in defaults if each.name in self._inputs]
        self.state_bytes = 4 * sum(prod(shape) for shape in states)
        self._outputs = ["mix", "weights", "strikes", *(f"out_{name}" for name in names)]
        self._state: dict[str, Any] = {}

    @property
    def latency_s(self) -> float:
        """Seconds from a sound that comes in to what is made of it."""
        return self.latency_samples / SAMPLE_RATE

    def reset(self) -> None:
        """Forget what has been heard: the next block is the first, after endless silence."""
        self._state = {}

    def process(
        self,
        drums: FloatArray,
        piano: FloatArray,
        bias: Mapping[str, float] | FloatArray | None = None,
        density: float = 1.0,
        dynamics: float = 1.0,
    ) -> StreamBlock:
        """Return the next block of the performance.

        What is asked for holds for the sounds of this block, and so is heard with them.

        Args:
            drums: samples at 44.1 kHz, a multiple of 512; mono does for every channel.
            piano: as many samples.
            bias: added to the selection of the components: by name, all six in order, or all six in
                each of the block's frames.
            density: share of the strikes that stay, the strongest first, 0 to 1.
            dynamics: factor on the differences between loud and soft strikes, 0 to 2.

        Shape: drums and piano (C, N) or (1, N), bias (6,) or (6, N / 512) -> mix (C, N).

        Raises:
            OptionError: a shape or a value is not what the model takes.
            DeviceError: the model could not be run.
            CreativeMixError: the model gave a number that is not finite.
        """
        if bias is None or isinstance(bias, Mapping):
            bias = bias_vector(bias)
        given = {
            "drums": self._checked("drums", drums),
            "piano": self._checked("piano", piano),
            **_bias_feeds(np.asarray(bias, np.float32), drums.shape[1] // HOP_LENGTH),
            **Controls(density, dynamics).feeds(0, 0),
        }
        if given["drums"].shape != given["piano"].shape:
            raise OptionError(
                f"drums of {drums.shape[1]} samples and piano of {piano.shape[1]} do not go "
                "together; give blocks of one length"
            )
        feeds = {name: self._value(value) for name, value in given.items()}
        try:
            made = self._session.run_with_ort_values(self._outputs, {**feeds, **self._state})
        except Exception as error:
            # The runtime has a class of its own for every kind of failure.
            reason = str(error).splitlines()[0][:160]
            raise DeviceError(f"the model failed on the {self.device} ({reason})") from error
        mix, weights, strikes = (value.numpy()[0] for value in made[:3])
        if not np.isfinite(mix).all():
            raise CreativeMixError(
                "the model gave a number that is not finite; check the recordings' levels"
            )
        self._state = dict(zip(self._inputs, made[3:], strict=True))
        return StreamBlock(mix, weights, strikes)

    def _checked(self, name: str, samples: FloatArray) -> FloatArray:
        """Samples as the model takes them, shape (1, C, N)."""
        if samples.ndim != 2 or samples.shape[0] not in (1, self.channels):
            raise OptionError(
                f"{name} of shape {samples.shape}; give (channels, samples), "
                f"of {self.channels} channel{'s' if self.channels > 1 else ''}"
                f"{' or one' if self.channels > 1 else ''}"
            )
        count = samples.shape[1]
        if self.block_samples is not None and count != self.block_samples:
            raise OptionError(
                f"a block of {count} samples; this model takes {self.block_samples} at a time"
            )
        if count == 0 or count % HOP_LENGTH:
            raise OptionError(f"a block of {count} samples; give a multiple of {HOP_LENGTH}")
        if not np.isfinite(samples).all():  # it would stay in the state
            raise OptionError(f"{name} has a NaN or infinite sample; leave it out")
        whole = np.broadcast_to(samples.astype(np.float32), (self.channels, count))
        return np.ascontiguousarray(whole[None])


def _bias_feeds(bias: FloatArray, frames: int) -> dict[str, FloatArray]:
    """The model's inputs for a bias of a block, or of each of its frames."""
    plain, curve = (len(COMPONENT_NAMES),), (len(COMPONENT_NAMES), frames)
    check_bias(bias)
    if bias.shape == plain:
        return {"bias": bias[None]}
    if bias.shape == curve:
        return {"bias_curve": bias[None]}
    raise OptionError(f"bias of shape {bias.shape}; give {plain} or {curve}")
