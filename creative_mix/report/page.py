"""A report as one page that needs no network: its pictures, its sounds and its script are in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template

import numpy as np

from .. import __version__
from ..audio.levels import to_db
from ..constants import COMPONENT_NAMES, VOICE_NAMES
from . import plots
from .players import PLAYED_S
from .scoring import Row
from .sheet import ROLES, Sheet, Sound

_HERTZ = {"100 Hz": 100.0, "1 kHz": 1000.0, "3": 3000.0, "8": 8000.0}
_ORDER = ("output", "piano", "drums")
_TITLES = {"output": "Output", "piano": "Piano", "drums": "Drums"}
_STEPS_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


def draw_page(sheet: Sheet) -> str:
    """Return the page of a report."""
    output = sheet.sounds["output"]
    return Template(_asset("page.html")).substitute(
        version=escape(__version__),
        title=escape(_short(output.name)),
        style=_asset("page.css"),
        script=_asset("page.js"),
        piano=escape(_short(sheet.sounds["piano"].name)),
        drums=escape(_short(sheet.sounds["drums"].name)),
        facts="\n".join(_facts(sheet)),
        choice="\n".join(_choice()),
        played=f"{output.player.duration_s:.3f}",
        duration=f"{sheet.duration_s:.6f}",
        timeline="\n".join(_timeline(sheet)),
        scores="\n".join(_scores(sheet)),
        about="\n".join(_about(sheet)),
        footer=_footer(sheet),
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _short(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _facts(sheet: Sheet) -> Iterable[str]:
    minutes, seconds = divmod(sheet.duration_s, 60)
    facts = [("Length", f"{int(minutes)}:{seconds:04.1f}")]
    tempo = f"{sheet.tempo_bpm:.1f} <small>bpm</small>" if sheet.tempo_bpm else "not clear"
    facts.append(("Tempo of the drums", tempo))
    facts.append(("Strikes", str(sheet.struck)))
    if sheet.tells_notes:
        facts.append(("Notes struck", str(len(sheet.notes))))
    for aspect, ours in (("rhythm", "input"), ("harmony", "target"), ("timbre", "target")):
        pair = [sheet.mean_weights.get(f"{side}_{aspect}", 0.0) for side in ("input", "target")]
        if sum(pair):
            share = pair[ours == "target"] / sum(pair)
            source = "drums" if ours == "input" else "piano"
            facts.append(
                (f"{aspect.capitalize()} from the {source}", f"{100 * share:.0f} <small>%</small>")
            )
    for name, value in facts:
        yield f"<div><dt>{name}</dt><dd>{value}</dd></div>"


def _choice() -> Iterable[str]:
    for role in _ORDER:
        yield (
            f'<input type="radio" name="sound" id="sound-{role}" value="{role}">'
            f'<label for="sound-{role}">{_TITLES[role]}</label>'
        )


def _timeline(sheet: Sheet) -> Iterable[str]:
    for role in _ORDER:
        yield from _sound_lane(sheet, sheet.sounds[role])
        if role == "output":
            yield from _struck_lane(sheet)
    yield from _chroma_lane(sheet)
    yield from _weights_lane(sheet)


def _sound_lane(sheet: Sheet, sound: Sound) -> Iterable[str]:
    sketch, role = sound.sketch, sound.role
    title, count = _TITLES[role], len(sketch.onsets_s)
    level = f"{sketch.loudness_lufs:.1f} LUFS" if np.isfinite(sketch.loudness_lufs) else "silent"
    peak = f", peak {to_db(sketch.peak):.1f} dB" if sketch.peak else ""
    yield f'<section class="lane of-{role}" aria-labelledby="title-{role}">'
    yield (
        f'<div class="top"><h2 id="title-{role}">{title}</h2>'
        f'<button type="button" class="hear" data-role="{role}" aria-pressed="false" '
        f'aria-label="Play the {role}">Play</button>'
        f'<span class="name">{escape(_short(sound.name))}</span>'
        f'<span class="figures">{level}{peak}, {count} onsets</span></div>'
    )
    yield (
        f'<audio controls preload="auto" data-role="{role}" aria-label="{title}" '
        f'src="{sound.player.url}"></audio>'
    )
    marked = plots.marks(sketch.onsets_s, sheet.duration_s)
    wave = plots.svg(plots.waveform(sketch.waveform, "body"), marked)
    yield _row("wave", wave, f"Waveform of the {role}, {count} onsets marked", "")
    picture = f'<img alt="" src="{plots.level_picture(sketch.mel_db)}">'
    picture += plots.svg(_edge_marks(sketch.onsets_s, sheet.duration_s))
    yield _row("mel dark", picture, f"Mel spectrogram of the {role}", plots.hertz_labels(_HERTZ))
    yield _ruler(sheet.duration_s)
    yield "</section>"


def _edge_marks(times_s: Iterable[float], duration_s: float) -> str:
    """Return short marks at the foot of a spectrogram, which leave the picture free."""
    lines = "".join(f"M{1000 * time / duration_s:.2f} 94V100" for time in times_s)
    return f'<path class="mark" d="{lines}"/>' if lines else ""


def _struck_lane(sheet: Sheet) -> Iterable[str]:
    yield '<section class="lane of-output" aria-labelledby="title-struck">'
    yield '<div class="top"><h2 id="title-struck" class="plain">What is struck</h2>'
    if not sheet.tells_notes:
        yield "</div>"
        yield (
            '<p class="aside">This model is of an older form, which does not tell which notes it '
            f"strikes; it made {sheet.struck} strikes.</p></section>"
        )
        return
    yield (
        f'<span class="figures">{len(sheet.strikes)} strikes, {len(sheet.notes)} notes</span></div>'
    )
    bars, low, high = plots.piano_roll(sheet.notes, sheet.duration_s)
    labels = {
        plots.pitch_label(pitch): (pitch - low + 0.5) / (high - low + 1)
        for pitch in range(low, high + 1)
        if pitch % 12 == 0
    }
    words = f"Piano roll of {len(sheet.notes)} notes, darker the harder they are struck"
    yield _row("roll", plots.svg(bars), words, plots.height_labels(labels))
    counts = ", ".join(
        f"{sum(name in strike.levels for strike in sheet.strikes)} {name}" for name in VOICE_NAMES
    )
    lanes = {name: (place + 0.4) / len(VOICE_NAMES) for place, name in enumerate(VOICE_NAMES)}
    yield _row(
        "voices",
        plots.svg(plots.voice_lanes(sheet.strikes, sheet.duration_s)),
        f"Strikes of each voice, as high as they are hard: {counts}",
        plots.height_labels(lanes),
    )
    yield _ruler(sheet.duration_s)
    yield "</section>"


def _chroma_lane(sheet: Sheet) -> Iterable[str]:
    yield '<section class="lane" aria-labelledby="title-chroma">'
    yield '<div class="top"><h2 id="title-chroma" class="plain">Harmony</h2>'
    yield '<span class="figures">the twelve pitch classes, brightest where they sound</span></div>'
    labels = {
        name: (place + 0.5) / 12 for place, name in enumerate(plots.PITCH_NAMES) if "♯" not in name
    }
    for role in ("piano", "output"):
        picture = f'<img alt="" src="{plots.chroma_picture(sheet.sounds[role].sketch.chroma)}">'
        picture += f'<span class="tag">{_TITLES[role]}</span>'
        words = f"Chroma of the {role}"
        yield _row("twelve blocks dark", picture, words, plots.height_labels(labels))
    yield _ruler(sheet.duration_s)
    yield "</section>"


def _weights_lane(sheet: Sheet) -> Iterable[str]:
    yield '<section class="lane" aria-labelledby="title-weights">'
    yield '<div class="top"><h2 id="title-weights" class="plain">What was selected</h2>'
    yield '<span class="figures">six weights that add up to 1, over time</span></div>'
    means = ", ".join(f"{name} {value:.2f}" for name, value in sheet.mean_weights.items())
    yield _row(
        "weights",
        plots.svg(plots.stacked_weights(sheet.weights)),
        f"Selection weights, on average {means}",
        plots.height_labels({"0": 0.0, "0.5": 0.5, "1": 0.97}),
    )
    yield _ruler(sheet.duration_s)
    yield '<ul class="legend">'
    for place, name in enumerate(COMPONENT_NAMES):
        words = name.replace("input_", "drums’ ").replace("target_", "piano’s ")
        mean = sheet.mean_weights.get(name, 0.0)
        yield (
            f'<li><i style="background:var(--w{place + 1})"></i>'
            f'<span title="{name}">{words}</span><b title="on average">{mean:.2f}</b>'
            f'<small title="at the playhead"></small></li>'
        )
    yield "</ul>"
    yield '<p class="aside">In bold the average, beside it the weight at the playhead.</p>'
    values = [[round(float(value), 3) for value in row] for row in sheet.weights]
    held = json.dumps({"columns": sheet.columns, "values": values}, separators=(",", ":"))
    yield f'<script type="application/json" id="weights-data">{held}</script>'
    yield "</section>"


def _row(kind: str, content: str, words: str, labels: str) -> str:
    return (
        f'<div class="row"><div class="scale" aria-hidden="true">{labels}</div>'
        f'<div class="plot {kind}" role="img" aria-label="{escape(words)}">{content}</div></div>'
    )


def _ruler(duration_s: float) -> str:
    """Return a time axis of at most a dozen labels."""
    step = next((step for step in _STEPS_S if duration_s / step <= 12), _STEPS_S[-1])
    labels = []
    at = 0
    while at * step <= duration_s * 0.985:
        time = at * step
        minutes, seconds = divmod(time, 60)
        word = f"{int(minutes)}:{seconds:02.0f}" if duration_s >= 60 else f"{time:g} s"
        labels.append(f'<span style="left:{100 * time / duration_s:.2f}%">{word}</span>')
        at += 1
    return (
        '<div class="row" aria-hidden="true"><div></div>'
        f'<div class="ruler">{"".join(labels)}</div></div>'
    )


def _scores(sheet: Sheet) -> Iterable[str]:
    scores = sheet.scores
    yield '<h2 id="scores-title">Scores</h2>'
    if scores.missing:
        yield f'<p class="missing">{escape(scores.missing)}</p>'
    if not scores.rows:
        return
    part = ""
    if scores.duration_s < sheet.duration_s - 0.01:
        part = f" The first {scores.duration_s:.0f} s were scored."
    yield (
        "<p>Beside each figure stand what chance scores and what a plain rule scores: a gate, the "
        f"piano turned up and down by the drums’ envelope.{part}</p>"
    )
    yield (
        '<div class="table"><table><thead><tr><th scope="col">Measure</th>'
        '<th scope="col">This render</th><th scope="col">Chance</th><th scope="col">Gate</th>'
        '<th scope="col">Beside the gate</th><th scope="col">From 0 to 1; '
        "grey tick chance, dark tick gate</th></tr></thead><tbody>"
    )
    for row in scores.rows:
        yield _score_row(row)
    yield "</tbody></table></div>"


def _score_row(row: Row) -> str:
    digits = 1 if row.key.startswith("mfcc") else 2
    verdict, word = {
        True: ("better", "▲ better"),
        False: ("worse", "▼ worse"),
        None: ("even", "even"),
    }[row.beats_gate]
    wish = "higher is better" if row.higher_is_better else "lower is better"
    beside = "–" if row.beside is None else f"{row.beside:.{digits}f}"
    note = f"<small>{escape(row.beside_label)}</small>" if row.beside_label else ""
    unit = not row.key.startswith("mfcc")
    bar = plots.score_bar(row.value, row.beside, row.gate) if unit else ""
    return (
        f'<tr><th scope="row">{escape(row.label)}<small>{escape(row.explanation)} '
        f"{wish.capitalize()}.</small></th>"
        f'<td class="number main">{row.value:.{digits}f}</td>'
        f'<td class="number">{beside}{note}</td>'
        f'<td class="number">{row.gate:.{digits}f}</td>'
        f'<td class="verdict {verdict}">{word}</td><td>{bar}</td></tr>'
    )


def _about(sheet: Sheet) -> Iterable[str]:
    yield '<h2 id="about-title">How it was made</h2>'
    yield "<dl>"
    for role in ROLES:
        yield f"<dt>{_TITLES[role]}</dt><dd>{escape(sheet.sounds[role].name)}</dd>"
    yield f"<dt>Output’s format</dt><dd>{escape(sheet.output_format)}</dd>"
    for name, value in sheet.options.items():
        yield f"<dt>{escape(name)}</dt><dd>{escape(json.dumps(value))}</dd>"
    if not sheet.options:
        yield "<dt>Options</dt><dd>all as they are by default</dd>"
    yield "</dl>"
    if sheet.remarks:
        yield "<ul>"
        yield from (f"<li>{escape(line)}</li>" for line in sheet.remarks)
        yield "</ul>"


def _footer(sheet: Sheet) -> str:
    player = sheet.sounds["output"].player
    lines = [
        f"creative-mix {escape(__version__)}. The plots share one time axis; click into any of "
        "them to move the playhead.",
        f"Onsets were found by {sheet.onsets_by}.",
        f"The players hold {player.codec}, for listening; the output’s own file is "
        f"{escape(sheet.output_format)}.",
    ]
    if player.cut:
        lines.append(f"To keep the page small they hold the first {PLAYED_S / 60:g} minutes.")
    return f"<p>{' '.join(lines)}</p>"
