"""The model block by block, in torch: what it makes of a whole, late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from test_model import SMALL, sound
from torch import Tensor
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH
from creative_mix.export.field import receptive_field
from creative_mix.export.parity import percussive
from creative_mix.model.streaming import BlockControls, StreamingMix
from creative_mix.model.system import Controls, CreativeMix, Result


def striking(model: CreativeMix, times: float) -> CreativeMix:
    """The model with rhythm heads that do strike."""
    with torch.no_grad():
        for head in (model.drum_rhythm, model.piano_rhythm):
            head.leave.weight.mul_(times)
        model.permit.weight.mul_(20)
    return model.eval()


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All arithmetic in double precision, so that nothing but the wiring makes a difference."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def plain(frames: int) -> BlockControls:
    ones = torch.ones(1, frames)
    return BlockControls(torch.zeros(1, 6, frames), ones, ones)


def at_once(
    model: CreativeMix, drums: Tensor, piano: Tensor, controls: BlockControls
) -> tuple[Result, int]:
    """The offline model with its whole field of silence around, and where the sound begins."""
    behind, ahead = receptive_field(model.config)
    audio = (behind * HOP_LENGTH, ahead * HOP_LENGTH)
    asked = surrounded(controls, behind, ahead)
    with torch.no_grad():
        made = model(
            functional.pad(drums, audio),
            functional.pad(piano, audio),
            asked.bias,
            controls=Controls(asked.density, asked.dynamics),
        )
    return made, behind


def surrounded(controls: BlockControls, behind: int, ahead: int) -> BlockControls:
    """Controls that ask for nothing in the silence around."""
    ones = (functional.pad(each, (behind, ahead), value=1.0) for each in controls[1:])
    return BlockControls(functional.pad(controls.bias, (behind, ahead)), *ones)


def greatest_difference(
    model: CreativeMix,
    drums: Tensor,
    piano: Tensor,
    blocks: list[int],
    controls: BlockControls | None = None,
) -> float:
    """Between the stream in blocks of so many frames, in turn, and the whole; over all outputs."""
    frames = drums.shape[2] // HOP_LENGTH
    controls = controls or plain(frames)
    stream = StreamingMix(model, drums.shape[1])
    late, total = stream.latency_frames, frames + stream.latency_frames
    silence = (0, late * HOP_LENGTH)
    drums_after, piano_after = functional.pad(drums, silence), functional.pad(piano, silence)
    asked = surrounded(controls, 0, late)
    state, made, at = stream.silence(), [], 0
    while at < total:
        step = min(blocks[len(made) % len(blocks)], total - at)
        audio = slice(at * HOP_LENGTH, (at + step) * HOP_LENGTH)
        part = slice(at, at + step)
        with torch.no_grad():
            block, state = stream(
                drums_after[..., audio],
                piano_after[..., audio],
                BlockControls(*(each[..., part] for each in asked)),
                state,
            )
        made.append(block)
        at += step
    whole, behind = at_once(model, drums, piano, controls)
    assert (whole.strikes > 0.3).any() and whole.mix.abs().max() > 0.01
    differences = []
    for name, unit in (("mix", HOP_LENGTH), ("weights", 1), ("strikes", 1)):
        mine = torch.cat([getattr(each, name) for each in made], -1)[..., late * unit :]
        theirs = getattr(whole, name)[..., behind * unit : (behind + frames) * unit]
        differences.append(float((mine - theirs).abs().max()))
    onsets = torch.cat([each.onsets for each in made], 2)[..., late:]
    theirs = whole.onsets.probability[..., behind : behind + frames]
    return max(*differences, float((onsets - theirs).abs().max()))


@pytest.mark.parametrize("blocks", [[1], [4], [3, 1, 17]])
def test_a_stream_is_wired_as_the_whole_is(in_double: None, blocks: list[int]) -> None:
    torch.manual_seed(3)
    model = striking(CreativeMix(SMALL), 15)
    with torch.no_grad():
        model.agent.composer.layers[0].attention.distance_bias.normal_()
    drums, piano = sound(2, 60, 1).double(), sound(2, 60, 2).double()
    assert greatest_difference(model, drums, piano, blocks) < 1e-9


def test_controls_hold_for_the_sounds_that_they_come_with(in_double: None) -> None:
    torch.manual_seed(3)
    model = striking(CreativeMix(SMALL), 15)
    drums, piano = sound(1, 60, 1).double(), sound(1, 60, 2).double()
    controls = plain(60)
    controls.bias[:, 3, 20:] = 3.0
    controls.density[:, 30:] = 0.5
    controls.dynamics[:, 25:] = 0.3
    assert greatest_difference(model, drums, piano, [8], controls) < 1e-9
    plainly, _ = at_once(model, drums, piano, plain(60))
    asked, _ = at_once(model, drums, piano, controls)
    assert (plainly.mix - asked.mix).abs().max() > 1e-3


def test_a_model_of_full_size() -> None:
    torch.manual_seed(3)
    model = striking(CreativeMix(), 10)
    stream = StreamingMix(model)
    assert stream.latency_frames <= receptive_field(model.config)[1] <= 31
    assert sum(value.numel() for value in stream.silence().values()) * 4 < 10e6
    drums, piano = (
        torch.from_numpy(percussive(24 * HOP_LENGTH, 2, seed, 0.1)) for seed in (10, 50)
    )
    assert greatest_difference(model, drums, piano, [8]) < 1e-4
