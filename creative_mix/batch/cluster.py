"""Pairs rendered by the machines of a Ray cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CreativeMixError, DeviceError, RuntimeMissingError
from .engine import Event, Word
from .signals import ignored
from .worker import Job, Outcome, PairRenderer, Ready, WorkerSpec

ATTEMPTS = 5
"""Times that a pair is begun: machines of a cluster come and go through no fault of its."""

_STARTS = 3
"""Workers that may die before they are ready, one after another."""

_KNOCK_S = 5.0

_PATIENCE_S = 10.0
"""Time without a worker after which it is said what is waited for."""


class ClusterWorker(PairRenderer):
    """A `PairRenderer` that answers from another process."""

    def begin(self) -> Ready | CreativeMixError:
        """Load the model, or give the reason why not: as a value, which needs no unwrapping."""
        try:
            return self.load()
        except CreativeMixError as error:
            return error


@dataclass
class _Call:
    """A question to an actor: its job, or None while it loads the model."""

    actor: Any
    job: Job | None


class RayEngine:
    """Actors of a Ray cluster, each with its model loaded once, on a GPU where there are any.

    A worker or a machine that dies costs its pairs an attempt and nothing else: another worker
    takes them, and a new one is asked for.  All files lie on a file system that all machines share
    under the same paths.

    Args:
        spec: what to render with.
        address: of the cluster: "auto" for the one of this machine or of RAY_ADDRESS, "local" for
            a new one on this machine alone, or as `ray.init` takes it.
        workers: actors; by default as many as the cluster has GPUs, or CPUs for their threads.

    Raises:
        RuntimeMissingError: Ray is not installed.
        CreativeMixError: no such cluster.
        DeviceError: the device is "cuda" and the cluster has no GPU.
    """

    def __init__(self, spec: WorkerSpec, address: str = "auto", workers: int | None = None) -> None:
        self._spec = spec
        self._ray = _load_ray()
        self._owned = not self._ray.is_initialized()
        if self._owned:
            self._connect(address)
        try:
            has = self._ray.cluster_resources()
            gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 0))
            if spec.device == "cuda" and not gpus:
                raise DeviceError("the cluster has no GPU; add one or use --device cpu")
            self._gpus_each = 1 if gpus and spec.device != "cpu" else 0
            self.workers = workers or max(1, gpus if self._gpus_each else cpus // spec.threads)
        except BaseException:
            self._leave()
            raise
        self._calls: dict[Any, _Call] = {}
        self._failed_starts = 0
        self._told = False

    def _connect(self, address: str) -> None:
        try:
            _knock(address)
            self._ray.init(
                None if address == "auto" and os.environ.get("RAY_ADDRESS") else address,
                logging_level=logging.ERROR,
                log_to_driver=False,
                include_dashboard=False if address == "local" else None,
            )
        except Exception as error:
            # Ray has no common class for what can be wrong with an address.
            reason = " ".join(str(error).split())[:160]
            raise CreativeMixError(
                f"no Ray cluster at {address!r} ({reason}); begin one with `ray start --head`, "
                "or give --address local for one of this machine alone"
            ) from error

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Yield what happens; see `Engine`."""
        waiting, attempts = deque(jobs), Counter[int]()
        idle: list[Any] = []
        heard_of_any = False
        try:
            for _ in range(min(self.workers, len(waiting))):
                self._start()
            while waiting or any(call.job for call in self._calls.values()):
                while waiting and idle:
                    self._give(idle.pop(), waiting.popleft())
                done, _ = self._ray.wait(list(self._calls), timeout=_PATIENCE_S)
                if not done and not heard_of_any:
                    heard_of_any = True
                    yield self._what_is_missing()
                for reference in done:
                    heard_of_any = True
                    call = self._calls.pop(reference)
                    yield from self._hear(reference, call, idle, waiting, attempts)
        finally:
            with ignored():
                self._end(idle)

    def _what_is_missing(self) -> Word:
        each = f"{self._spec.threads} CPUs" + (" and a GPU" if self._gpus_each else "")
        return Word(f"the cluster is busy: waiting for a worker of {each}")

    def _start(self) -> None:
        """Ask for an actor; it counts as a worker once it has answered."""
        actor_class = self._ray.remote(ClusterWorker).options(
            num_cpus=self._spec.threads, num_gpus=self._gpus_each
        )
        actor = actor_class.remote(self._spec)
        self._calls[actor.begin.remote()] = _Call(actor, None)

    def _give(self, actor: Any, job: Job) -> None:
        # The working folder is another one over there.
        shared = dataclasses.replace(
            job,
            drums=os.path.abspath(job.drums),
            piano=os.path.abspath(job.piano),
            part=os.path.abspath(job.part),
        )
        self._calls[actor.render.remote(shared)] = _Call(actor, job)

    def _hear(
        self,
        reference: Any,
        call: _Call,
        idle: list[Any],
        waiting: deque[Job],
        attempts: Counter[int],
    ) -> Iterator[Event]:
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            yield from self._replace(call, error, waiting, attempts)
            return
        if isinstance(answer, CreativeMixError):
            raise answer
        idle.append(call.actor)
        if isinstance(answer, Ready):
            self._failed_starts = 0
            if self._told:
                return
            self._told = True
        if call.job is not None and answer.error:
            yield dataclasses.replace(answer, error=_as_given(answer.error, call.job))
            return
        yield answer

    def _replace(
        self, call: _Call, error: Exception, waiting: deque[Job], attempts: Counter[int]
    ) -> Iterator[Event]:
        """Ask for another worker in place of a lost one, whose pair goes to whoever is free."""
        self._kill(call.actor)
        reason = " ".join(str(error).split())[:160]
        job = call.job
        if job is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise CreativeMixError(
                    f"no worker can begin on the cluster ({reason}); is creative-mix installed on "
                    "all of its machines?"
                )
        else:
            attempts[job.index] += 1
            if attempts[job.index] < ATTEMPTS:
                waiting.appendleft(job)
                yield Word(f"a worker was lost: {job.output} is begun again on another one")
            else:
                yield Outcome(
                    job.index,
                    f"{job.drums}, {job.piano}: the worker was lost {ATTEMPTS} times ({reason}); "
                    "is there enough memory?",
                )
        if waiting:
            self._start()

    def _kill(self, actor: Any) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(actor)

    def _end(self, idle: list[Any]) -> None:
        for actor in [*idle, *(call.actor for call in self._calls.values())]:
            self._kill(actor)
        if self._calls:
            # Until they have ended, they may still write.
            with contextlib.suppress(Exception):
                self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0.5)
        self._calls.clear()
        self._leave()

    def _leave(self) -> None:
        if self._owned:
            self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise an OSError where nothing answers at an address: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _as_given(error: str, job: Job) -> str:
    """Return a reason with the recordings' paths as they were given."""
    for path in (job.drums, job.piano):
        error = error.replace(os.path.abspath(path), path)
    return error


def _load_ray() -> Any:
    # Of a batch nothing is reported anywhere, unless somebody has asked for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise RuntimeMissingError(
            "--engine ray needs ray, which is missing: pip install 'creative-mix[ray]'"
        ) from None
    return ray
