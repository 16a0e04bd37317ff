"""Folders of drums and of pianos rendered in one go, each pair once.

    from creative_mix.batch import BatchOptions, run_batch

    summary = run_batch("drums", "pianos", "out", BatchOptions(pair="product"))

`pairing` finds what goes together, `plan` what of it is to be done, `ledger` remembers what was;
an engine (`local`, `cluster`) has `worker`s render it, and `run` brings all of them together.
"""

from __future__ import annotations

from .options import BatchOptions, Display
from .run import find_pairs, run_batch
from .summary import PairRecord, Summary

__all__ = ["BatchOptions", "Display", "PairRecord", "Summary", "find_pairs", "run_batch"]
