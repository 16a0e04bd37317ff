"""How the processes of a run find each other, and nobody who has been before them.

torchrun's store outlives a restart: since it is the agent's, the new processes find in it what the
killed ones wrote, the addresses of their sockets among it. A process that begins early reads such
an address, and gloo waits for the dead. (PyTorch's issue 135712 tells the story; a restart's number
cannot tell the old from the new, for every machine's agent counts its own.) So the processes first
make sure of each other, and then use a part of the store that only they know.
"""

from __future__ import annotations

import time
import uuid

import torch.distributed as dist

from creative_mix.errors import TrainingError

JOIN_S = 300.0
"""How long a process waits for the others to begin."""
PAUSE_S = 0.02


def meet(store: dist.Store, rank: int, world: int, join_s: float = JOIN_S) -> dist.Store:
    """The part of a store that belongs to the processes that are here now.

    Every process writes its own new name. The first one writes the list of the names that it
    finds, until all agree: whoever is on that list by its own name has met the one who wrote it.
    The names of the dead are overwritten sooner or later, and the dead agree to nothing.

    Args:
        store: of these processes and of those before them.
        rank: of this process.
        world: how many there are.
        join_s: seconds to wait for the others.

    Raises:
        TrainingError: not all came.
    """
    own = uuid.uuid4().hex
    here = [f"here.{each}" for each in range(world)]
    store.set(here[rank], own)
    deadline = time.monotonic() + join_s
    while time.monotonic() < deadline:
        if rank == 0 and store.check(here):
            store.set("together", ",".join(store.get(name).decode() for name in here))
        names = store.get("together").decode().split(",") if store.check(["together"]) else []
        if own in names:
            leader = names[0]
            store.set(f"{leader}.{rank}", "agreed")
            if store.check([f"{leader}.{each}" for each in range(world)]):
                return dist.PrefixStore(leader, store)
        time.sleep(PAUSE_S)  # in Python, so that a signal is heard
    raise TrainingError(
        f"rank {rank} of {world} waited {join_s:.0f} s for the others to begin; look at what they "
        "say, and whether every machine reaches the first one at its MASTER_ADDR and MASTER_PORT"
    )
