"""What makes training steps fast changes nothing but their time."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from trainingkit import ENVIRONMENT, tiny, write_config, write_pairs

PROBE = """
import re, resource, sys, zlib
from pathlib import Path
import torch
from creative_mix.training.config import TrainingConfig
from creative_mix.training.memory import keep_freed_memory

kept = sys.argv[1] == "kept"
assert not kept or keep_freed_memory()
tensor = torch.ones(16_000_000)
huge = re.findall(r"AnonHugePages: *([0-9]+) kB", Path("/proc/self/smaps").read_text())

def fault():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        made = b"x" * 64_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fault()
print(fault(), sum(map(int, huge)))

from creative_mix.training.loop import Trainer

trainer = Trainer(TrainingConfig.from_file(sys.argv[2]))
trainer.learner.backward(trainer.feed.step(0), known=False)
gradients = [p.grad for p in trainer.learner.trainee.parameters() if p.grad is not None]
print(len(gradients), zlib.crc32(b"".join(g.numpy().tobytes() for g in gradients)))
"""


def probe(how: str, config: Path) -> tuple[int, int, str]:
    """Page faults, kilobytes in huge pages, and the gradients of a step."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, how, str(config)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    memory, gradients = done.stdout.splitlines()
    faults, huge_kb = map(int, memory.split())
    return faults, huge_kb, gradients


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's own")
def test_freed_memory_is_kept_and_gradients_are_the_same_to_the_bit(tmp_path: Path) -> None:
    config = tiny(write_pairs(tmp_path / "pairs"), tmp_path / "run")
    settings = write_config(config, tmp_path / "config.json")
    faults, _, gradients = probe("plain", settings)
    faults_kept, huge_kb, gradients_kept = probe("kept", settings)
    assert faults_kept < faults / 10
    assert gradients_kept == gradients and int(gradients.split()[0]) > 50
    asked = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if asked.is_file() and "[never]" not in asked.read_text():
        assert huge_kb > 16_000
