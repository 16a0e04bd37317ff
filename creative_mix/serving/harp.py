"""What HARP wants to know of an endpoint before it calls it.

HARP (https://github.com/TEAMuP-dev/HARP) brings Gradio endpoints into DAWs: Reaper, Logic, Live.
This is the form of its version 3, as its companion package pyharp 0.3 writes it, which the package
registry does not have: the call "controls" gives this description, "process" takes the inputs in
its order and gives the outputs in its order, all of them files, and "cancel" stops the job.
"""

from __future__ import annotations

from typing import Any

from .controls import CONTROLS, Control, Slider

CARD = {
    "name": "creative-mix",
    "description": "The piano's harmony and sound, played with the drums' rhythm: give it a drum "
    "recording and a piano recording. The result lasts as long as the drums.",
    "author": "creative-mix contributors",
    "tags": [
        "category:synthesis",
        "subcategory:performance-rendering",
        "input:audio",
        "output:audio",
        "drums",
        "piano",
        "rhythm",
    ],
}


def describe() -> dict[str, Any]:
    """Return the card, and every input and output in order, ready for JSON."""
    return {
        "card": CARD,
        "inputs": [
            _track("Drums", "The recording that gives the rhythm."),
            _track("Piano", "The recording that gives the harmony and the sound."),
            *(_control(control) for control in CONTROLS),
        ],
        "outputs": [_track("Mix", "The piano in the rhythm of the drums.")],
    }


def _track(label: str, info: str) -> dict[str, Any]:
    return {"type": "audio_track", "label": label, "info": info, "required": True}


def _control(control: Control) -> dict[str, Any]:
    told: dict[str, Any] = {"label": control.label, "info": control.info, "value": control.value}
    if isinstance(control, Slider):
        sizes = {name: getattr(control, name) for name in ("minimum", "maximum", "step")}
        return {"type": "slider", **told, **sizes}
    pairs = [[word, word] for word in control.choices]
    return {"type": "dropdown", **told, "choices": pairs, "multiselect": False}
