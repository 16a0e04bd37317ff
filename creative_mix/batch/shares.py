"""How a machine's cores and memory are shared out among workers."""

from __future__ import annotations

import importlib.metadata
import os
from contextlib import suppress
from pathlib import Path

from ..options import Device
from ..runtime import cpu_threads

WORKER_BYTES = 1_000_000_000
"""Memory that one worker may need: 540 MB are seen with recordings of 15 s, more with long ones."""

_GPU_WORKERS = 2
"""Workers on one GPU: one has it while the other reads, levels and writes."""


def share_out(
    workers: int | None, threads: int | None, pairs: int, device: Device = "auto"
) -> tuple[int, int]:
    """Return the number of workers and the threads of each.

    What is not given is chosen: one thread each and a worker on every core, because two renders
    side by side keep two cores busier than one render on both does (1.13 times the pairs an hour
    in `benchmarks/batch.py`).  Where there are fewer pairs than cores, the cores are shared out
    among them; where there is little memory, there are fewer workers.

    Args:
        workers: processes that are wanted, at least 1.
        threads: CPU threads of each that are wanted, at least 1.
        pairs: of the whole batch, at least 1; not of what is left of it, so that it ends as it
            began.
        device: where the model runs.
    """
    cores = cpu_threads()
    if workers is None:
        workers = max(1, cores // (threads or 1))
        if device == "cuda" or (device == "auto" and _has_gpu_runtime()):
            workers = min(workers, _GPU_WORKERS)
        workers = min(workers, pairs, max(1, memory_bytes() // WORKER_BYTES))
    return workers, threads or max(1, cores // workers)


def _has_gpu_runtime() -> bool:
    try:
        importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def memory_bytes() -> int:
    """Return the memory that this process may use; a great deal where nothing tells."""
    found = [1 << 62]
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    # A container's own limit; "max" where it has none.
    with suppress(ValueError, OSError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)
