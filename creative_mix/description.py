"""What a model file says of itself and what it is made of, without the `onnx` package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from .constants import HOP_LENGTH, SAMPLE_RATE
from .errors import ModelFileError
from .renderer import WEIGHTS_PATH, read_info
from .runtime import load_runtime, open_session

# Field numbers of the ONNX format, which is protobuf.
_MODEL_GRAPH, _MODEL_OPSET = 7, 8
_GRAPH_INITIALIZER = 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME = 1, 2, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_TYPE_NAMES = {1: "float32", 7: "int64", 10: "float16", 11: "float64"}
_PARAMETER_PREFIX = "model."


@dataclass(frozen=True)
class Port:
    """An input or an output of the graph."""

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    """Sizes; a name stands for one that is free."""

    optional: bool = False


@dataclass(frozen=True)
class ModelDescription:
    """A model file, described."""

    path: str
    size_bytes: int
    opset: int
    parameters: int
    parameter_types: tuple[str, ...]
    """Types in which the parameters are stored."""

    lookback_s: float
    lookahead_s: float
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, str]
    runtime: str
    """Version of the installed ONNX Runtime."""

    providers: tuple[str, ...]
    """Execution providers of the installed ONNX Runtime."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def describe_model(path: Path | None = None) -> ModelDescription:
    """Return what is known of a model file; by default, of the one that ships.

    Raises:
        RuntimeMissingError: no ONNX Runtime is installed.
        ModelFileError: the file is missing, no ONNX file, or not one of ours.
    """
    path = WEIGHTS_PATH if path is None else path
    session = open_session(path, "cpu", 1).run
    metadata = dict(sorted(session.get_modelmeta().custom_metadata_map.items()))
    info = read_info(path, metadata)
    opset, stored = _read_graph(path)
    runtime = load_runtime()
    return ModelDescription(
        path=str(path),
        size_bytes=path.stat().st_size,
        opset=opset,
        parameters=sum(count for _, count in stored),
        parameter_types=tuple(sorted({kind for kind, _ in stored})),
        lookback_s=info.lookback_frames * HOP_LENGTH / SAMPLE_RATE,
        lookahead_s=info.lookahead_frames * HOP_LENGTH / SAMPLE_RATE,
        inputs=(
            *(_port(each) for each in session.get_inputs()),
            *(_port(each, optional=True) for each in session.get_overridable_initializers()),
        ),
        outputs=tuple(_port(each) for each in session.get_outputs()),
        metadata=metadata,
        runtime=runtime.__version__,
        providers=tuple(runtime.get_available_providers()),
    )


def _port(argument: Any, optional: bool = False) -> Port:
    kind = argument.type.removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
    sizes = tuple("?" if size is None else size for size in argument.shape)
    return Port(argument.name, dtype, sizes, optional)


def _read_graph(path: Path) -> tuple[int, list[tuple[str, int]]]:
    """Return the opset, and type and size of every parameter."""
    opset = 0
    stored = []
    try:
        for number, body in _fields(memoryview(path.read_bytes())):
            if number == _MODEL_OPSET:
                told = dict(_fields(body))
                if not bytes(told.get(_OPSET_DOMAIN, b"")):
                    opset = told.get(_OPSET_VERSION, 0)
            if number != _MODEL_GRAPH:
                continue
            for kind, tensor in _fields(body):
                if kind == _GRAPH_INITIALIZER and (found := _parameter(tensor)):
                    stored.append(found)
    except (IndexError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: a torn ONNX file; export it again") from error
    return opset, stored


def _parameter(tensor: memoryview) -> tuple[str, int] | None:
    """Return a tensor's type and size if it is a parameter of the model."""
    name, kind, dims = "", 0, []
    for number, value in _fields(tensor):
        if number == _TENSOR_NAME:
            name = str(value, "utf-8")
        elif number == _TENSOR_TYPE:
            kind = value
        elif number == _TENSOR_DIMS:
            # One by one, or packed into one field.
            dims += [value] if isinstance(value, int) else list(_varints(value))
    if not name.startswith(_PARAMETER_PREFIX):
        return None
    return _TYPE_NAMES.get(kind, f"type {kind}"), prod(dims)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of a message's fields: an int, or a view of the bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(wire, -1)
        if size < 0 or at + size > len(message):
            raise ValueError("a field that does not fit")
        yield number, message[at : at + size]
        at += size


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
