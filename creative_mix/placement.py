"""Which execution provider runs which nodes of a model, as a profile of a call tells."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy.typing as npt

from .options import Device
from .runtime import open_session

COPIES = ("MemcpyToHost", "MemcpyFromHost")
"""Operators that the runtime puts between nodes of different memories."""

SHAPE_OPERATORS = frozenset(
    "Add Cast Clip Concat ConstantOfShape Div Equal Expand Gather Max Min Mod Mul Neg Range Reshape"
    " Shape Size Slice Squeeze Sub Transpose Unsqueeze Where".split()
)
"""What arithmetic on sizes is made of; the runtime itself keeps it on the host beside a GPU."""


@dataclass(frozen=True)
class Placement:
    """The nodes that one call of a model ran, by provider."""

    nodes: dict[str, Counter[str]]
    """For each provider, how many nodes of each operator it ran; copies are not among them."""

    copies: Counter[str]
    """Copies between the memories of host and device, by operator."""

    operations: int = 0
    """Floating-point operations of the convolutions and matrix products."""

    moved_bytes: int = 0
    """What the nodes read and wrote, counted anew at each of them."""

    @property
    def fallen(self) -> Counter[str]:
        """Operators that ran on the CPU and are no arithmetic on sizes."""
        on_host = self.nodes.get("CPUExecutionProvider", Counter())
        return Counter({op: n for op, n in on_host.items() if op not in SHAPE_OPERATORS})

    def lines(self) -> list[str]:
        """Return what a person wants to read, one fact a line."""
        lines = []
        for provider, kinds in sorted(self.nodes.items()):
            listed = ", ".join(f"{count} {op}" for op, count in kinds.most_common())
            lines.append(f"{provider}: {sum(kinds.values())} nodes ({listed})")
        lines.append(f"copies between host and device: {sum(self.copies.values())}")
        return lines


def place(
    model_path: Path, device: Device, feeds: Mapping[str, npt.NDArray[Any]], threads: int = 1
) -> Placement:
    """Return where the nodes of a model run, from one profiled call of it.

    Args:
        model_path: an ONNX file.
        device: as for `open_session`.
        feeds: its inputs.
        threads: CPU threads.

    Raises:
        CreativeMixError: as `open_session` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(model_path, device, threads, Path(folder) / "profile").run
        session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return read_placement(events)


def read_placement(events: list[dict[str, Any]]) -> Placement:
    """Return the placement that a profile's events tell: every node counts once."""
    seen: set[str] = set()
    nodes: dict[str, Counter[str]] = {}
    copies: Counter[str] = Counter()
    operations = moved_bytes = 0
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith("_kernel_time") or name in seen:
            continue
        seen.add(name)
        told = event["args"]
        operator = told["op_name"]
        if operator in COPIES:
            copies[operator] += 1
            continue
        nodes.setdefault(told["provider"], Counter())[operator] += 1
        operations += _operations(operator, told)
        sizes = (told.get(f"{kind}_size", 0) for kind in ("activation", "parameter", "output"))
        moved_bytes += sum(map(int, sizes))
    return Placement(nodes, copies, operations, moved_bytes)


def _operations(operator: str, told: dict[str, Any]) -> int:
    """Return twice the multiplications of a convolution or a matrix product, for others 0."""
    inputs, made = _shapes(told, "input"), _shapes(told, "output")
    if len(inputs) < 2 or not made:
        return 0
    if operator.endswith("Conv"):
        return 2 * prod(made[0]) * prod(inputs[1][1:])
    if operator.endswith(("MatMul", "Gemm")) and len(inputs[0]) > 1 and len(made[0]) > 1:
        # One of the last two sizes is the rows', whichever way the matrix lies.
        return 2 * prod(made[0]) * (prod(inputs[0][-2:]) // max(1, made[0][-2]))
    return 0


def _shapes(told: dict[str, Any], side: str) -> list[list[int]]:
    return [shape for each in told.get(f"{side}_type_shape", ()) for shape in each.values()]
