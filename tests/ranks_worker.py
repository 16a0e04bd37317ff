"""One rank of the comparison in test_ranks.py: first gradients, and weights after some steps.

torchrun --nproc-per-node=N tests/ranks_worker.py CONFIG OUTPUT STEPS
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from torch import Tensor

from creative_mix.model.checkpoint import save_tensors
from creative_mix.training.config import TrainingConfig
from creative_mix.training.learner import Learner
from creative_mix.training.loop import Trainer
from creative_mix.training.ranks import Ranks


def gradients(learner: Learner) -> dict[str, Tensor]:
    return {
        f"gradient.{name}": parameter.grad.clone()
        for name, parameter in learner.trainee.named_parameters()
        if parameter.grad is not None
    }


def compare(config: TrainingConfig, ranks: Ranks, steps: int) -> dict[str, Tensor]:
    """Gradients of the first step, weights after ``steps`` of SGD and after 5 of AdamW."""
    found: dict[str, Tensor] = {}
    for optimizer, rate, count in (("sgd", 5e-3, steps), ("adamw", 1e-3, min(5, steps))):
        settings = dataclasses.replace(config, optimizer=optimizer, learning_rate=rate)
        trainer = Trainer(settings, ranks)
        if not found:
            for name, parameter in trainer.learner.trainee.named_parameters():
                found[f"begun.{name}"] = parameter.detach().clone()
            trainer.learner.backward(trainer.feed.step(0), known=True)
            found |= gradients(trainer.learner)
        for step in range(count):
            trainer.learner.learn(step, trainer.feed.step(step))
        for name, parameter in trainer.learner.trainee.named_parameters():
            found[f"{optimizer}.{name}"] = parameter.detach().clone()
    return found


if __name__ == "__main__":
    config = TrainingConfig.from_file(sys.argv[1])
    ranks = Ranks.join("cpu")
    found = compare(config, ranks, int(sys.argv[3]))
    if ranks.first:
        save_tensors(Path(sys.argv[2]), found, {})
    ranks.leave()
