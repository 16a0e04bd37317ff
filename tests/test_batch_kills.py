"""Batches that are interrupted and killed: nothing torn, nothing lost, nothing done twice."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from batch_faults import serve_deadly, serve_nothing
from batchkit import (
    PAIRS,
    SIDE,
    begin,
    counts,
    outputs,
    states,
    summary,
    unfinished,
    wait_for_pairs,
    workers,
)

from creative_mix.batch import BatchOptions, run_batch
from creative_mix.batch.folder import OutputFolder
from creative_mix.batch.local import ATTEMPTS, LocalEngine
from creative_mix.batch.worker import Job, Outcome, WorkerSpec
from creative_mix.errors import CreativeMixError
from creative_mix.mixing import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")


@pytest.fixture
def arguments(batch_folders: tuple[Path, Path], standin_model: Path) -> list[str]:
    given = [*batch_folders, "--pair", "product", "--model", standin_model, "--workers", "2"]
    return [*map(str, given), "--threads", "1"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupted_batch_ends_at_once_and_goes_on_later(
    number: signal.Signals,
    code: int,
    arguments: list[str],
    batch_options: BatchOptions,
    batch_folders: tuple[Path, Path],
    local_batch: dict[str, bytes],
    tmp_path: Path,
) -> None:
    process = begin(*arguments, "-o", tmp_path)
    wait_for_pairs(process, 1)
    started = time.perf_counter()
    os.killpg(process.pid, number)  # as a terminal does
    assert process.stderr is not None
    said = process.stderr.read()  # ends with the last of the processes
    assert process.wait() == code
    assert time.perf_counter() - started < 2.0
    assert "Traceback" not in said
    assert unfinished(tmp_path) == []

    made = outputs(tmp_path)
    assert 1 <= len(made) < PAIRS
    assert all(local_batch[name] == content for name, content in made.items())
    if number == signal.SIGINT:
        assert summary(tmp_path)["stopped"]
        assert counts(tmp_path) == (len(made), 0, 0, PAIRS - len(made))
    before = states(tmp_path)
    run_batch(*batch_folders, tmp_path, batch_options)
    assert counts(tmp_path) == (PAIRS - len(made), len(made), 0, 0)
    assert {name: states(tmp_path)[name] for name in before} == before
    assert outputs(tmp_path) == local_batch


def test_a_batch_killed_again_and_again_does_nothing_twice(
    arguments: list[str],
    batch_options: BatchOptions,
    batch_folders: tuple[Path, Path],
    local_batch: dict[str, bytes],
    tmp_path: Path,
) -> None:
    before: dict[str, tuple[int, int]] = {}
    for more in (1, 2, 4):
        process = begin(*arguments, "-o", tmp_path)
        wait_for_pairs(process, more)
        process.kill()
        assert process.stderr is not None
        process.stderr.read()  # ends with the last worker, which nobody told to end
        process.wait()
        after = states(tmp_path)
        assert len(after) >= len(before) + more
        assert {name: after[name] for name in before} == before
        assert all(local_batch[name] == made for name, made in outputs(tmp_path).items())
        before = after
    run_batch(*batch_folders, tmp_path, batch_options)
    assert counts(tmp_path) == (PAIRS - len(before), len(before), 0, 0)
    assert {name: states(tmp_path)[name] for name in before} == before
    assert outputs(tmp_path) == local_batch
    assert unfinished(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_a_killed_worker_costs_nothing_but_time(
    arguments: list[str], local_batch: dict[str, bytes], tmp_path: Path
) -> None:
    process = begin(*arguments, "-o", tmp_path)
    wait_for_pairs(process, 2)
    os.kill(workers(process)[0], signal.SIGKILL)
    wait_for_pairs(process, 6)
    os.kill(workers(process)[1], signal.SIGKILL)
    assert process.stderr is not None
    assert "failed" not in process.stderr.read()
    assert process.wait() == 0
    assert outputs(tmp_path) == local_batch
    assert unfinished(tmp_path) == []


def test_a_finished_file_that_a_kill_left_without_its_name_gets_it(
    batch_options: BatchOptions, batch_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    one = dataclasses.replace(batch_options, pair="zip")
    run_batch(*batch_folders, tmp_path, one)
    made, inodes = outputs(tmp_path), states(tmp_path)
    with OutputFolder(tmp_path) as folder:
        entry = folder.ledger.whole("beat1+keys1.wav")
    assert entry is not None
    # As it is between the entry and the name, in place of nothing.
    part = tmp_path / entry.part
    part.parent.mkdir()
    (tmp_path / entry.output).rename(part)
    run_batch(*batch_folders, tmp_path, one)
    assert counts(tmp_path) == (0, SIDE, 0, 0)
    assert (outputs(tmp_path), states(tmp_path)) == (made, inodes)
    assert unfinished(tmp_path) == []


def test_a_torn_ledger_line_costs_one_pair(
    batch_options: BatchOptions, batch_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    one = dataclasses.replace(batch_options, pair="zip")
    run_batch(*batch_folders, tmp_path, one)
    ledger = tmp_path / ".creative-mix" / "ledger.jsonl"
    lines = ledger.read_bytes()
    (tmp_path / json.loads(lines.splitlines()[-1])["output"]).unlink()
    ledger.write_bytes(lines[:-50])
    for expected in ((1, SIDE - 1, 0, 0), (0, SIDE, 0, 0)):
        run_batch(*batch_folders, tmp_path, one)
        assert counts(tmp_path) == expected


def engine(serve: object, count: int) -> LocalEngine:
    spec = WorkerSpec(Settings(), None, True, "cpu", 1, None, "", "")
    return LocalEngine(spec, count, serve)  # type: ignore[arg-type]


def test_a_pair_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    names = ["a", "deadly", "b", "frail", "c", "d"]
    jobs = [Job(i, name, "p", "o", str(tmp_path / name)) for i, name in enumerate(names)]
    events = list(engine(serve_deadly, 2).run(jobs))
    outcomes = {event.index: event for event in events if isinstance(event, Outcome)}
    assert sorted(outcomes) == list(range(len(names)))
    failed = {names[index]: outcome.error for index, outcome in outcomes.items() if outcome.error}
    assert list(failed) == ["deadly"]
    assert "signal 9" in failed["deadly"] and "--workers" in failed["deadly"]
    assert (tmp_path / "deadly").read_text() == "begun\n" * ATTEMPTS


def test_workers_that_cannot_begin_end_the_batch() -> None:
    with pytest.raises(CreativeMixError, match="ended with code 3"):
        list(engine(serve_nothing, 2).run([Job(0, "d", "p", "o", "part")]))
