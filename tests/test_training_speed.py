"""What makes training steps fast changes nothing but their time."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import re, resource, torch
from pathlib import Path
from creative_mix.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        made = b"x" * 64_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
assert keep_freed_memory()
tensor = torch.ones(16_000_000)
huge = re.findall(r"AnonHugePages: *([0-9]+) kB", Path("/proc/self/smaps").read_text())
faults()
print(plain, faults(), sum(map(int, huge)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's own")
def test_freed_memory_is_not_asked_for_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    plain, kept, huge_kb = map(int, done.stdout.split())
    assert kept < plain / 10
    asked = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if asked.is_file() and "[never]" not in asked.read_text():
        assert huge_kb > 16_000
