"""Fine-tuning from weights of another model: what fits is kept, and the rest is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from test_model import SMALL
from torch import nn
from trainingkit import tiny, write_pairs

from creative_mix.errors import ModelFileError, TrainingDataError
from creative_mix.export.onnx_file import export_onnx
from creative_mix.model.adoption import adopt
from creative_mix.model.checkpoint import load_model, read_weights, save_tensors
from creative_mix.model.system import CreativeMix
from creative_mix.renderer import WEIGHTS_PATH
from creative_mix.training.config import TrainingConfig
from creative_mix.training.loop import Trainer

SELECTOR = "agent.component_selector."


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def seed_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict as the seed's code has it: 384 outputs, its names, and DDP's prefix."""
    selector = nn.Sequential(
        nn.Conv1d(64 * 6, 256, kernel_size=1),
        nn.LeakyReLU(0.2),
        nn.Conv1d(256, 64 * 6, kernel_size=1),
        nn.Softmax(dim=1),
    )
    old = {name: tensor for name, tensor in state.items() if not name.startswith(SELECTOR)}
    old |= {f"{SELECTOR}{name}": tensor for name, tensor in selector.state_dict().items()}
    for aspect in ("rhythm", "harmony", "timbre"):
        old = {n.replace(f".{aspect}.conv", f".{aspect}_conv"): t for n, t in old.items()}
        old = {n.replace(f".{aspect}.skip", f".{aspect}_skip"): t for n, t in old.items()}
    return {f"module.{name}": tensor for name, tensor in old.items()}


def test_the_seeds_384_outputs_cost_the_selector_alone(pairs: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    old = CreativeMix(SMALL)
    path = tmp_path / "latest_model.pt"
    torch.save({"epoch": 20, "model_state_dict": seed_names(old.state_dict())}, path)
    trainer = Trainer(tiny(pairs, tmp_path / "run"))
    fresh = {n: p.detach().clone() for n, p in trainer.learner.trainee.model.named_parameters()}
    told = trainer.resume(path)
    adoption = trainer.learner.adoption
    assert adoption is not None
    assert set(adoption.new) == {f"{SELECTOR}2.weight", f"{SELECTOR}2.bias"}
    assert len(adoption.dropped) == 2 and "[384, 256, 1]" in adoption.dropped[0]
    assert adoption.share > 0.99
    assert "2 dropped, 2 new" in told[1] and "% of the parameters preserved" in told[1]
    before = dict(old.named_parameters())
    for name, parameter in trainer.learner.trainee.model.named_parameters():
        if name in adoption.new:
            assert torch.equal(parameter, fresh[name])
        elif not name.startswith(SELECTOR):
            assert torch.equal(parameter, before[name]), name
        assert torch.equal(parameter, trainer.learner.average[f"model.{name}"])
    assert trainer.step == 0
    done = trainer.learner.learn(0, trainer.feed.step(0), by_part=True)
    assert done.finite and done.norms["agent.component_selector"] > 0


def test_a_model_of_other_sizes_keeps_what_fits() -> None:
    import dataclasses

    old = CreativeMix(dataclasses.replace(SMALL, cascade_stages=2))
    new = CreativeMix(SMALL)
    adoption = adopt(new, old.state_dict())
    assert not adoption.new and adoption.share == 1.0 and not adoption.whole
    assert all(name.startswith("cascade.1.") for name in adoption.dropped)
    assert "dropped: cascade.1." in adoption.lines()[1]


def test_onnx_weights_begin_a_run_and_frozen_parts_stay(pairs: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    onnx = tmp_path / "old.onnx"
    export_onnx(CreativeMix(SMALL), onnx, version="test")
    frozen = ("encoder", "agent.input_extractor")
    trainer = Trainer(tiny(pairs, tmp_path / "run", initial=str(onnx), frozen=frozen))
    assert trainer.learner.adoption is not None and trainer.learner.adoption.whole
    begun = {n: p.detach().clone() for n, p in trainer.learner.trainee.model.named_parameters()}
    for name, tensor in read_weights(onnx).tensors.items():
        assert torch.equal(begun[name], tensor), name
    for step in range(2):
        done = trainer.learner.learn(step, trainer.feed.step(step), by_part=True)
    assert "encoder" not in done.norms and "decoder" in done.norms
    for name, parameter in trainer.learner.trainee.model.named_parameters():
        assert torch.equal(parameter, begun[name]) == name.startswith(frozen), name
    with pytest.raises(TrainingDataError, match="frozen='encodr': no part"):
        Trainer(tiny(pairs, tmp_path / "run", frozen=("encodr",)))


def test_the_file_says_how_large_its_model_is(tmp_path: Path) -> None:
    settings = tmp_path / "config.json"
    settings.write_text(f'{{"initial": "{WEIGHTS_PATH}"}}')
    found = read_weights(WEIGHTS_PATH)
    assert TrainingConfig.from_file(settings).model == found.config


def test_a_file_without_the_newer_sizes_is_of_the_narrower_form(tmp_path: Path) -> None:
    model = CreativeMix(SMALL)
    sizes = dataclasses.asdict(SMALL)
    del sizes["decoder_expansion"], sizes["key_expansion"]
    path = tmp_path / "before.safetensors"
    tensors = dict(model.named_parameters())
    save_tensors(path, tensors, {"model_config": json.dumps(sizes)})
    loaded = load_model(path)
    assert loaded.config == SMALL
    assert all(torch.equal(p, tensors[n]) for n, p in loaded.named_parameters())


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"model": CreativeMix}, path)
    with pytest.raises(ModelFileError, match="not a file of tensors alone"):
        read_weights(path)
