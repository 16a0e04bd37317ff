"""A tiny model with the real one's interface, for tests of everything around it.

`mix` is the piano times a moving average of the drums' power, over four seconds back and five
frames ahead: enough for a wrong chunk border to show.

In its new form it strikes, where the drums become louder at once, C2 (low) and C5 (top), as long as
the piano sounds; density and dynamics make the whole quieter.
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
STRUCK = {"low": 36, "inner": 60, "top": 72}
"""Pitch of each voice; inner is never struck."""
TIMING = 100.0
"""Where in its frame a strike lies, in samples."""
TOP_LEVEL = 0.6


def write_standin(path: Path, can_skip: bool = False, new_form: bool = False) -> Path:
    """Write the model to `path` and return it.

    With `can_skip` it takes the optional input "skip_frames" and gives out what follows them; the
    `new_form` also takes "bias_curve", "density" and "dynamics" and tells the notes.
    """
    can_skip = can_skip or new_form
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
    if new_form:
        nodes = _with_controls(nodes, constants) + _notes(constants)
    if can_skip:
        constants["skip_frames"] = np.array([0], np.int64)
        names = ("mix", "weights", "strikes", "onsets", "timing", "levels", "keys")
        renamed = {name: f"{name}_all" for name in names}
        for each in nodes:
            each.input[:] = [renamed.get(name, name) for name in each.input]
            each.output[:] = [renamed.get(name, name) for name in each.output]
        nodes += [
            node("Mul", ["skip_frames", "hop"], ["skip_samples"]),
            node("Slice", ["mix_all", "skip_samples", "samples", "axis_last"], ["mix"]),
            node("Slice", ["weights_all", "skip_frames", "frames", "axis_last"], ["weights"]),
            node("Slice", ["strikes_all", "skip_frames", "frames", "axis_channel"], ["strikes"]),
        ]
    if new_form:
        axes = {"onsets": "last", "timing": "channel", "levels": "last", "keys": "deep"}
        nodes += [
            node("Slice", [f"{name}_all", "skip_frames", "frames", f"axis_{axis}"], [name])
            for name, axis in axes.items()
        ]

    def tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    # An input that is an initializer, too, may be left out.
    optional = [helper.make_tensor_value_info("skip_frames", TensorProto.INT64, [1])]
    told = []
    if new_form:
        optional += [
            tensor("bias_curve", "curves", 6, "curve_frames"),
            tensor("density", "densities"),
            tensor("dynamics", "dynamics_"),
        ]
        told = [
            tensor("onsets", "batch", 3, "made_frames"),
            tensor("timing", "batch", "made_frames"),
            tensor("levels", "batch", 3, "made_frames"),
            tensor("keys", "batch", 3, 88, "made_frames"),
        ]

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
            *told,
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


def _with_controls(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]
) -> list[onnx.NodeProto]:
    """Return the nodes with a bias over time and a gain by density and dynamics."""
    node = helper.make_node
    constants["bias_curve"] = np.zeros((1, 6, 1), np.float32)
    constants["density"] = constants["dynamics"] = np.ones(1, np.float32)
    constants["half"] = np.array([0.5], np.float32)
    found = []
    for each in nodes:
        if "chosen" in each.output:
            found += [
                node("Unsqueeze", ["bias", "axis_last"], ["bias_column"]),
                node("Add", ["bias_column", "bias_curve"], ["biases"]),
                node("Softmax", ["biases"], ["columns"], axis=1),
                node("Mul", ["dynamics", "half"], ["lively"]),
                node("Add", ["lively", "half"], ["livelier"]),
                node("Mul", ["density", "livelier"], ["asked"]),
            ]
        elif "columns" in each.output:
            continue
        elif "biased" in each.output:
            found += [
                node("Mul", ["gain", "share"], ["biased_plain"]),
                node("Mul", ["biased_plain", "asked"], ["biased"]),
            ]
        else:
            found.append(each)
    return found


def _notes(constants: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    """Return the nodes of what tells the notes."""
    node = helper.make_node
    struck = np.zeros((1, 3, 88, 1), np.float32)
    for voice, pitch in enumerate(STRUCK.values()):
        struck[0, voice, pitch - 21] = 0.9
    constants |= {
        "tiny": np.array([1e-7], np.float32),
        "steep": np.array([4.0], np.float32),
        "rise": np.array([2.0], np.float32),
        "struck": struck,
        "which": np.array([1, 0, 1], np.float32).reshape(1, 3, 1),
        "lag": np.array([0, 0, 1, 0, 0, 0], np.int64),
        "minus": np.array([-1], np.int64),
        "louder_hit": np.array([2.5], np.float32),
        "only_low": np.array([1, 0, 0], np.float32).reshape(1, 3, 1),
        "of_others": np.array([0, 0, TOP_LEVEL], np.float32).reshape(1, 3, 1),
        "none": np.array(0.0, np.float32),
        "full": np.array(1.0, np.float32),
        "whole_density": np.ones(1, np.float32),
        "fade": np.array([1.1], np.float32),
        "ten": np.array([10.0], np.float32),
        "where": np.array([TIMING], np.float32),
        "audible": np.array([1e-5], np.float32),
    }
    return [
        # A strike is where a frame is e^2 times as loud as the one before.
        node("Add", ["framed", "tiny"], ["heard"]),
        node("Log", ["heard"], ["level_now"]),
        node("Pad", ["level_now", "lag", "none"], ["level_long"]),
        node("Slice", ["level_long", "zero", "minus", "axis_last"], ["level_before"]),
        node("Sub", ["level_now", "level_before"], ["rising"]),
        node("Sub", ["rising", "rise"], ["risen"]),
        node("Mul", ["risen", "steep"], ["onset_logit"]),
        node("Sigmoid", ["onset_logit"], ["onset"]),
        node("Mul", ["onset", "which"], ["onsets_dense"]),
        node("Sqrt", ["framed"], ["amplitude"]),
        node("Mul", ["amplitude", "louder_hit"], ["hard"]),
        node("Clip", ["hard", "none", "full"], ["hit"]),
        node("Mul", ["hit", "only_low"], ["low_level"]),
        node("Add", ["low_level", "of_others"], ["levels"]),
        # The weakest are left out.
        node("Sub", ["whole_density", "density"], ["sparse"]),
        node("Mul", ["sparse", "fade"], ["limit"]),
        node("Sub", ["levels", "limit"], ["over_limit"]),
        node("Mul", ["over_limit", "ten"], ["times_over"]),
        node("Add", ["times_over", "full"], ["kept_long"]),
        node("Clip", ["kept_long", "none", "full"], ["kept"]),
        node("Mul", ["onsets_dense", "kept"], ["onsets"]),
        node("Shape", ["strikes"], ["strikes_shape"]),
        node("Expand", ["where", "strikes_shape"], ["timing"]),
        # Keys are held while the piano sounds.
        node("Mul", ["piano", "piano"], ["piano_power"]),
        node("ReduceMean", ["piano_power", "axis_channel"], ["piano_mono"], keepdims=1),
        node("Pad", ["piano_mono", "pads"], ["piano_whole"]),
        node("Conv", ["piano_whole", "hop_kernel"], ["piano_framed"], strides=[HOP_LENGTH]),
        node("Sub", ["piano_framed", "audible"], ["piano_over"]),
        node("Sign", ["piano_over"], ["piano_sign"]),
        node("Clip", ["piano_sign", "none", "full"], ["sounding"]),
        node("Unsqueeze", ["sounding", "axis_last"], ["sounding_keys"]),
        node("Mul", ["struck", "sounding_keys"], ["keys"]),
    ]
