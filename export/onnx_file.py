"""Writes the model as one self-contained ONNX file with float16 weights under their torch names."""

from __future__ import annotations

import copy
import dataclasses
import json
import tempfile
import warnings
from collections.abc import Mapping
from importlib import metadata as distribution
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from creative_mix.export.field import LEAST_SAMPLES, receptive_field, settling_frames
from creative_mix.export.half import compute_in_half
from creative_mix.model.restrike import struck_keys
from creative_mix.model.rhythm import strike_times
from creative_mix.model.system import Controls, CreativeMix

OPSET = 17
"""Written by default: the least that holds every operator of the graph."""
OPSETS = (17, 20)
"""Lowest and highest that torch's exporter writes and that the tests run."""
Precision = Literal["fp32", "fp16"]
INPUTS = ("drums", "piano", "bias")
OPTIONAL: dict[str, NDArray[Any]] = {
    "skip_frames": np.zeros(1, np.int64),
    "bias_curve": np.zeros((1, len(COMPONENT_NAMES), 1), np.float32),
    "density": np.ones(1, np.float32),
    "dynamics": np.ones(1, np.float32),
}
"""Inputs with a default, which nobody needs who renders in one piece and as it is."""
OUTPUTS = ("mix", "weights", "strikes", "onsets", "timing", "levels", "keys")
DYNAMIC = {
    "drums": {0: "batch", 1: "drum_channels", 2: "samples"},
    "piano": {0: "batch", 1: "piano_channels", 2: "samples"},
    "bias": {0: "batch"},
    "bias_curve": {0: "curves", 2: "curve_frames"},
    "density": {0: "densities"},
    "dynamics": {0: "dynamics_"},
    "mix": {0: "batch", 1: "piano_channels", 2: "samples"},
    "weights": {0: "batch", 2: "frames"},
    "strikes": {0: "batch", 1: "frames"},
    "onsets": {0: "batch", 2: "frames"},
    "timing": {0: "batch", 1: "frames"},
    "levels": {0: "batch", 2: "frames"},
    "keys": {0: "batch", 3: "frames"},
}


class Graph(nn.Module):
    """The model with the signature of the ONNX file; of a fixed length, it has no options."""

    def __init__(self, model: CreativeMix) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        drums: Tensor,
        piano: Tensor,
        bias: Tensor,
        skip_frames: Tensor | None = None,
        bias_curve: Tensor | None = None,
        density: Tensor | None = None,
        dynamics: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        skip = 0 if skip_frames is None else _beside_sizes(skip_frames, drums)[0]
        controls = None
        if density is not None and dynamics is not None and bias_curve is not None:
            controls = Controls(density, dynamics)
            bias = bias.unsqueeze(2) + bias_curve
        result = self.model(drums, piano, bias, skip=skip, controls=controls)
        return (
            result.mix,
            result.weights[:, :, skip:],
            result.strikes[:, skip:],
            result.onsets.probability[:, :, skip:],
            strike_times(result.onsets.offset)[:, skip:],
            result.onsets.level[:, :, skip:],
            struck_keys(result.keys.voices)[:, :, :, skip:],
        )


def _beside_sizes(count: Tensor, audio: Tensor) -> Tensor:
    """The count, made to depend on a size, of which it takes nothing.

    Beside a GPU, ONNX Runtime keeps arithmetic on sizes on the host, where slices want their
    bounds; a count that is an input alone it would send to the GPU and fetch back at every use.
    """
    return count + torch._shape_as_tensor(audio)[2:] * 0


def export_onnx(
    model: CreativeMix,
    path: str | Path,
    *,
    version: str | None = None,
    precision: Precision = "fp16",
    opset: int = OPSET,
    static_samples: int | None = None,
    compute: Precision = "fp32",
) -> None:
    """Write ``path``, a checked ONNX file with dynamic batch, channels and length.

    Parameters
    ----------
    model : the torch model
    path : where to write; an existing file is replaced once the new one is whole
    version : of the weights; the package's own by default
    precision : in which the weights are stored
    opset : the ONNX version, within OPSETS
    static_samples : the one length that the file takes, for runtimes that want it fixed; such a
        file has none of the optional inputs
    compute : the arithmetic of the networks; "fp16" is for GPUs, and slower on most CPUs
    """
    path = Path(path)
    graph = Graph(model).eval()
    samples = static_samples or 40 * HOP_LENGTH + 100
    example: tuple[Tensor, ...] = (
        torch.randn(1, 2, samples) * 0.1,
        torch.randn(1, 2, samples) * 0.1,
        torch.zeros(1, 6),
    )
    names, dynamic = list(INPUTS), DYNAMIC
    if static_samples is None:
        names += OPTIONAL
        example = (*example, torch.tensor([20]))
        example = (*example, torch.zeros(1, 6, 1), torch.ones(1), torch.ones(1))
    else:
        dynamic = _fixed(DYNAMIC)
    proto = trace(graph, example, names, list(OUTPUTS), dynamic, opset, path.parent)
    settle_weights(proto, model, precision)
    if compute == "fp16":
        compute_in_half(proto)
    if static_samples is None:
        add_defaults(proto, OPTIONAL)
    else:
        fix_outputs(proto, static_samples)
    describe(proto, model, version, compute)
    write_checked(proto, path)


def trace(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    names: list[str],
    outputs: list[str],
    dynamic: Mapping[str, Mapping[int, str]],
    opset: int,
    folder: Path,
) -> onnx.ModelProto:
    """The graph as torch's exporter writes it; nothing stays in the folder."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        raw = Path(inside) / "raw.onnx"
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                example,
                str(raw),
                input_names=names,
                output_names=outputs,
                dynamic_axes=dynamic,
                opset_version=opset,
                do_constant_folding=False,
                dynamo=False,
            )
        proto = onnx.load(str(raw))
    share_constants(proto)
    return proto


def share_constants(proto: onnx.ModelProto) -> None:
    """Keep each constant once, as an initializer: torch writes it anew wherever it is used."""
    names: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    shared = {}
    nodes = []
    for node in proto.graph.node:
        if node.op_type != "Constant" or node.attribute[0].name != "value":
            nodes.append(node)
            continue
        tensor = node.attribute[0].t
        content = (tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
        if content not in names:
            names[content] = tensor.name = node.output[0]
            proto.graph.initializer.append(tensor)
        shared[node.output[0]] = names[content]
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = shared.get(name, name)
    nodes = [copy.deepcopy(node) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def settle_weights(proto: onnx.ModelProto, model: CreativeMix, precision: Precision) -> None:
    """See to it that every parameter is there under its own name, in the precision asked for."""
    parameters = {f"model.{name}": value for name, value in model.named_parameters()}
    restore_duplicates(proto, parameters)
    if precision == "fp16":
        halve_weights(proto, set(parameters))


def add_defaults(proto: onnx.ModelProto, defaults: Mapping[str, NDArray[Any]]) -> None:
    """Give inputs a value that holds where a host leaves them out."""
    for name, default in defaults.items():
        proto.graph.initializer.append(numpy_helper.from_array(default, name))


def write_checked(proto: onnx.ModelProto, path: Path) -> None:
    """Check the graph and write it, under another name until it is whole."""
    onnx.checker.check_model(proto, full_check=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / path.name
        onnx.save(proto, str(whole))
        whole.replace(path)


def _fixed(axes: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, str]]:
    """The dynamic axes without those of length."""
    return {
        name: {axis: size for axis, size in sizes.items() if size not in ("samples", "frames")}
        for name, sizes in axes.items()
    }


def fix_outputs(proto: onnx.ModelProto, samples: int) -> None:
    """Say the outputs' lengths where the exporter left names."""
    lengths = {"samples": samples, "frames": -(-samples // HOP_LENGTH)}
    for value in proto.graph.output:
        for axis, size in DYNAMIC[value.name].items():
            if size in lengths:
                value.type.tensor_type.shape.dim[axis].dim_value = lengths[size]


def restore_duplicates(proto: onnx.ModelProto, parameters: Mapping[str, Tensor]) -> None:
    """Give back the parameters that torch replaced by another of the same values."""
    present = {tensor.name for tensor in proto.graph.initializer}
    for node in [n for n in proto.graph.node if n.op_type == "Identity"]:
        if node.output[0] in parameters:
            proto.graph.node.remove(node)
    for name in parameters.keys() - present:
        value = parameters[name].detach().cpu().numpy()
        proto.graph.initializer.append(numpy_helper.from_array(value, name))


def halve_weights(proto: onnx.ModelProto, names: set[str]) -> None:
    """Store parameters as float16 under their own names, cast to float32 where they are used."""
    casts = []
    full = {}
    for tensor in proto.graph.initializer:
        if tensor.name not in names or tensor.data_type != TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(tensor).astype(np.float16)
        full[tensor.name] = f"{tensor.name}.float32"
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        casts.append(
            helper.make_node("Cast", [tensor.name], [full[tensor.name]], to=TensorProto.FLOAT)
        )
    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            if name in full:
                node.input[place] = full[name]
    for cast in reversed(casts):
        proto.graph.node.insert(0, cast)


def describe(
    proto: onnx.ModelProto,
    model: CreativeMix,
    version: str | None,
    compute: Precision = "fp32",
    more: Mapping[str, object] | None = None,
) -> None:
    """Metadata that any runtime can read; without a version, with the package's own."""
    lookback, lookahead = receptive_field(model.config)
    entries = {
        "sample_rate": SAMPLE_RATE,
        "hop_length": HOP_LENGTH,
        "lookback_frames": lookback,
        "lookahead_frames": lookahead,
        "settling_frames": settling_frames(model.config),
        "least_samples": LEAST_SAMPLES,
        "component_names": ",".join(COMPONENT_NAMES),
        "version": version or distribution.version("creative-mix"),
        "licence": "MIT",
        "format_version": 1,
        "compute": compute,
        "model_config": json.dumps(dataclasses.asdict(model.config)),
        **(more or {}),
    }
    for key, value in entries.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, str(value)
    proto.producer_name = "creative-mix"
