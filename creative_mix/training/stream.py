"""The stream of examples: the same for a seed, whatever ranks, workers and stops there are."""

from __future__ import annotations

import contextlib
import functools
import itertools
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from creative_mix.errors import TrainingDataError
from creative_mix.training.dataset import Batch, Crop, stack
from creative_mix.training.ranks import Ranks
from creative_mix.training.sources import PairFolder, Source

Batches = Generator[list[Batch], None, None]

MADE_EPOCH = 1000
"""Examples of an epoch where there are no ready pairs to go round."""


class Stream(Dataset[Crop]):
    """Example n of the run: drawn by (seed, epoch, index), with epoch and index out of n alone.

    Args:
        sources: of crops.
        shares: how often each is drawn from; they need not sum to 1.
        seed: of the run.
    """

    def __init__(self, sources: Sequence[Source], shares: Sequence[float], seed: int) -> None:
        self.sources, self.seed = list(sources), seed
        self.edges = np.cumsum(shares) / np.sum(shares)
        folders = [len(source) for source in sources if isinstance(source, PairFolder)]
        self.epoch_length = folders[0] if folders else MADE_EPOCH
        self._orders: dict[int, np.ndarray] = {}

    def _order(self, epoch: int) -> np.ndarray:
        """The examples of an epoch, shuffled; those of this epoch and the next to it are kept."""
        if epoch not in self._orders:
            kept = {other: order for other, order in self._orders.items() if abs(other - epoch) < 2}
            rng = np.random.default_rng((self.seed, epoch))
            self._orders = kept | {epoch: rng.permutation(self.epoch_length)}
        return self._orders[epoch]

    def __getitem__(self, number: int) -> Crop:
        epoch, index = divmod(number, self.epoch_length)
        rng = np.random.default_rng((self.seed, epoch, index))
        source = int(np.searchsorted(self.edges, rng.random(), side="right"))
        return self.sources[source].crop(rng, int(self._order(epoch)[index]))

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Some examples as a batch."""
        return stack([self[number] for number in numbers])


def plan_step(step: int, batch_size: int, accumulate: int, ranks: Ranks) -> list[list[int]]:
    """The example numbers of one rank at one step, for each of its micro-steps.

    >>> plan_step(10, 4, 2, Ranks(1, 2))
    [[42], [43]]
    """
    share = ranks.share(batch_size)
    numbers = np.arange(step * batch_size + share.start, step * batch_size + share.stop)
    return [part.tolist() for part in np.array_split(numbers, accumulate)]


class Feed:
    """The batches of a rank, read ahead, and how long the run has waited for them.

    Args:
        stream: of examples.
        batch_size: crops a step, over all ranks.
        accumulate: micro-steps.
        ranks: of the run.
        workers: processes that read ahead; 0 for one thread.

    Raises:
        TrainingDataError: the batch is too small to give every rank and micro-step a crop.
    """

    def __init__(
        self, stream: Stream, batch_size: int, accumulate: int, ranks: Ranks, workers: int
    ) -> None:
        if batch_size < ranks.world * accumulate:
            raise TrainingDataError(
                f"batch_size={batch_size}: fewer crops than {ranks.world} ranks x {accumulate} "
                "micro-steps; raise it or lower accumulate"
            )
        self.stream, self.workers = stream, workers
        self.accumulate = accumulate
        self._plan = functools.partial(
            plan_step, batch_size=batch_size, accumulate=accumulate, ranks=ranks
        )
        self._pin = ranks.device.type == "cuda"
        self.waited_s = 0.0

    def step(self, step: int) -> list[Batch]:
        """The micro-batches of a step."""
        return [self.stream.batch(numbers) for numbers in self._plan(step)]

    def steps(self, first: int, last: int) -> Batches:
        """The micro-batches of the steps ``first`` to ``last - 1``."""
        ahead = self._by_workers(first, last) if self.workers else self._by_thread(first, last)
        with contextlib.closing(ahead):
            while True:
                begun = time.monotonic()
                batches = next(ahead, None)
                self.waited_s += time.monotonic() - begun
                if batches is None:
                    return
                yield batches

    def _by_thread(self, first: int, last: int) -> Batches:
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.step, first)
            for step in range(first, last):
                batches = coming.result()
                if step + 1 < last:
                    coming = pool.submit(self.step, step + 1)
                yield batches

    def _by_workers(self, first: int, last: int) -> Batches:
        loader: DataLoader[Any] = DataLoader(
            self.stream,
            batch_sampler=_Numbers(self._plan, first, last),
            num_workers=self.workers,
            collate_fn=stack,
            prefetch_factor=max(2, 2 * self.accumulate),
            worker_init_fn=_begin_worker,
            pin_memory=self._pin,
        )
        batches = iter(loader)
        for _ in range(first, last):
            yield list(itertools.islice(batches, self.accumulate))


class _Numbers:
    """The example numbers of every micro-step to come, as a batch sampler."""

    def __init__(self, plan: Any, first: int, last: int) -> None:
        self.plan, self.first, self.last = plan, first, last

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield from self.plan(step)

    def __len__(self) -> int:
        return (self.last - self.first) * len(self.plan(self.first))


def _begin_worker(_: int) -> None:
    """A stop is the run's business: it ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
