"""The model run over recordings of any length, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .audio import FloatArray
from .binding import bind
from .constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from .controls import PLAIN, Controls, bias_vector, check_bias
from .errors import CreativeMixError, DeviceError, ModelFileError, OptionError
from .options import Device
from .runtime import open_session

WEIGHTS_PATH = Path(__file__).parent / "weights" / "creative_mix.onnx"
"""The model that comes with the package."""

CHUNK_FRAMES = 736
"""Frames that one call of the model adds to the result, 8.5 s: more saves little time."""

FORMAT_VERSION = "1"

SKIP_INPUT = "skip_frames"
"""Optional input of a model: leading frames that only serve as context and are not given out."""

NOTE_OUTPUTS = ("onsets", "timing", "levels", "keys")
"""Outputs of a model that tell which notes are struck; one of the older form has none of them."""

Read = Callable[[int, int], FloatArray]
"""`read(start, stop)` gives these samples of a recording, shape (C, stop - start)."""

Progress = Callable[[float], None]
"""Called with the share that is done, 0..1."""


@dataclass(frozen=True)
class NoteFrames:
    """What the model says about the notes that are struck, for V voices: low, inner, top."""

    onsets: FloatArray
    """Probability that a voice is struck in a frame, shape (V, T)."""

    timing: FloatArray
    """Where in the frame, in samples from its first one; it may lie a little outside.  (T,)"""

    levels: FloatArray
    """How hard, as velocity / 127 of the drum hit, shape (V, T)."""

    keys: FloatArray
    """Probability that such a strike strikes each of the 88 keys, shape (V, 88, T)."""


@dataclass(frozen=True)
class Block:
    """A stretch of the result."""

    start: int
    """Its first sample."""

    mix: FloatArray
    """The piano's performance, shape (C, N)."""

    weights: FloatArray
    """The selector's weight of every component in every frame, shape (6, T)."""

    strikes: FloatArray
    """The probability of a strike in every frame, shape (T,)."""

    notes: NoteFrames | None = None
    """Where they were asked for and the model tells them."""


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself."""

    lookback_frames: int
    lookahead_frames: int
    settling_frames: int
    """Frames of silence after which more of it change nothing."""
    least_samples: int
    version: str
    licence: str


class Renderer:
    """The model, loaded and ready to render.

    A render is defined as one call of the model on the whole recordings.  Long ones go through in
    chunks that carry the model's whole receptive field, and come out the same.

    Args:
        model_path: an ONNX file that `creative-mix export` wrote; by default the model that comes
            with the package.
        device: "auto", "cpu", "cuda" or "tensorrt".
        threads: CPU threads, at least 1; by default as many as there are cores.
        chunk_frames: frames of the result that one call makes, at least 1.

    Raises:
        RuntimeMissingError: no ONNX Runtime is installed.
        DeviceError: `device` is "cuda" or "tensorrt" and cannot be used.
        ModelFileError: the file is missing, no such model, or one for streams or of a fixed length.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        device: Device = "auto",
        threads: int | None = None,
        chunk_frames: int = CHUNK_FRAMES,
    ) -> None:
        path = WEIGHTS_PATH if model_path is None else Path(model_path)
        session = open_session(path, device, threads)
        self._session = session.run
        self._call = bind(session)
        # On a GPU every new shape costs a choice of kernels, an engine, or memory.
        self._one_shape = session.device != "cpu"
        self.device = session.device
        self.threads = session.threads
        self.notice = session.notice
        self._path = path
        self._optional = {each.name for each in self._session.get_overridable_initializers()}
        self._can_skip = SKIP_INPUT in self._optional
        outputs = {each.name for each in self._session.get_outputs()}
        self.tells_notes = outputs.issuperset(NOTE_OUTPUTS)
        self.info = read_info(path, self._session.get_modelmeta().custom_metadata_map)
        self.chunk_frames = chunk_frames
        if chunk_frames < 1:
            raise OptionError(f"chunk_frames must be at least 1, not {chunk_frames}")
        if "latency_samples" in self._session.get_modelmeta().custom_metadata_map:
            raise ModelFileError(
                f"{path}: takes a stream, block by block; give a model that `creative-mix export` "
                "wrote without --stream"
            )
        fixed = next(each.shape[2] for each in self._session.get_inputs() if each.name == "piano")
        if isinstance(fixed, int):
            raise ModelFileError(
                f"{path}: takes {fixed} samples and no other length; give a model that "
                "`creative-mix export` wrote without --static-samples"
            )

    @property
    def least_samples(self) -> int:
        """Samples at 44.1 kHz below which nothing can be rendered."""
        return self.info.least_samples

    def render(
        self,
        drums: FloatArray,
        piano: FloatArray,
        bias: Mapping[str, float] | FloatArray | None = None,
        progress: Progress | None = None,
        controls: Controls = PLAIN,
    ) -> FloatArray:
        """Return the piano's performance in the rhythm of the drums.

        Args:
            drums: samples at 44.1 kHz.
            piano: as many samples, at 44.1 kHz.
            bias: added to the selection of the components: by name, or all six in order.
            progress: called with the share that is done.
            controls: what else is asked of the model.

        Shape: drums (C', N), piano (C, N) -> (C, N).

        Raises:
            OptionError: the shapes do not go together, or a bias is out of range.
            ModelFileError: the model has no input for one of the controls.
        """
        if drums.ndim != 2 or piano.ndim != 2 or drums.shape[1] != piano.shape[1]:
            raise OptionError(
                f"drums {drums.shape} and piano {piano.shape} do not go together; "
                "give (channels, samples) of one length"
            )
        out = np.empty(piano.shape, np.float32)
        for block in self.render_blocks(
            lambda start, stop: drums[:, start:stop],
            lambda start, stop: piano[:, start:stop],
            drums.shape[1],
            bias,
            controls,
        ):
            stop = block.start + block.mix.shape[1]
            out[:, block.start : stop] = block.mix
            if progress is not None:
                progress(stop / drums.shape[1])
        return out

    def render_blocks(
        self,
        read_drums: Read,
        read_piano: Read,
        length: int,
        bias: Mapping[str, float] | FloatArray | None = None,
        controls: Controls = PLAIN,
        with_notes: bool = False,
    ) -> Iterator[Block]:
        """Yield the performance in order, in blocks that end on a frame or with the recording.

        Args:
            read_drums: gives samples of the drums at 44.1 kHz.
            read_piano: gives samples of the piano at 44.1 kHz.
            length: samples of both.
            bias: as for `render`.
            controls: as for `render`.
            with_notes: whether the blocks shall tell the notes, as far as the model does.

        Raises:
            ModelFileError: the model has no input for one of the controls.
            OptionError: `length` is below `least_samples`, or a bias is out of range.
            DeviceError: the model could not be run, for lack of memory above all.
            CreativeMixError: the model gave a number that is not finite.
        """
        if length < self.least_samples:
            raise OptionError(f"{length} samples are too few; the model needs {self.least_samples}")
        if bias is None or isinstance(bias, Mapping):
            bias = bias_vector(bias)
        bias = np.asarray(bias, np.float32)
        if bias.shape != (len(COMPONENT_NAMES),):
            raise OptionError(f"bias of shape {bias.shape}; give ({len(COMPONENT_NAMES)},)")
        check_bias(bias)
        controls.check(self._optional, str(self._path))
        outputs = ["mix", "weights", "strikes"]
        if with_notes and self.tells_notes:
            outputs += NOTE_OUTPUTS
        frames = -(-length // HOP_LENGTH)
        for first in range(0, frames, self.chunk_frames):
            last = min(frames, first + self.chunk_frames)
            yield self._chunk(read_drums, read_piano, length, bias, controls, outputs, first, last)

    def _chunk(
        self,
        read_drums: Read,
        read_piano: Read,
        length: int,
        bias: FloatArray,
        controls: Controls,
        outputs: list[str],
        first: int,
        last: int,
    ) -> Block:
        """Return frames `first` to `last`, from all the frames that they depend on."""
        # Beyond its ends a recording is silent: the model must hear a first stroke begin. Once it
        # has settled, more silence only costs time, though on a GPU less than another shape.
        begin, end = first - self.info.lookback_frames, last + self.info.lookahead_frames
        if self._one_shape:
            end = first + self.chunk_frames + self.info.lookahead_frames
        else:
            begin = max(begin, -self.info.settling_frames)
        start, stop = begin * HOP_LENGTH, end * HOP_LENGTH
        feeds = {
            "drums": _read_padded(read_drums, start, stop, length)[None],
            "piano": _read_padded(read_piano, start, stop, length)[None],
            "bias": bias[None],
            **controls.feeds(begin, end),
        }
        skipped = first - begin if self._can_skip else 0
        if skipped:
            feeds[SKIP_INPUT] = np.array([skipped], np.int64)
        try:
            mix, weights, strikes, *told = self._call(outputs, feeds)
        except Exception as error:
            # The runtime has a class of its own for every kind of failure.
            remedy = "is there enough memory?" if self.device == "cpu" else "use --device cpu"
            reason = str(error).splitlines()[0][:160]
            raise DeviceError(
                f"the model failed on the {self.device} near {max(0, start) / SAMPLE_RATE:.1f} s "
                f"({reason}); {remedy}"
            ) from error
        origin = (begin + skipped) * HOP_LENGTH
        kept = slice(first * HOP_LENGTH - origin, min(length, last * HOP_LENGTH) - origin)
        inside = slice(first - begin - skipped, last - begin - skipped)
        block = Block(
            first * HOP_LENGTH,
            mix[0][:, kept],
            weights[0][:, inside],
            strikes[0][inside],
            NoteFrames(*(each[0][..., inside] for each in told)) if told else None,
        )
        if not np.isfinite(block.mix).all():
            raise CreativeMixError(
                "the model gave a number that is not finite near "
                f"{first * HOP_LENGTH / SAMPLE_RATE:.1f} s; "
                "check the recordings' levels"
            )
        return block


def _read_padded(read: Read, start: int, stop: int, length: int) -> FloatArray:
    """Samples from start to stop, which may lie outside 0..length: there is silence."""
    inside = np.asarray(read(max(0, start), min(length, stop)), np.float32)
    before, after = max(0, -start), max(0, stop - length)
    if not before and not after:
        return np.ascontiguousarray(inside)
    return np.pad(inside, ((0, 0), (before, after)))


def read_info(path: Path, metadata: dict[str, Any]) -> ModelInfo:
    """Return the metadata of a model, checked against what this package can run."""
    expected = {
        "format_version": FORMAT_VERSION,
        "sample_rate": str(SAMPLE_RATE),
        "hop_length": str(HOP_LENGTH),
        "component_names": ",".join(COMPONENT_NAMES),
    }
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise ModelFileError(
                f"{path}: {key} is {metadata.get(key)!r} where {value!r} is needed; "
                "give a model that `creative-mix export` of this version wrote"
            )
    try:
        lookback = int(metadata["lookback_frames"])
        return ModelInfo(
            lookback_frames=lookback,
            lookahead_frames=int(metadata["lookahead_frames"]),
            settling_frames=min(lookback, int(metadata.get("settling_frames", lookback))),
            least_samples=max(1, int(metadata["least_samples"])),
            version=metadata.get("version", ""),
            licence=metadata.get("licence", ""),
        )
    except (KeyError, ValueError) as error:
        raise ModelFileError(
            f"{path}: its metadata lacks {error}; export it again with `creative-mix export`"
        ) from error


__all__ = ["Block", "ModelInfo", "NoteFrames", "Renderer", "bias_vector", "read_info"]
