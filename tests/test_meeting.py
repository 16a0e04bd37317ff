"""Ranks meet those that are there, not those before them; and none waits deaf for the dead."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch.distributed as dist

from creative_mix.errors import TrainingError
from creative_mix.training.meeting import meet

WORLD = 3


def gather(store: dist.Store, ranks: Iterable[int], join_s: float) -> list[Future[dist.Store]]:
    with ThreadPoolExecutor(WORLD) as pool:
        return [pool.submit(meet, store, rank, WORLD, join_s) for rank in ranks]


@pytest.mark.parametrize("late", range(WORLD))
def test_a_restart_meets_nobody_of_before(late: int) -> None:
    store = dist.HashStore()
    for rank, met in enumerate(gather(store, range(WORLD), 30.0)):
        met.result().set(f"address.{rank}", "of a process that is dead by now")
    # Restarted, all but one: the names and the list that they find are those of the dead.
    early = [rank for rank in range(WORLD) if rank != late]
    for rank, met in zip(early, gather(store, early, 0.2), strict=True):
        with pytest.raises(TrainingError, match=f"rank {rank} of 3 waited 0 s for the others"):
            met.result()
    found = [met.result() for met in gather(store, [*early, late], 30.0)]
    found[0].set("address", "of a living one")
    for private in found:
        assert private.get("address") == b"of a living one"
        assert not any(private.check([f"address.{rank}"]) for rank in range(WORLD))


DEAF = """
import datetime, os, select, signal, threading
import torch.distributed as dist
from creative_mix.training.interrupt import Interrupt

with Interrupt(alone=False, grace_s=0.1) as interrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    select.select([], [], [], 0.5)  # longer than the grace: nothing may happen
    assert interrupt.wanted
print("heard", flush=True)
store = dist.TCPStore("localhost", 0, 1, True)
with Interrupt(alone=False, grace_s=0.1):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    store.wait(["never"], datetime.timedelta(minutes=5))
print("waited")
"""


def test_a_signal_ends_a_rank_that_waits_for_the_dead_and_no_other() -> None:
    command = [sys.executable, "-c", DEAF]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.stdout == "heard\n", done.stderr
    assert done.returncode == 128 + signal.SIGTERM
    assert "SIGTERM, and still waiting for other ranks after 0.1 s" in done.stderr
