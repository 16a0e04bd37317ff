"""Pictures for a page: SVG that takes the page's colours, and PNG for spectrograms."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from ..audio import FloatArray
from ..constants import COMPONENT_NAMES, VOICE_NAMES
from ..notes import Note, Strike
from .sketch import FLOOR_DB, Doubles, mel_places

PITCH_NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")

_MAP = (
    # Dark to bright, evenly in lightness, through one arc of hues; readable without colour.
    (8, 9, 16),
    (30, 22, 66),
    (74, 24, 110),
    (128, 37, 125),
    (183, 55, 113),
    (228, 86, 88),
    (248, 140, 78),
    (252, 196, 117),
    (253, 244, 204),
)
_WIDE, _HIGH = 1000, 100
"""Size of a plot's own coordinates, which are stretched to the page."""


def level_picture(level_db: FloatArray) -> str:
    """Return a spectrogram, low below, as the address of a PNG.

    Shape: FLOOR_DB..0, (bands, K).
    """
    return png_url(np.rint(255 * (1 - level_db[::-1] / FLOOR_DB)).astype(np.uint8))


def chroma_picture(chroma: FloatArray) -> str:
    """Return pitch classes, C below, as the address of a PNG.

    Shape: 0..1, (12, K).
    """
    return png_url(np.rint(255 * chroma[::-1] ** 2).astype(np.uint8))


def png_url(shades: npt.NDArray[np.uint8]) -> str:
    """Return a picture of 256 shades as an address that holds all of it.

    Shape: (rows, columns).
    """
    places = np.linspace(0, len(_MAP) - 1, 256)
    palette = np.stack(
        [np.interp(places, range(len(_MAP)), [colour[i] for colour in _MAP]) for i in range(3)], 1
    )
    rows = np.pad(shades, ((0, 0), (1, 0)))  # each begins with its filter, none
    height, width = shades.shape
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", np.rint(palette).astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    packed = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    whole = b"\x89PNG\r\n\x1a\n" + packed
    return f"data:image/png;base64,{base64.b64encode(whole).decode()}"


def svg(*shapes: str) -> str:
    """Return shapes as a picture that fills its place."""
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(shapes)}</svg>"
    )


def waveform(lowest_highest: FloatArray, css_class: str) -> str:
    """Return the outline of a sound, the highest peak of which fills the plot.

    Shape: (2, K).
    """
    low, high = lowest_highest
    top = max(1e-9, float(np.abs(lowest_highest).max()))
    x = _even(low.shape[0])
    # Where nothing sounds, a thin line stays.
    above = 50 - 48 * np.maximum(high / top, 0.004)
    below = 50 - 48 * np.minimum(low / top, -0.004)
    points = [*zip(x, above, strict=True), *zip(x[::-1], below[::-1], strict=True)]
    return f'<path class="{css_class}" d="{_closed(points)}"/>'


def marks(times_s: Iterable[float], duration_s: float, css_class: str = "mark") -> str:
    """Return an upright line at every time."""
    lines = "".join(f"M{_x(time, duration_s):.2f} 0V{_HIGH}" for time in times_s)
    return f'<path class="{css_class}" d="{lines}"/>' if lines else ""


def piano_roll(notes: Sequence[Note], duration_s: float) -> tuple[str, int, int]:
    """Return the notes as bars, and the lowest and the highest pitch of the picture."""
    pitches = [note.pitch for note in notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    tall = _HIGH / (high - low + 1)
    bars = []
    for note in notes:
        left, right = _x(note.start_s, duration_s), _x(note.end_s, duration_s)
        bars.append(
            f'<rect class="note" x="{left:.2f}" y="{(high - note.pitch) * tall:.2f}" '
            f'width="{max(1.0, right - left):.2f}" height="{tall:.2f}" '
            f'opacity="{0.35 + 0.65 * note.velocity / 127:.2f}"/>'
        )
    lines = "".join(
        f"M0 {(high - pitch + 1) * tall:.2f}H{_WIDE}"
        for pitch in range(low, high + 1)
        if pitch % 12 == 0
    )
    # Where one note follows another at once, its beginning has to show.
    heads = "".join(
        f"M{_x(note.start_s, duration_s):.2f} {(high - note.pitch) * tall:.2f}v{tall:.2f}"
        for note in notes
    )
    shapes = [f'<path class="rule" d="{lines}"/>', *bars, f'<path class="head" d="{heads}"/>']
    return "".join(shapes), low, high


def voice_lanes(strikes: Sequence[Strike], duration_s: float) -> str:
    """Return a lane for each voice, top above, with a bar as high as each strike is hard."""
    lane = _HIGH / len(VOICE_NAMES)
    shapes = []
    for place, name in enumerate(reversed(VOICE_NAMES)):
        foot = (place + 1) * lane - 2
        lines = "".join(
            f"M{_x(strike.time_s, duration_s):.2f} {foot:.2f}"
            f"v{-(lane - 6) * max(0.12, strike.levels[name]):.2f}"
            for strike in strikes
            if name in strike.levels
        )
        shapes.append(f'<path class="rule" d="M0 {foot:.2f}H{_WIDE}"/>')
        if lines:
            shapes.append(f'<path class="stroke" d="{lines}"/>')
    return "".join(shapes)


def stacked_weights(weights: FloatArray) -> str:
    """Return the six weights on top of one another, the first at the foot.

    Shape: (6, K).
    """
    edges = np.vstack([np.zeros(weights.shape[1]), np.cumsum(weights, axis=0)])
    x = _even(weights.shape[1])
    shapes = []
    for place, name in enumerate(COMPONENT_NAMES):
        lower, upper = _HIGH * (1 - edges[place]), _HIGH * (1 - edges[place + 1])
        points = [*zip(x, upper, strict=True), *zip(x[::-1], lower[::-1], strict=True)]
        shapes.append(f'<path class="area {name}" d="{_closed(points)}"/>')
    return "".join(shapes)


def score_bar(value: float, beside: float | None, gate: float) -> str:
    """Return a bar from 0 to 1, with a tick for chance and one for the gate."""
    ticks = "" if beside is None else f'<path class="tick chance" d="M{_unit(beside)} 0V20"/>'
    return (
        '<svg class="bar" viewBox="0 0 200 20" aria-hidden="true">'
        '<rect class="track" x="0" y="6" width="200" height="8" rx="4"/>'
        f'<rect class="value" x="0" y="6" width="{_unit(value)}" height="8" rx="4"/>'
        f'{ticks}<path class="tick gate" d="M{_unit(gate)} 0V20"/></svg>'
    )


def hertz_labels(hertz: Mapping[str, float]) -> str:
    """Return labels at the height of their frequencies in a spectrogram."""
    places = mel_places(np.array(list(hertz.values())))
    return height_labels(dict(zip(hertz, places, strict=True)))


def height_labels(places: Mapping[str, float]) -> str:
    """Return labels at heights of 0 (foot) to 1 (top) beside a plot."""
    return "".join(
        f'<span style="bottom:{100 * place:.1f}%">{escape(label)}</span>'
        for label, place in places.items()
    )


def pitch_label(pitch: int) -> str:
    """Return a MIDI pitch by name.

    >>> pitch_label(60), pitch_label(21)
    ('C4', 'A0')
    """
    return f"{PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"


def _even(count: int) -> Doubles:
    return np.asarray((np.arange(count) + 0.5) * (_WIDE / count), np.float64)


def _x(time_s: float, duration_s: float) -> float:
    return _WIDE * min(1.0, max(0.0, time_s / duration_s))


def _unit(value: float) -> str:
    return f"{200 * min(1.0, max(0.0, value)):.1f}"


def _closed(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"
