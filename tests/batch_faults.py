"""Workers with planted faults; in a module of their own, because worker processes import it."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection

from creative_mix.batch.worker import Job, Outcome, Ready, WorkerSpec


def serve_deadly(spec: WorkerSpec, connection: Connection) -> None:
    """Do every job at once; die at "deadly" ones, and once at "frail" ones."""
    connection.send(Ready("cpu", None))
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        if job.drums == "deadly" or (job.drums == "frail" and not os.path.exists(job.part)):
            with open(job.part, "a") as file:
                file.write("begun\n")
            os.kill(os.getpid(), signal.SIGKILL)
        connection.send(Outcome(job.index, took_s=1.0))


def serve_nothing(spec: WorkerSpec, connection: Connection) -> None:
    """Die before being ready."""
    os._exit(3)
