"""Which pairs are to be rendered, which are done, and which must not be touched."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..audio.files import AudioReader
from ..curve import BiasCurve
from ..errors import AudioFileError
from .digests import DigestCache
from .folder import OutputFolder
from .ledger import Entry, Recipe
from .pairing import Pair

if TYPE_CHECKING:
    from ..mixing import Settings


@dataclass(frozen=True)
class Step:
    """What is done about a pair: exactly one of `why`, `made` and `refusal` is there."""

    pair: Pair
    why: str | None = None
    """Why it is rendered: "new", "drums changed"..."""

    made: Entry | None = None
    """The output that is there already, from the same content."""

    refusal: str | None = None
    """Why it cannot be rendered."""

    replaces: bool = False
    """Whether a file under the output's name is replaced."""


@dataclass(frozen=True)
class Common:
    """What the outputs of a batch follow from beside their recordings."""

    model_digest: str
    version: str
    options: dict[str, Any]

    def recipe(self, drums_digest: str, piano_digest: str) -> Recipe:
        """Return the recipe of one output."""
        return {
            "drums": drums_digest,
            "piano": piano_digest,
            "model": self.model_digest,
            "version": self.version,
            "options": self.options,
        }


def describe_options(settings: Settings, subtype: str | None, dither: bool) -> dict[str, Any]:
    """Return the options that are not as they are by default, as JSON can have them."""
    found: dict[str, Any] = {}
    for each in fields(settings):
        default = each.default
        if each.default_factory is not MISSING:
            default = each.default_factory()
        value = getattr(settings, each.name)
        if value == default:
            continue
        if isinstance(value, BiasCurve):
            # By what it says, wherever the file lay.
            value = value.digest
        found[each.name] = dict(value) if isinstance(value, Mapping) else value
    if subtype is not None:
        found["subtype"] = subtype
    if not dither:
        found["dither"] = False
    # As they come back from the ledger: lists for tuples.
    described: dict[str, Any] = json.loads(json.dumps(found))
    return described


def make_plan(
    pairs: Sequence[Pair], folder: OutputFolder, common: Common, force: bool
) -> list[Step]:
    """Return a step for every pair, in order."""
    inputs = {os.path.realpath(path) for pair in pairs for path in (pair.drums, pair.piano)}
    return [_decide(pair, folder, common, force, inputs) for pair in pairs]


def _decide(
    pair: Pair, folder: OutputFolder, common: Common, force: bool, inputs: set[str]
) -> Step:
    output, path = str(pair.output), folder.path / pair.output
    if os.path.realpath(path) in inputs:
        return Step(pair, refusal=f"{path}: is an input too; give another folder or another format")
    known = folder.ledger.knows(output)
    if not os.path.lexists(path):
        return Step(pair, why="output missing" if known else "new")
    made = folder.ledger.whole(output)
    if force:
        return Step(pair, why="forced", replaces=True)
    if made is None:
        if known and _is_torn(path):
            return Step(pair, why="output damaged", replaces=True)
        what = "was changed since it was made" if known else "exists already, from elsewhere"
        return Step(pair, refusal=f"{path}: {what}; give --force to replace it")
    why = _difference(made.recipe, _recipe(pair, folder.digests, common))
    return Step(pair, why=why, replaces=True) if why else Step(pair, made=made)


def _recipe(pair: Pair, digests: DigestCache, common: Common) -> Recipe:
    try:
        return common.recipe(digests.look(pair.drums).digest, digests.look(pair.piano).digest)
    except OSError:
        return {}  # the worker finds the same, and says it by the file's name


def _difference(before: Recipe, now: Recipe) -> str | None:
    changed = [part for part in before if before[part] != now.get(part)]
    return f"{' and '.join(changed)} changed" if changed else None


def _is_torn(path: Path) -> bool:
    """Whether a file is no whole recording: what a full disk or a power cut can leave."""
    try:
        AudioReader(path).close()
    except AudioFileError:
        return True
    return False
