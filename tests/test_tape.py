"""Lines of a tape: what is read of them does not depend on where blocks fall."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from creative_mix.model.tape import Lines, Tape


class Pair(NamedTuple):
    high: Tensor
    low: Tensor


def read_all(sound: Tensor, blocks: list[int], unit: int, **around: int) -> Tensor:
    """What a reader gets from all blocks together, without what surrounds each."""
    edge = around.get("behind", 0), around.get("ahead", 0)
    first = Tape()
    first.line("x", sound[:, :unit], 3, unit=unit).read(**around)
    needs, state = first.needs(), {name: torch.zeros_like(v) for name, v in first.rest().items()}
    got, at = [], 0
    for frames in blocks:
        tape = Tape(needs, state)
        line = tape.line("x", sound[:, at * unit : (at + frames) * unit], 3, unit=unit)
        values = line.read(**around)
        assert values.shape[1] == (frames + sum(edge)) * unit
        got.append(values[:, edge[0] * unit : (edge[0] + frames) * unit])
        state = tape.rest()
        at += frames
    return torch.cat(got, 1)


@pytest.mark.parametrize("unit", [1, 4])
@pytest.mark.parametrize("around", [{"lag": 5}, {"behind": 3, "ahead": 2}, {"lag": 9, "ahead": 1}])
def test_a_reader_gets_the_signal_late(unit: int, around: dict[str, int]) -> None:
    sound = torch.arange(1.0, 24 * unit + 1)[None]
    late = (around.get("lag", 3 + around.get("ahead", 0)) - 3) * unit
    for blocks in ([24], [1] * 24, [5, 1, 12, 6]):
        got = read_all(sound, blocks, unit, **around)
        assert torch.equal(got[:, late:], sound[:, : sound.shape[1] - late])
        assert not got[:, :late].any()


def test_what_surrounds_a_block_is_there() -> None:
    sound = torch.arange(20.0)[None]
    tape = Tape()
    tape.line("x", sound[:, :1], 0).read(behind=4, ahead=2)
    needs, state = tape.needs(), tape.rest()
    assert needs == {"x": 6}
    for at in range(1, 17, 4):
        tape = Tape(needs, state)
        line = tape.line("x", sound[:, at : at + 4], 0)
        wanted = torch.arange(at - 6.0, at + 4).clamp(min=0)
        assert torch.equal(line.read(behind=4, ahead=2)[0], wanted)
        table, first = line.look_back(2, 4)
        assert table[0, first] == max(0, at - 2)
        state = tape.rest()


def test_the_future_cannot_be_read() -> None:
    line = Tape().line("x", torch.zeros(1, 4), 3)
    with pytest.raises(ValueError, match="2 frames ahead at lag 4 of a signal of lag 3"):
        line.read(lag=4, ahead=2)


def test_names_are_taken_once() -> None:
    tape = Tape()
    tape.line("x", torch.zeros(1, 4), 0)
    with pytest.raises(ValueError, match="x: there is a line"):
        tape.line("x", torch.zeros(1, 4), 0)


def test_parts_lie_along_their_own_axes() -> None:
    tape = Tape()
    lines = Lines(tape, "pair", Pair(torch.ones(1, 2, 5), torch.ones(1, 5, 3)), 0, {"low": 1})
    read = lines.read(2)
    assert read.high.shape == (1, 2, 5) and read.low.shape == (1, 5, 3)
    assert {name: value.shape for name, value in tape.rest().items()} == {
        "pair.high": (1, 2, 2),
        "pair.low": (1, 2, 3),
    }
