"""A tiny model with the real one's interface, for tests of everything around it.

`mix` is the piano times a moving average of the drums' power, over four seconds back and five
frames ahead: enough for a wrong chunk border to show.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE

LOOKBACK_FRAMES = 40
LOOKAHEAD_FRAMES = 5
LEAST_SAMPLES = 2048


def write_standin(path: Path, can_skip: bool = False) -> Path:
    """Write the model to `path` and return it.

    With `can_skip` it takes the optional input "skip_frames" and gives out what follows them.
    """
    width = LOOKBACK_FRAMES + 1 + LOOKAHEAD_FRAMES
    kernel = np.exp(-np.arange(width)[::-1] / 10.0).astype(np.float32)
    kernel /= kernel.sum()
    constants = {
        "hop": np.array([HOP_LENGTH], np.int64),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "axis_last": np.array([2], np.int64),
        "axis_channel": np.array([1], np.int64),
        "kernel": kernel.reshape(1, 1, -1),
        "hop_kernel": np.full((1, 1, HOP_LENGTH), 1.0 / HOP_LENGTH, np.float32),
        "louder": np.array([400.0], np.float32),
        "threshold": np.array([0.05], np.float32),
        "mask": np.array([1, 0, 0, 0, 0, 1], np.float32).reshape(1, 6, 1),
    }
    node = helper.make_node
    nodes = [
        # frames = ceil(samples / hop): pad the end to whole frames.
        node("Shape", ["drums"], ["shape"]),
        node("Gather", ["shape", "axis_last"], ["samples"], axis=0),
        node("Mod", ["samples", "hop"], ["over"]),
        node("Sub", ["hop", "over"], ["short"]),
        node("Mod", ["short", "hop"], ["pad"]),
        node("Concat", ["zero", "zero", "zero", "zero", "zero", "pad"], ["pads"], axis=0),
        node("Mul", ["drums", "drums"], ["power"]),
        node("ReduceMean", ["power", "axis_channel"], ["mono"], keepdims=1),
        node("Pad", ["mono", "pads"], ["whole"]),
        node("Conv", ["whole", "hop_kernel"], ["framed"], strides=[HOP_LENGTH]),
        node("Conv", ["framed", "kernel"], ["smooth"], pads=[LOOKBACK_FRAMES, LOOKAHEAD_FRAMES]),
        node("Mul", ["smooth", "louder"], ["scaled"]),
        node("Sqrt", ["scaled"], ["gain"]),
        # The bias shows in the sound, so that its way through can be tested.
        node("Softmax", ["bias"], ["chosen"], axis=1),
        node("Unsqueeze", ["chosen", "axis_last"], ["columns"]),
        node("Shape", ["gain"], ["gain_shape"]),
        node("Gather", ["gain_shape", "axis_last"], ["frames"], axis=0),
        node("Concat", ["one", "one", "frames"], ["spread_shape"], axis=0),
        node("Expand", ["columns", "spread_shape"], ["weights"]),
        node("Mul", ["weights", "mask"], ["masked"]),
        node("ReduceSum", ["masked", "axis_channel"], ["share"], keepdims=1),
        node("Mul", ["gain", "share"], ["biased"]),
        # Every frame's gain for its 512 samples.
        node("Unsqueeze", ["biased", "axis_deep"], ["column"]),
        node("Expand", ["column", "column_shape"], ["held"]),
        node("Reshape", ["held", "flat_shape"], ["envelope_long"]),
        node("Slice", ["envelope_long", "zero", "samples", "axis_last"], ["envelope"]),
        node("Mul", ["piano", "envelope"], ["mix"]),
        node("Squeeze", ["gain", "axis_channel"], ["loud"]),
        node("Sub", ["loud", "threshold"], ["above"]),
        node("Sigmoid", ["above"], ["strikes"]),
    ]
    constants["axis_deep"] = np.array([3], np.int64)
    constants["column_shape"] = np.array([1, 1, 1, HOP_LENGTH], np.int64)
    constants["flat_shape"] = np.array([0, 1, -1], np.int64)
    if can_skip:
        constants["skip_frames"] = np.array([0], np.int64)
        renamed = {"mix": "mix_all", "weights": "weights_all", "strikes": "strikes_all"}
        for each in nodes:
            each.input[:] = [renamed.get(name, name) for name in each.input]
            each.output[:] = [renamed.get(name, name) for name in each.output]
        nodes += [
            node("Mul", ["skip_frames", "hop"], ["skip_samples"]),
            node("Slice", ["mix_all", "skip_samples", "samples", "axis_last"], ["mix"]),
            node("Slice", ["weights_all", "skip_frames", "frames", "axis_last"], ["weights"]),
            node("Slice", ["strikes_all", "skip_frames", "frames", "axis_channel"], ["strikes"]),
        ]

    def tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    # An input that is an initializer, too, may be left out.
    optional = [helper.make_tensor_value_info("skip_frames", TensorProto.INT64, [1])]

    graph = helper.make_graph(
        nodes,
        "standin",
        [
            tensor("drums", "batch", "drum_channels", "samples"),
            tensor("piano", "batch", "piano_channels", "samples"),
            tensor("bias", "batch", 6),
            *(optional if can_skip else []),
        ],
        [
            tensor("mix", "batch", "piano_channels", "made_samples"),
            tensor("weights", "batch", 6, "made_frames"),
            tensor("strikes", "batch", "made_frames"),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(
        model,
        {
            "format_version": "1",
            "sample_rate": str(SAMPLE_RATE),
            "hop_length": str(HOP_LENGTH),
            "lookback_frames": str(LOOKBACK_FRAMES),
            "lookahead_frames": str(LOOKAHEAD_FRAMES),
            "least_samples": str(LEAST_SAMPLES),
            "component_names": ",".join(COMPONENT_NAMES),
            "version": "standin",
            "licence": "MIT",
        },
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path
