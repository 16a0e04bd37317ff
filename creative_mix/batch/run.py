"""A batch from its folders to its summary."""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from pathlib import Path

from .. import __version__
from ..audio.output import check_subtype
from ..errors import CreativeMixError, ModelFileError
from ..renderer import WEIGHTS_PATH
from .engine import Engine, Share, Word
from .folder import SUMMARY, OutputFolder, read_ledger
from .ledger import Entry
from .options import BatchOptions, Display, Silence
from .pairing import Pairing, find_sources, pair_up
from .plan import Common, Step, describe_options, make_plan
from .shares import share_out
from .signals import deferred, ignored
from .summary import PairRecord, Summary
from .worker import Job, Outcome, Ready, WorkerSpec

CLUSTER_THREADS = 1
"""CPU threads of a cluster's worker where none are asked for: as most workers of one machine."""


def find_pairs(
    drums: str | os.PathLike[str],
    pianos: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: BatchOptions,
) -> Pairing:
    """Return the pairs of a batch; nothing is written.

    Raises:
        CreativeMixError: there are none, or two of them have the same output.
    """
    suffix = f".{options.format}"
    if options.subtype is not None:
        check_subtype(Path(output) / f"*{suffix}", options.subtype)
    made = read_ledger(Path(output)).outputs()
    first, second = find_sources(drums, "drums", made), find_sources(pianos, "pianos", made)
    return pair_up(first, second, options.pair, suffix)


def run_batch(
    drums: str | os.PathLike[str],
    pianos: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: BatchOptions | None = None,
    display: Display | None = None,
    summary_path: str | os.PathLike[str] | None = None,
) -> Summary:
    """Return what became of every pair of two folders, rendered into a third one.

    What is there already, from the same recordings, options and model, is not rendered again.  A
    pair that fails is reported and the others go on.  Where the batch is interrupted, no file is
    left that is not whole, and the next one goes on from there.

    A script that calls this needs the usual guard, `if __name__ == "__main__":`, because the worker
    processes import it.

    Args:
        drums: a folder with all folders in it, a glob, or a file.
        pianos: likewise.
        output: folder of the outputs, made where it does not exist; the summary is written there,
            too.
        options: how it is done.
        display: is told how it goes.
        summary_path: another JSON file to write the summary to.

    Raises:
        CreativeMixError: nothing can be done at all.
    """
    options, display = options or BatchOptions(), display or Silence()
    pairing = find_pairs(drums, pianos, output, options)
    with OutputFolder(Path(output)) as folder:
        batch = _Batch(folder, pairing, options, display)
        places = [folder.path / SUMMARY, *([Path(summary_path)] if summary_path else [])]
        try:
            batch.run()
        except BaseException:
            batch.summary.stopped = True
            with ignored(), suppress(CreativeMixError):
                batch.write(places)
            raise
        with deferred():
            batch.write(places)
    return batch.summary


class _Batch:
    """The pairs of a batch on their way."""

    def __init__(
        self, folder: OutputFolder, pairing: Pairing, options: BatchOptions, display: Display
    ) -> None:
        self._folder, self._options, self._display = folder, options, display
        self._started = time.perf_counter()
        model_path = WEIGHTS_PATH if options.model_path is None else options.model_path
        try:
            model_digest = folder.digests.look(model_path).digest
        except OSError as error:
            raise ModelFileError(
                f"{model_path}: no such model file ({error.strerror}); check the path"
            ) from error
        described = describe_options(options.settings, options.subtype, options.dither)
        self._common = Common(model_digest, __version__, described)
        self._steps = make_plan(pairing.pairs, folder, self._common, options.force)
        self._records = [PairRecord.of(step.pair, folder.path) for step in self._steps]
        self.summary = Summary(
            version=__version__,
            engine=options.engine,
            pair=options.pair,
            options=described,
            model=model_digest,
            pairs=self._records,
            alone=[str(path) for path in pairing.alone],
        )

    def run(self) -> None:
        """Render what is to be rendered."""
        self._tell_alone()
        jobs = []
        for index, (step, record) in enumerate(zip(self._steps, self._records, strict=True)):
            if step.made:
                record.finish("skipped", step.made.state, step.made.result)
            elif step.refusal:
                record.fail(step.refusal)
            else:
                record.why = step.why
                jobs.append(self._job(index, step))
        self._display.begin([_size(job.drums) for job in jobs])
        for record in self._records:
            if record.status == "failed":
                self._display.end(None, record)
        if not jobs:
            return
        engine = self._open_engine()
        self.summary.workers = min(engine.workers, len(jobs))
        places = {job.index: place for place, job in enumerate(jobs)}
        with closing(engine.run(jobs)) as events:
            for event in events:
                if isinstance(event, Outcome):
                    place = places[event.index]
                    self._end(jobs[place], event)
                    self._display.end(place, self._records[event.index])
                elif isinstance(event, Share):
                    self._display.share(places[event.index], event.done)
                elif isinstance(event, Word):
                    self._display.say(event.line)
                else:
                    self._begin(event)

    def write(self, places: list[Path]) -> None:
        """Write the summary."""
        self.summary.took_s = round(time.perf_counter() - self._started, 3)
        for path in places:
            self.summary.write(path)

    def _tell_alone(self) -> None:
        alone = self.summary.alone
        if alone:
            named = ", ".join(alone[:3]) + (f" and {len(alone) - 3} more" if alone[3:] else "")
            self._display.say(f"without a partner of the same name: {named}")

    def _job(self, index: int, step: Step) -> Job:
        pair, digests = step.pair, self._folder.digests
        known = {"drums": digests.known(pair.drums), "piano": digests.known(pair.piano)}
        return Job(
            index,
            str(pair.drums),
            str(pair.piano),
            str(self._folder.path / pair.output),
            str(self._folder.path / self._part(index)),
            {part: found for part, found in known.items() if found},
        )

    def _part(self, index: int) -> str:
        return self._folder.part(f"{index}{self._steps[index].pair.output.suffix}")

    def _open_engine(self) -> Engine:
        options = self._options
        if options.engine == "ray":
            workers, threads = options.workers, options.threads or CLUSTER_THREADS
        else:
            workers, threads = share_out(
                options.workers, options.threads, len(self._steps), options.device
            )
        self.summary.threads = threads
        spec = WorkerSpec(
            settings=options.settings,
            subtype=options.subtype,
            dither=options.dither,
            device=options.device,
            threads=threads,
            model_path=str(options.model_path.resolve()) if options.model_path else None,
            model_digest=self._common.model_digest,
            version=__version__,
        )
        if options.engine == "ray":
            from .cluster import RayEngine

            return RayEngine(spec, options.address or "auto", workers)
        from .local import LocalEngine

        assert workers is not None
        return LocalEngine(spec, workers)

    def _begin(self, ready: Ready) -> None:
        self.summary.device = ready.device
        if ready.notice:
            self._display.say(ready.notice)
        workers, threads = self.summary.workers, self.summary.threads
        each = "" if ready.device == "cuda" else f", {threads} thread{'s'[: threads > 1]} each"
        what = f"{workers} worker{'s'[: workers > 1]}"
        self._display.say(f"device: {ready.device}, {what}{each}")

    def _end(self, job: Job, outcome: Outcome) -> None:
        """Give a finished file its name, or note why there is none."""
        record, step = self._records[job.index], self._steps[job.index]
        record.took_s = round(outcome.took_s, 3)
        if outcome.error is not None or outcome.state is None:
            record.fail(outcome.error or "nothing was made")
            return
        if not step.replaces and os.path.lexists(job.output):
            record.fail(f"{job.output}: appeared while the batch ran; give --force to replace it")
            return
        inputs = outcome.inputs
        entry = Entry(
            output=str(step.pair.output),
            recipe=self._common.recipe(inputs["drums"].digest, inputs["piano"].digest),
            state=outcome.state,
            part=self._part(job.index),
            result=outcome.result,
        )
        try:
            # Between its entry and its name a file must not be left by a Ctrl-C.
            with deferred():
                self._folder.ledger.commit(entry)
                record.finish("rendered", outcome.state, outcome.result)
            self._folder.digests.keep(job.drums, inputs["drums"])
            self._folder.digests.keep(job.piano, inputs["piano"])
        except CreativeMixError as error:
            record.fail(str(error))


def _size(path: str) -> int:
    """Return the bytes of a file, at least 1: the bar moves by them."""
    try:
        return max(1, os.stat(path).st_size)
    except OSError:
        return 1
