"""Writes the streaming form of the model: blocks in, blocks out, and the past as a state."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, VOICE_NAMES
from creative_mix.export.onnx_file import (
    OPSET,
    Precision,
    add_defaults,
    describe,
    settle_weights,
    trace,
    write_checked,
)
from creative_mix.model.block import Made
from creative_mix.model.streaming import BlockControls, StreamingMix
from creative_mix.model.system import CreativeMix

AUDIO = ("drums", "piano")
CONTROLS = {
    "bias": np.zeros((1, len(COMPONENT_NAMES)), np.float32),
    "bias_curve": np.zeros((1, len(COMPONENT_NAMES), 1), np.float32),
    "density": np.ones(1, np.float32),
    "dynamics": np.ones(1, np.float32),
}
"""What a player may ask for; all of it may be left out."""
STATE_IN, STATE_OUT = "in_", "out_"
"""Before the name of a state where it goes in and where it comes out."""
DYNAMIC = {
    "drums": {2: "samples"},
    "piano": {2: "samples"},
    "bias_curve": {2: "curve_frames"},
    "mix": {2: "samples"},
    "weights": {2: "frames"},
    "strikes": {1: "frames"},
    "onsets": {2: "frames"},
    "timing": {1: "frames"},
    "levels": {2: "frames"},
    "keys": {3: "frames"},
}


class StreamGraph(nn.Module):
    """The streaming model with the signature of its ONNX file."""

    def __init__(self, model: CreativeMix, channels: int) -> None:
        super().__init__()
        self.model = model
        self.stream = StreamingMix(model, channels)

    def forward(
        self,
        drums: Tensor,
        piano: Tensor,
        bias: Tensor,
        bias_curve: Tensor,
        density: Tensor,
        dynamics: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        frames = drums.shape[2] // HOP_LENGTH
        controls = BlockControls(
            (bias.unsqueeze(2) + bias_curve).expand(-1, -1, frames),
            density.unsqueeze(1).expand(-1, frames),
            dynamics.unsqueeze(1).expand(-1, frames),
        )
        past = dict(zip(self.stream.needs, state, strict=True))
        made, rest = self.stream(drums, piano, controls, past)
        return (*made, *rest.values())


def export_stream(
    model: CreativeMix,
    path: str | Path,
    *,
    channels: int = 2,
    version: str | None = None,
    precision: Precision = "fp16",
    opset: int = OPSET,
    block_samples: int | None = None,
) -> int:
    """Write ``path``, a checked ONNX file that takes one pair block by block.

    Its state before the first block, which is that after endless silence, is in the file. Returns
    the latency in samples.

    Parameters
    ----------
    model : the torch model
    path : where to write; an existing file is replaced once the new one is whole
    channels : of the drums and of the piano
    version : of the weights; the package's own by default
    precision : in which the weights are stored; the arithmetic is float32 either way
    opset : the ONNX version, within OPSETS
    block_samples : the one length of a block that the file takes, a multiple of 512; a fixed length
        spares the runtime the arithmetic of sizes
    """
    path = Path(path)
    if precision == "fp16":
        # What is stored is what makes the silence.
        model = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter.half().float())
    graph = StreamGraph(model, channels).eval()
    state = graph.stream.silence()
    audio = torch.randn(1, channels, block_samples or 3 * HOP_LENGTH) * 0.1
    controls = {name: torch.from_numpy(value) for name, value in CONTROLS.items()}
    outputs = [*Made._fields, *(STATE_OUT + name for name in state)]
    proto = trace(
        graph,
        (audio, audio.flip(2), *controls.values(), *state.values()),
        [*AUDIO, *CONTROLS, *(STATE_IN + name for name in state)],
        outputs,
        DYNAMIC if block_samples is None else {"bias_curve": DYNAMIC["bias_curve"]},
        opset,
        path.parent,
    )
    settle_weights(proto, model, precision)
    add_defaults(proto, {**CONTROLS, **{STATE_IN + n: v.numpy() for n, v in state.items()}})
    fix_shapes(proto, state, channels, block_samples)
    latency_samples = graph.stream.latency_frames * HOP_LENGTH
    describe(
        proto,
        model,
        version,
        more={
            "form": "stream",
            "latency_samples": latency_samples,
            "channels": channels,
            "block_samples": block_samples or f"any multiple of {HOP_LENGTH}",
            "state_names": ",".join(state),
        },
    )
    write_checked(proto, path)
    return latency_samples


def fix_shapes(
    proto: onnx.ModelProto, state: dict[str, Tensor], channels: int, block_samples: int | None
) -> None:
    """Say the outputs' sizes where the exporter left names that mean nothing."""
    samples: int | str = block_samples or "samples"
    frames: int | str = block_samples // HOP_LENGTH if block_samples else "frames"
    voices = len(VOICE_NAMES)
    shapes: dict[str, tuple[int | str, ...]] = {
        "mix": (1, channels, samples),
        "weights": (1, len(COMPONENT_NAMES), frames),
        "strikes": (1, frames),
        "onsets": (1, voices, frames),
        "timing": (1, frames),
        "levels": (1, voices, frames),
        "keys": (1, voices, 88, frames),
    }
    shapes |= {STATE_OUT + name: tuple(value.shape) for name, value in state.items()}
    for value in proto.graph.output:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            dim.Clear()
            if isinstance(size, str):
                dim.dim_param = size
            else:
                dim.dim_value = size
