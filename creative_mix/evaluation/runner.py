"""Systems run over cases, one process or several, into a Report."""

from __future__ import annotations

import multiprocessing
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from creative_mix.evaluation.baselines import Audio, Render
from creative_mix.evaluation.features import Features, FloatArray
from creative_mix.evaluation.measures import References, measure_output
from creative_mix.evaluation.report import Report
from creative_mix.evaluation.transcription import Played, chance_note_f, note_f

if TYPE_CHECKING:
    from creative_mix.training.pairs import Pair

TRUTH = "truth"
FLOOR = "truth again"

Progress = Callable[[int, int], None]


@runtime_checkable
class TellsMore(Protocol):
    """A system that has scores of its own beside those of its output."""

    def last_scores(self) -> dict[str, float]:
        """The scores of its last render."""
        ...


@runtime_checkable
class TellsNotes(Protocol):
    """A system that says which notes it plays."""

    def last_notes(self) -> Sequence[Played] | None:
        """The notes of its last render, None where it cannot tell."""
        ...


@runtime_checkable
class TakesBias(Protocol):
    """A system that can be drawn to some of the components."""

    def with_bias(self, drums: Audio, piano: Audio, bias: FloatArray) -> Audio:
        """The render under a bias of the selector, six numbers."""
        ...


@dataclass(frozen=True)
class Case:
    """One pair of sources at 44.1 kHz and equal length, with or without a known answer.

    Attributes:
        name: for the report.
        drums: (C, N).
        piano: (C, N).
        truth: (C, N), or None.
        strikes_s: when the truth strikes, in seconds, or None.
        rendered_again: the truth by another rendering of the same notes, the floor, or None.
        notes: what the truth plays, or None.
        bias: of the selector, six numbers, of which the truth is the answer; None for none.
    """

    name: str
    drums: Audio
    piano: Audio
    truth: Audio | None = None
    strikes_s: FloatArray | None = None
    rendered_again: Audio | None = None
    notes: Sequence[Played] | None = None
    bias: FloatArray | None = None


CaseSource = Callable[[], Case]


def case_of_pair(pair: Pair, name: str = "", rendered_again: Audio | None = None) -> Case:
    """The case that a pair with known truth makes; times are kept only where there are any."""
    strikes = np.asarray(pair.strikes_s, dtype=np.float64)
    return Case(
        name or str(pair.seed),
        pair.drums,
        pair.piano,
        pair.truth,
        strikes if len(strikes) else None,
        rendered_again,
        pair.truth_notes or None,
        np.asarray(pair.bias, np.float64) if np.any(pair.bias) else None,
    )


@dataclass(frozen=True)
class _Held:
    case: Case

    def __call__(self) -> Case:
        return self.case


def evaluate_pairs(pairs: Iterable[Pair], systems: dict[str, Render], jobs: int = 1) -> Report:
    """The report of the systems, and of the truth as one of them, over pairs with known truth.

    Args:
        pairs: held in memory; `evaluate_cases` takes them one at a time.
        systems: by name; each must pickle when `jobs` is above 1.
        jobs: processes.
    """
    sources = [_Held(case_of_pair(pair, f"{n:03d}")) for n, pair in enumerate(pairs)]
    return evaluate_cases(sources, systems, jobs=jobs)


def evaluate_real(
    sources: Iterable[tuple[Audio, Audio]], systems: dict[str, Render], jobs: int = 1
) -> Report:
    """The report of the systems over (drums, piano) of equal length at 44.1 kHz, no truth known."""
    held = [_Held(Case(f"{n:03d}", drums, piano)) for n, (drums, piano) in enumerate(sources)]
    return evaluate_cases(held, systems, jobs=jobs)


def evaluate_cases(
    sources: Sequence[CaseSource],
    systems: dict[str, Render],
    partners: Sequence[int] | None = None,
    jobs: int = 1,
    on_progress: Progress | None = None,
) -> Report:
    """The report of the systems over cases that are made when needed.

    Args:
        sources: each makes one case; they and the systems must pickle when `jobs` is above 1.
        systems: by name.
        partners: for each case the index of that whose drums and piano are the mismatched ones;
            the case before it when None.
        jobs: processes; the scores do not depend on it.
        on_progress: called with the cases done and all cases.
    """
    count = len(sources)
    partners = [(n - 1) % count for n in range(count)] if partners is None else partners
    blocks = [list(b) for b in np.array_split(np.arange(count), min(count, 4 * jobs)) if len(b)]
    if jobs <= 1:
        blocks = [list(range(count))]
    scored: dict[int, _Scored] = {}
    if jobs <= 1:
        for one in _run_block(sources, systems, partners, blocks[0] if count else []):
            scored[one.index] = one
            if on_progress:
                on_progress(len(scored), count)
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            futures = [
                pool.submit(_list_block, sources, systems, partners, block) for block in blocks
            ]
            for future in as_completed(futures):
                scored.update({one.index: one for one in future.result()})
                if on_progress:
                    on_progress(len(scored), count)
    ordered = [scored[n] for n in range(count)]
    report = Report([one.name for one in ordered])
    for one in ordered:
        report.append(one.scores)
    return report


@dataclass(frozen=True)
class _Scored:
    index: int
    name: str
    scores: dict[str, dict[str, float]]


def _list_block(
    sources: Sequence[CaseSource],
    systems: dict[str, Render],
    partners: Sequence[int],
    indices: Sequence[int],
) -> list[_Scored]:
    return list(_run_block(sources, systems, partners, indices))


def _run_block(
    sources: Sequence[CaseSource],
    systems: dict[str, Render],
    partners: Sequence[int],
    indices: Sequence[int],
) -> Iterable[_Scored]:
    recent: OrderedDict[int, Case] = OrderedDict()

    def make(index: int) -> Case:
        if index not in recent:
            recent[index] = sources[index]()
            while len(recent) > 3:
                recent.popitem(last=False)
        return recent[index]

    for index in indices:
        partner = make(partners[index]) if partners[index] != index else None
        case = make(index)
        yield _Scored(int(index), case.name, score_case(case, systems, partner))


def score_case(
    case: Case, systems: dict[str, Render], partner: Case | None = None
) -> dict[str, dict[str, float]]:
    """The scores of every system on one case, the truth's and the floor's own among them."""
    length = case.piano.shape[-1]
    references = References(
        drums=Features(case.drums),
        piano=Features(case.piano),
        truth=None if case.truth is None else Features(case.truth),
        strikes_s=case.strikes_s,
        other_drums=None if partner is None else _other(case.drums, partner.drums),
        other_piano=None if partner is None else _other(case.piano, partner.piano),
    )
    found = {}
    for name, render in systems.items():
        output = Features(_to_length(_render(render, case), length))
        found[name] = measure_output(output, references)
        if isinstance(render, TellsMore):
            found[name].update(render.last_scores())
        if case.notes is not None and isinstance(render, TellsNotes):
            found[name].update(_score_notes(case.notes, render.last_notes(), output.duration_s))
    if references.truth is not None:
        found[TRUTH] = measure_output(references.truth, references)
    if case.rendered_again is not None:
        again = Features(_to_length(case.rendered_again, length))
        found[FLOOR] = measure_output(again, references)
    return found


def _render(render: Render, case: Case) -> Audio:
    if case.bias is not None and isinstance(render, TakesBias):
        return render.with_bias(case.drums, case.piano, case.bias)
    return render(case.drums, case.piano)


def _score_notes(
    truth: Sequence[Played], played: Sequence[Played] | None, duration_s: float
) -> dict[str, float]:
    if played is None:
        return {}
    return {
        "notes_f50": note_f(truth, played),
        "notes_f50_chance": chance_note_f(truth, played, duration_s),
    }


def _other(own: Audio, other: Audio) -> Features | None:
    """Features of a partner's recording, None where it is the same one."""
    fitted = _to_length(other, own.shape[-1])
    return None if np.array_equal(fitted, own) else Features(fitted)


def _to_length(audio: Audio, length: int) -> Audio:
    """The audio cut, or repeated, to a length in samples."""
    have = audio.shape[-1]
    if have == length or have == 0:
        return audio
    repeats = -(-length // have)
    return np.tile(audio, (*(1 for _ in audio.shape[:-1]), repeats))[..., :length]
