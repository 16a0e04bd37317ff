"""Pairs rendered by processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..errors import CreativeMixError
from .engine import Event, Share
from .signals import ignored, unheard_by_children
from .worker import Job, Outcome, PairRenderer, Ready, WorkerSpec

ATTEMPTS = 2
"""Times that a pair is begun: a worker that died may have been another program's victim."""

_STARTS = 3
"""Workers that may die before they are ready, one after another."""

Serve = Callable[[WorkerSpec, Connection], None]


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    ready: bool = False
    job: Job | None = None


class LocalEngine:
    """Worker processes, each with its model loaded once.

    A process that dies costs its pair one attempt and nothing else.

    Args:
        spec: what to render with.
        workers: processes, at least 1.
        serve: what a worker runs.
    """

    def __init__(self, spec: WorkerSpec, workers: int, serve: Serve | None = None) -> None:
        self.workers = workers
        self._spec, self._serve = spec, serve or serve_pairs
        self._context = multiprocessing.get_context("spawn")
        self._pool: list[_Worker] = []
        self._told = False
        self._failed_starts = 0

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Yield what happens; see `Engine`."""
        waiting, attempts = deque(jobs), Counter[int]()
        try:
            while waiting or any(worker.job for worker in self._pool):
                idle = [worker for worker in self._pool if worker.ready and not worker.job]
                for worker in idle:
                    if waiting:
                        self._give(worker, waiting.popleft())
                starting = sum(not worker.ready for worker in self._pool)
                while len(self._pool) < self.workers and starting < len(waiting):
                    self._start()
                    starting += 1
                heard = wait([worker.connection for worker in self._pool])
                for worker in [w for w in self._pool if w.connection in heard]:
                    yield from self._hear(worker, waiting, attempts)
        finally:
            with ignored():
                self._end()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=self._serve, args=(self._spec, theirs), name="creative-mix worker", daemon=True
        )
        with unheard_by_children():
            process.start()
            self._pool.append(_Worker(process, ours))
        theirs.close()

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.job = job
        try:
            worker.connection.send(job)
        except OSError:
            pass  # it has died, which is heard on the same connection

    def _hear(
        self, worker: _Worker, waiting: deque[Job], attempts: Counter[int]
    ) -> Iterator[Event]:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, waiting, attempts)
            return
        if isinstance(message, CreativeMixError):
            raise message
        if isinstance(message, Ready):
            worker.ready, self._failed_starts = True, 0
            if self._told:
                return
            self._told = True
        if isinstance(message, Outcome):
            worker.job = None
        yield message

    def _bury(
        self, worker: _Worker, waiting: deque[Job], attempts: Counter[int]
    ) -> Iterator[Event]:
        """Take a dead worker out; its pair waits for another one, or has failed."""
        self._pool.remove(worker)
        worker.connection.close()
        worker.process.join(1.0)
        worker.process.kill()
        worker.process.join()
        code, job = worker.process.exitcode or 0, worker.job
        how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise CreativeMixError(
                    f"no worker process can begin ({how}); is there enough memory? "
                    "Give fewer --workers"
                )
        if job is None:
            return
        attempts[job.index] += 1
        if attempts[job.index] < ATTEMPTS:
            waiting.appendleft(job)
            return
        yield Outcome(
            job.index,
            f"{job.drums}, {job.piano}: the worker process {how}, {ATTEMPTS} times; "
            "is there enough memory? Give fewer --workers",
        )

    def _end(self) -> None:
        """End all processes at once, whatever they are doing."""
        for worker in self._pool:
            worker.process.kill()
        for worker in self._pool:
            worker.process.join()
            worker.connection.close()
        self._pool.clear()


def serve_pairs(spec: WorkerSpec, connection: Connection) -> None:
    """Render the jobs that come through `connection`, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and decides
    _end_with_parent()
    renderer = PairRenderer(spec)
    try:
        connection.send(renderer.load())
    except CreativeMixError as error:
        connection.send(error)
        return
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return

        def progress(share: float, index: int = job.index) -> None:
            connection.send(Share(index, share))

        connection.send(renderer.render(job, progress))


def _end_with_parent() -> None:
    """See to it that no worker goes on alone when its parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
