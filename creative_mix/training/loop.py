"""The training loop: one process now, several under torchrun."""

from __future__ import annotations

import contextlib
import json
import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn

from creative_mix.errors import TrainingDataError
from creative_mix.model.checkpoint import load_model, load_tensors, model_metadata, save_tensors
from creative_mix.model.system import CreativeMix, Result
from creative_mix.training.config import TrainingConfig
from creative_mix.training.dataset import Batch, PairFolder
from creative_mix.training.losses import SpectralLoss, supervise, total_loss
from creative_mix.training.monitors import gradient_norms, progress_line, selection
from creative_mix.training.probes import Probes, Strangers

LAST, STATE = "last.safetensors", "last.json"


class Trainee(nn.Module):
    """The model and the probes that train with it; one module, so that DDP wraps it whole."""

    def __init__(self, model: CreativeMix) -> None:
        super().__init__()
        self.model = model
        self.probes = Probes(model.config.component_dim)
        self.strangers = Strangers(model.config.component_dim)
        self.spectral = SpectralLoss()

    def forward(
        self, batch: Batch, use_known: bool, bfloat16: bool
    ) -> tuple[dict[str, Tensor], Result]:
        device = batch.drums.device.type
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            known = batch.known() if use_known else None
            result = self.model(batch.drums, batch.piano, batch.bias, known)
        novelty = self.model.agent.novelty_loss(
            result.agent_output, result.analysis.drum_encoding, result.analysis.piano_encoding
        )
        terms = self.spectral(result.mix[:, 0].float(), batch.truth, batch.counted)
        terms |= supervise(result, batch, self.probes, self.strangers, novelty)
        return terms, result


class Trainer:
    """A run that can be stopped at any step and goes on from there bit for bit."""

    def __init__(self, config: TrainingConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        model = load_model(config.initial) if config.initial else CreativeMix(config.model)
        self.trainee = Trainee(model.train()).to(self.device)
        for name, parameter in self.trainee.model.named_parameters():
            parameter.requires_grad_(not name.startswith(config.frozen))
        self.average = {
            name: value.detach().clone() for name, value in self.trainee.named_parameters()
        }
        matrices = [p for p in self.trainee.parameters() if p.ndim > 1]
        vectors = [p for p in self.trainee.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.data = PairFolder(config.pairs, config.crop_frames, config.context_frames, config.seed)
        self.output = Path(config.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.step = 0

    def learning_rate(self, step: int) -> float:
        """Linear rise, then a cosine down to ``final_rate`` of the peak."""
        config = self.config
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / config.warmup_steps
        done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        low = config.final_rate
        return config.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))

    def uses_known(self, step: int) -> bool:
        """Whether a step takes the known onsets; their share falls linearly to nothing."""
        share = 1 - step / max(1.0, self.config.known_until * self.config.steps)
        return random.Random(self.config.seed * 1_000_003 + step).random() < share

    def train(self, say: Callable[[str], None] = print) -> None:
        """Run to the last step, saving as the configuration says and at an interrupt."""
        config = self.config
        started, since = time.monotonic(), self.step
        with ThreadPoolExecutor(1) as ahead, contextlib.suppress(KeyboardInterrupt):
            coming = ahead.submit(self.data.batch, self.step, config.batch_size)
            while self.step < config.steps:
                batch = coming.result().to(self.device)
                coming = ahead.submit(self.data.batch, self.step + 1, config.batch_size)
                record = self._step(batch)
                if record is not None:
                    rate = (self.step - since) / (time.monotonic() - started)
                    started, since = time.monotonic(), self.step
                    say(progress_line(self.step, config.steps, rate, record))
                    with open(self.output / "log.jsonl", "a") as log:
                        log.write(
                            json.dumps({"step": self.step, "steps_per_s": rate} | record) + "\n"
                        )
                if self.step % config.save_every == 0:
                    self.save()
        self.save()

    def _step(self, batch: Batch) -> dict[str, dict[str, float]] | None:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        terms, result = self.trainee(batch, self.uses_known(self.step), config.bfloat16)
        loss = total_loss(terms, config.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        report = (self.step + 1) % config.log_every == 0
        norms = gradient_norms(self.trainee.model) if report else {}
        norm = nn.utils.clip_grad_norm_(self.trainee.parameters(), config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._average()
        if not report:
            return None
        return {
            "total": {"loss": float(loss.detach()), "gradient_norm": float(norm)},
            "terms": {name: float(value.detach()) for name, value in terms.items()},
            "selection": selection(result.weights.detach()),
            "gradients": norms,
        }

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        names = list(self.average)
        current = dict(self.trainee.named_parameters())
        torch._foreach_lerp_(
            [self.average[name] for name in names], [current[name] for name in names], 1 - decay
        )

    def save(self) -> None:
        """Write the resumable state, and the averaged weights as ``model.safetensors``."""
        tensors: dict[str, Tensor] = {
            f"weights.{name}": value for name, value in self.trainee.named_parameters()
        }
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
        state_text = {"step": str(self.step), "config": json.dumps(self.config.to_dict())}
        save_tensors(self.output / LAST, tensors, state_text)
        model = {
            name.removeprefix("model."): value
            for name, value in self.average.items()
            if name.startswith("model.")
        }
        metadata = model_metadata(self.config.model) | {"step": str(self.step)}
        save_tensors(self.output / "model.safetensors", model, metadata)

    def resume(self, path: str | Path) -> None:
        """Go on from a state that ``save`` wrote.

        Raises
        ------
        TrainingDataError : the state is of another model
        """
        tensors, metadata = load_tensors(Path(path))
        current = dict(self.trainee.named_parameters())
        with torch.no_grad():
            for name, parameter in current.items():
                if f"weights.{name}" not in tensors:
                    raise TrainingDataError(f"{path}: no tensor {name}; it is of another model")
                parameter.copy_(tensors[f"weights.{name}"])
                self.average[name].copy_(tensors[f"average.{name}"])
        full = self.optimizer.state_dict()
        found: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                found.setdefault(int(index), {})[key] = value
        full["state"] = found
        self.optimizer.load_state_dict(full)
        self.step = int(metadata["step"])
