"""A look at the user's material before the first step: what was found, what was refused and why."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import soundfile

from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training import midi
from creative_mix.training.composition import Shares
from creative_mix.training.config import TrainingConfig
from creative_mix.training.dataset import CropShape
from creative_mix.training.instruments import SampledKit, SampledPiano
from creative_mix.training.material import AUDIO_SUFFIXES, Material
from creative_mix.training.pairfiles import PARTS, pair_stems, tells_notes
from creative_mix.training.sources import PairFolder, PairStudio, Source, UnpairedFolder
from creative_mix.training.stream import Stream

LEAST_S = 1.0
"""Shortest recording that is of use, seconds."""
TOLD = 5
"""Refusals that are told one by one; the rest are counted."""


@dataclasses.dataclass
class Inventory:
    """What was found, a line each, and what was refused: the file and the reason."""

    found: list[str] = dataclasses.field(default_factory=list)
    refused: list[tuple[Path, str]] = dataclasses.field(default_factory=list)

    def lines(self) -> list[str]:
        """The report, line by line."""
        told = [f"found: {line}" for line in self.found]
        told += [f"refused: {path}: {reason}" for path, reason in self.refused[:TOLD]]
        if len(self.refused) > TOLD:
            told.append(f"refused: {len(self.refused) - TOLD} more files")
        return told


def open_stream(config: TrainingConfig) -> tuple[Stream, Inventory]:
    """The stream of what the configuration names, each file looked at first.

    Raises:
        TrainingDataError: nothing is named, or nothing of a kind that is named can be used.
    """
    shape = CropShape(config.crop_frames, config.context_frames)
    inventory = Inventory()
    sources: list[Source] = []
    shares: list[float] = []
    rest = 1.0
    if config.unpaired:
        sources.append(_open_unpaired(Path(config.unpaired), shape, inventory))
        alone = not (config.pairs or config.material)
        shares.append(1.0 if alone else config.unpaired_share)
        rest -= shares[-1]
    if config.material:
        sources.append(_open_material(config, shape, inventory))
        shares.append(rest * (config.material_share if config.pairs else 1.0))
        rest -= shares[-1]
    if config.pairs:
        stems = check_pairs(Path(config.pairs), inventory)
        if not stems and inventory.refused:
            path, reason = inventory.refused[0]
            raise TrainingDataError(
                f"{config.pairs}: no usable pairs; {len(inventory.refused)} refused, the first "
                f"{path.name}: {reason}"
            )
        sources.append(PairFolder(config.pairs, stems, shape, config.varied_share))
        shares.append(rest)
    if not sources:
        raise TrainingDataError(
            "nothing to learn from: set `pairs`, `material` or `unpaired` in the configuration"
        )
    return Stream(sources, shares, config.seed), inventory


def check_pairs(folder: Path, inventory: Inventory) -> list[str]:
    """Stems of the usable pairs in a folder."""
    stems = pair_stems(folder)
    for path in sorted(folder.glob("*.wav")):
        stem, _, part = path.name.removesuffix(".wav").rpartition(".")
        if part in PARTS and stem not in stems:
            lacking = [p for p in PARTS if not (folder / f"{stem}.{p}.wav").is_file()]
            inventory.refused.append((path, f"its pair has no {' and no '.join(lacking)}"))
    usable, length_s, bare = [], 0.0, 0
    for stem in stems:
        about = folder / f"{stem}.json"
        try:
            length_s += _check_pair(folder, stem)
            if about.is_file():
                _check_about(about)
            bare += not tells_notes(folder, stem)
        except TrainingDataError as error:
            inventory.refused.append((folder / f"{stem}.*", str(error)))
            continue
        usable.append(stem)
    told = f"{len(usable)} ready pairs in {folder}, {length_s / 60:.1f} minutes"
    if bare:
        told += f"; {bare} without notes, which teach the sound alone"
    inventory.found.append(told)
    return usable


def _check_pair(folder: Path, stem: str) -> float:
    lengths = {}
    for part in PARTS:
        info = _audio_info(folder / f"{stem}.{part}.wav")
        if info.samplerate != SAMPLE_RATE:
            raise TrainingDataError(f"{part} at {info.samplerate} Hz; must be {SAMPLE_RATE} Hz")
        lengths[part] = info.frames
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{part} {count}" for part, count in lengths.items())
        raise TrainingDataError(f"the parts differ in length ({told} samples)")
    if lengths["truth"] < LEAST_S * SAMPLE_RATE:
        raise TrainingDataError(f"{lengths['truth']} samples; must be {LEAST_S:g} s or more")
    return lengths["truth"] / SAMPLE_RATE


def _check_about(path: Path) -> None:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        rows = [(row, 3) for row in about.get("hits", ())]
        rows += [(row, 4) for row in about.get("piano_notes", ())]
        sound = all(len(row) == size and all(v == v for v in row) for row, size in rows)
        bias = [float(value) for value in about.get("bias", [0.0] * len(COMPONENT_NAMES))]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingDataError(f"{path.name} is not a pair's description ({error})") from error
    if len(bias) != len(COMPONENT_NAMES) or not all(map(math.isfinite, bias)):
        raise TrainingDataError(f"{path.name} has a bias that is not six numbers")
    if not sound or not rows:
        raise TrainingDataError(f"{path.name} has no notes, or such as are not numbers")


def _audio_info(path: Path) -> soundfile._SoundFileInfo:
    try:
        return soundfile.info(str(path))
    except (OSError, soundfile.SoundFileError) as error:
        raise TrainingDataError(f"{path.name} is not readable as audio ({error})") from error


def _open_unpaired(folder: Path, shape: CropShape, inventory: Inventory) -> UnpairedFolder:
    kinds = {}
    for kind in ("drums", "piano"):
        files = _files(folder / kind, AUDIO_SUFFIXES)
        kinds[kind] = _keep(files, _check_recording, inventory)
        if not kinds[kind]:
            raise TrainingDataError(
                f"{folder / kind}: no usable recordings; `unpaired` wants some in drums/ and piano/"
            )
    told = " and ".join(f"{len(files)} of {kind}" for kind, files in kinds.items())
    inventory.found.append(f"unpaired recordings in {folder}: {told}")
    return UnpairedFolder(kinds["drums"], kinds["piano"], shape)


def _check_recording(path: Path) -> None:
    info = _audio_info(path)
    if info.duration < LEAST_S:
        raise TrainingDataError(f"{info.duration:.2f} s long; must be {LEAST_S:g} s or more")


def _open_material(config: TrainingConfig, shape: CropShape, inventory: Inventory) -> PairStudio:
    folder = Path(config.material)
    material = _without_broken(folder, Material.from_folder(folder, config.soundfonts), inventory)
    grooves = [groove.path for groove in material.grooves]
    sound = set(_keep(grooves, midi.read_hits, inventory, "no drum hits in it"))
    performances = _keep(
        list(material.performances), midi.read_notes, inventory, "no piano notes in it"
    )
    material = dataclasses.replace(
        material,
        grooves=tuple(groove for groove in material.grooves if groove.path in sound),
        performances=tuple(performances),
    )
    used = material.for_split("train")
    for kind, instruments in (("pianos", used.pianos), ("kits", used.kits)):
        names = ", ".join(instrument.name for instrument in instruments)
        inventory.found.append(f"{len(instruments)} {kind} in {folder}: {names}")
    inventory.found.append(
        f"{len(used.grooves)} grooves and {len(used.performances)} performances"
        + ("" if used.grooves and used.performances else "; what lacks is generated")
    )
    shares = {share.name: getattr(config, share.name) for share in dataclasses.fields(Shares)}
    return PairStudio(material, shape, **shares)


def _without_broken(folder: Path, material: Material, inventory: Inventory) -> Material:
    """The material without samples that cannot be read; tells of them, and of files not used."""
    kept: dict[str, list[Any]] = {"pianos": [], "kits": []}
    for kind, instruments in (("pianos", material.pianos), ("kits", material.kits)):
        for instrument in instruments:
            if not isinstance(instrument, (SampledPiano, SampledKit)):
                kept[kind].append(instrument)
                continue
            paths = {file.path for file in instrument.files}
            sound = set(_keep(sorted(paths), _audio_info, inventory))
            try:
                files = [file for file in instrument.files if file.path in sound]
                kept[kind].append(instrument.only(files))
            except TrainingDataError as error:
                inventory.refused.append((folder / instrument.name, str(error)))
    tell_unused(folder, material, inventory)
    for kind, left in kept.items():
        if not left:
            raise TrainingDataError(f"{folder}: no usable {kind}; {inventory.lines()[-1]}")
    return dataclasses.replace(material, pianos=tuple(kept["pianos"]), kits=tuple(kept["kits"]))


def tell_unused(folder: Path, material: Material, inventory: Inventory) -> None:
    """Tell of the files in a folder of material that nothing is made of.

    Args:
        folder: as `Material.from_folder` takes it.
        material: what was found there.
        inventory: takes the refusals.
    """
    for inner, instruments in (("piano", material.pianos), ("drums", material.kits)):
        sampled = [each for each in instruments if isinstance(each, (SampledPiano, SampledKit))]
        if not sampled:  # a SoundFont's programs play alone
            continue
        used = {file.path for each in sampled for file in each.files}
        for path in _files(folder / inner, AUDIO_SUFFIXES):
            if path not in used:
                inventory.refused.append((path, "neither its name nor an index.csv says its note"))
    parts = (folder / "midi" / "drums", folder / "midi" / "piano")
    for path in _files(folder / "midi", midi.MIDI_SUFFIXES):
        if not any(part in path.parents for part in parts):
            inventory.refused.append((path, "MIDI is played from midi/drums and midi/piano alone"))


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)


def _keep(
    files: Iterable[Path],
    check: Callable[[Path], object],
    inventory: Inventory,
    empty: str | None = None,
) -> list[Path]:
    """The files that pass a check; a check that finds nothing refuses as ``empty`` says."""
    kept = []
    for path in files:
        try:
            found = check(path)
            if empty is not None and not found:
                raise TrainingDataError(empty)
        except TrainingDataError as error:
            inventory.refused.append((path, str(error).removeprefix(f"{path}: ")))
        else:
            kept.append(path)
    return kept
