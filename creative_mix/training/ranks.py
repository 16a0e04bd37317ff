"""The processes of a run: one, or as many as torchrun started."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from creative_mix.errors import DeviceError
from creative_mix.training.meeting import JOIN_S, meet

TIMEOUT = datetime.timedelta(minutes=10)
"""How long a rank waits for the others at their work; a killed one is noticed at once."""


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among those of the run."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")
    restarts: int = 0
    """How often the run has been started anew."""

    @classmethod
    def join(cls, device: str = "auto") -> Ranks:
        """Join the other processes, as torchrun's environment says; alone without one.

        Gradients go by NCCL between CUDA devices and by gloo between CPUs; what else the ranks
        tell each other always goes by gloo, so that no device has to wait for it.

        Raises:
            DeviceError: CUDA is wanted and cannot be used.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        local = int(os.environ.get("LOCAL_RANK", 0))
        if device == "cuda":
            if not torch.cuda.is_available():
                raise DeviceError("--device cuda: this torch sees no CUDA device; use cpu")
            if local >= torch.cuda.device_count():
                raise DeviceError(
                    f"rank {local} on this machine has no CUDA device of its own; there are "
                    f"{torch.cuda.device_count()}: lower --nproc-per-node"
                )
            device = f"cuda:{local}"
            torch.cuda.set_device(local)
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls(device=torch.device(device))
        backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
        join = datetime.timedelta(seconds=JOIN_S)
        store, rank, world = next(dist.rendezvous("env://", timeout=join))
        begun_before = store.add(f"begun.{rank}", 1) - 1
        store = meet(store, rank, world)
        store.set_timeout(TIMEOUT)
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
        ranks = cls(rank, world, torch.device(device))
        # Every machine's agent counts the restarts that it asked for, and none those of others.
        counted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
        counts = ranks.gather(torch.tensor(max(begun_before, counted)))
        return dataclasses.replace(ranks, restarts=int(max(counts)))

    @property
    def first(self) -> bool:
        """Whether this rank writes and speaks."""
        return self.rank == 0

    def leave(self) -> None:
        """Part from the others."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def lost(self, error: RuntimeError) -> bool:
        """Whether this error says that another rank has died, or no longer answers."""
        return self.world > 1 and (isinstance(error, dist.DistError) or "gloo/" in str(error))

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over all ranks, in the order of ranks and so the same on each."""
        if self.world == 1:
            return [float(v) for v in values]
        mine = torch.tensor(list(values), dtype=torch.float64)
        rows = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(rows, mine)
        return torch.stack(rows).sum(0).tolist()

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The CPU tensors of all ranks; every rank's must have the same shape."""
        if self.world == 1:
            return [tensor]
        rows = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(rows, tensor)
        return rows

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            self.sum([0.0])

    def share(self, count: int) -> range:
        """This rank's part of ``count`` things, parts in the order of ranks.

        >>> [list(Ranks(rank, 2).share(5)) for rank in (0, 1)]
        [[0, 1, 2], [3, 4]]
        """
        part = np.array_split(np.arange(count), self.world)[self.rank]
        return range(int(part[0]), int(part[-1]) + 1) if len(part) else range(0)
