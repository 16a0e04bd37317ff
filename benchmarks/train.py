"""Measure training: steps and crops a second, CPU time, and the share of time spent waiting.

    python benchmarks/train.py CONFIG [--steps 20] [--device auto] [--set KEY=VALUE ...]

Without CONFIG it makes four pairs of noise and trains the full model on them, so that it runs
anywhere. On CUDA it also says how much of the device's time its kernels take.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from creative_mix.training.config import TrainingConfig
from creative_mix.training.loop import Trainer
from creative_mix.training.ranks import Ranks
from creative_mix.training.running import make_ready

WARM_UP = 2
"""Steps before the clock starts: compilation, first reads, memory pools."""


def write_noise(folder: Path, pairs: int = 4, seconds: int = 10) -> None:
    """Write pairs of decaying noise with hits and notes twice a second."""
    rng = np.random.default_rng(0)
    samples = seconds * 44100
    decay = np.exp(-(np.arange(samples) / 44100 % 0.5) * 8)[:, None]
    hits = [[0.5 * i, 36 + 2 * (i % 2), 100] for i in range(2 * seconds)]
    notes = [[0.5 * i, 0.5 * i + 0.4, 48 + i % 24, 80] for i in range(2 * seconds)]
    for index in range(pairs):
        for part in ("drums", "piano", "truth"):
            audio = 0.1 * decay * rng.standard_normal((samples, 2))
            soundfile.write(folder / f"{index}.{part}.wav", audio, 44100)
        (folder / f"{index}.json").write_text(json.dumps({"hits": hits, "piano_notes": notes}))


def settle(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(trainer: Trainer, steps: int) -> dict[str, float]:
    """Speed over ``steps`` steps, after a warm-up."""
    device = trainer.ranks.device
    feed = trainer.feed.steps(0, WARM_UP + steps)
    for step in range(WARM_UP):
        trainer.learner.learn(step, next(feed))
    settle(device)
    begun, worked, waited = time.perf_counter(), time.process_time(), trainer.feed.waited_s
    for step in range(WARM_UP, WARM_UP + steps):
        trainer.learner.learn(step, next(feed))
    settle(device)
    elapsed = time.perf_counter() - begun
    feed.close()
    return {
        "steps_per_s": steps / elapsed,
        "crops_per_s": steps * trainer.config.batch_size / elapsed,
        "cpu_s_per_step": (time.process_time() - worked) / steps,
        "waiting": (trainer.feed.waited_s - waited) / elapsed,
    }


def kernel_share(trainer: Trainer, steps: int = 3) -> float:
    """Share of a few steps' time in which CUDA kernels run."""
    from torch.profiler import ProfilerActivity, profile

    batches = [trainer.feed.step(step) for step in range(steps)]
    settle(trainer.ranks.device)
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        begun = time.perf_counter()
        for step, batch in enumerate(batches):
            trainer.learner.learn(step, batch)
        settle(trainer.ranks.device)
        elapsed = time.perf_counter() - begun
    kernels = sum(event.self_device_time_total for event in found.key_averages())
    return float(kernels) / 1e6 / elapsed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", nargs="?", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    overrides = dict(setting.split("=", 1) for setting in options.settings)
    with tempfile.TemporaryDirectory() as scratch:
        if options.config is None:
            write_noise(Path(scratch))
            options.config = Path(scratch, "config.json")
            options.config.write_text(json.dumps({"pairs": scratch}))
        config = TrainingConfig.from_file(options.config, overrides)
        config = dataclasses.replace(config, output=scratch, validation="")
        make_ready(config, options.device)
        trainer = Trainer(config, Ranks.join(options.device))
        found = measure(trainer, options.steps)
        device = trainer.ranks.device
        print(
            f"{device}, {torch.get_num_threads()} threads, batch {config.batch_size}, "
            f"bfloat16 {config.bfloat16}, compile {config.compile}, workers {config.workers}: "
            f"{found['steps_per_s']:.2f} steps/s, {found['crops_per_s']:.1f} crops/s, "
            f"{found['cpu_s_per_step']:.2f} s of CPU a step, "
            f"{100 * found['waiting']:.1f} % waiting for data"
        )
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(device) / 2**30
            print(
                f"kernels run {100 * kernel_share(trainer):.0f} % of the time, {peak:.1f} GiB peak"
            )


if __name__ == "__main__":
    main()
