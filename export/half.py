"""Float16 arithmetic for a GPU, where it only shapes the sound; everything else stays in float32.

The decoder's networks and the reader of the piano's keys compute in float16.  What leads to a
strike does not, nor do spectra and their sums, times, offsets and indices, logarithms and
exponentials, the running sum of the keys, softmax, or the reader of the re-strike streams.  With
the encoder and the agent in float16 as well no strike left its frame, but strikes moved by up to
0.4 samples, and the sound then differed by -18 to -38 dB instead of -80.

The usual converters start from what to spare, and round whatever passes from one spared operator
to the next: indices above 2048 would not survive that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper

NETWORKS = re.compile(
    r"^/model/(?:"
    r"key_reader/(?:enter|in_norm|blocks|out_norm|voices_)"
    r"|decoder/(?!owners|limiter)\w"
    r")"
)
"""Scopes, as torch's exporter names them, of the layers whose arithmetic may be float16."""

OPERATORS = frozenset(
    "Add Concat Conv Div Erf Expand Gather Gelu LayerNormalization LeakyRelu MatMul Mul Pad Relu"
    " Reshape Slice Squeeze Transpose Unsqueeze".split()
)
"""Operators of those layers; a softmax among them stays in float32."""


def compute_in_half(proto: onnx.ModelProto) -> int:
    """Let the networks of an exported model compute in float16; return how many nodes do.

    The model must come straight from torch's exporter, or from `halve_weights` after it.
    """
    graph = proto.graph
    kinds = _element_types(proto)
    _drop_idle_casts(graph, kinds)
    chosen = {node.name for node in graph.node if _may_be_half(node, kinds)}
    _insert_casts(graph, kinds, chosen)
    return len(chosen)


def _may_be_half(node: NodeProto, kinds: dict[str, int]) -> bool:
    scope = node.name.rpartition("/")[0]
    return (
        node.op_type in OPERATORS
        and NETWORKS.match(scope) is not None
        and kinds.get(node.output[0]) == TensorProto.FLOAT
    )


def _element_types(proto: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    kinds |= {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    return kinds


def _drop_idle_casts(graph: GraphProto, kinds: dict[str, int]) -> None:
    """Take casts to float32 away whose input is float32: they would part neighbours."""
    outputs = {value.name for value in graph.output}
    idle = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Cast"
        and _target(node) == TensorProto.FLOAT == kinds.get(node.input[0])
        and node.output[0] not in outputs
    }
    kept = [node for node in graph.node if node.output[0] not in idle]
    for node in kept:
        for place, name in enumerate(node.input):
            while name in idle:
                name = idle[name]
            node.input[place] = name
    del graph.node[:]
    graph.node.extend(kept)


def _target(cast: NodeProto) -> int:
    return next(attribute.i for attribute in cast.attribute if attribute.name == "to")


def _insert_casts(graph: GraphProto, kinds: dict[str, int], chosen: set[str]) -> None:
    """Give the chosen nodes float16 inputs, and the others what those make in float32."""
    nodes = list(graph.node)
    wanted_whole = {value.name for value in graph.output}
    for node in nodes:
        if node.name not in chosen:
            wanted_whole.update(node.input)
    # What is stored as float16 and cast for others is taken as it is stored.
    half_of = {
        node.output[0]: node.input[0]
        for node in nodes
        if node.op_type == "Cast" and kinds.get(node.input[0]) == TensorProto.FLOAT16
    }
    ordered: list[NodeProto] = []
    for node in nodes:
        if node.name not in chosen:
            ordered.append(node)
            continue
        for place, name in enumerate(node.input):
            if kinds.get(name) != TensorProto.FLOAT:
                continue
            if name not in half_of:
                half_of[name] = f"{name}.half"
                ordered.append(_cast(name, half_of[name], TensorProto.FLOAT16))
            node.input[place] = half_of[name]
        ordered.append(node)
        for place, name in enumerate(node.output):
            half_of[name] = node.output[place] = f"{name}.half"
            if name in wanted_whole:
                ordered.append(_cast(half_of[name], name, TensorProto.FLOAT))
    used = _used_names(ordered, (value.name for value in graph.output))
    del graph.node[:]
    graph.node.extend(node for node in ordered if any(name in used for name in node.output))


def _cast(source: str, made: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [made], name=f"{made}/Cast", to=kind)


def _used_names(nodes: list[NodeProto], outputs: Iterable[str]) -> set[str]:
    """The tensors on which the outputs depend."""
    makers: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for name in node.output:
            makers[name].extend(node.input)
    used: set[str] = set()
    todo = list(outputs)
    while todo:
        name = todo.pop()
        if name not in used:
            used.add(name)
            todo.extend(makers.get(name, ()))
    return used
