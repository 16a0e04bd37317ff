"""The service: what a browser and HARP get is what the command renders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from recordings import make_drums, make_piano
from standin import write_standin

from creative_mix.api import Settings, render_files
from creative_mix.constants import COMPONENT_NAMES
from creative_mix.errors import AudioFileError, OptionError
from creative_mix.renderer import Renderer
from creative_mix.serving.controls import CONTROLS, settings_from
from creative_mix.serving.harp import describe
from creative_mix.serving.service import Service, StoppedError

DEFAULTS = [control.value for control in CONTROLS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_standin(tmp_path_factory.mktemp("model") / "standin.onnx", can_skip=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    sf.write(folder / "drums.wav", make_drums(44100, 2.0).T, 44100, "PCM_16")
    sf.write(folder / "grand piano.wav", make_piano(48000, 1.5).T, 48000, "PCM_24")
    return folder / "drums.wav", folder / "grand piano.wav"


def test_defaults_change_nothing() -> None:
    assert settings_from(DEFAULTS) == Settings()


def test_values_reach_the_settings() -> None:
    values = [
        {"fit": "none", "mix": 0.25, "density": 0.5, "tail_s": 2, "target_rhythm": 1.5}.get(
            control.name, control.value
        )
        for control in CONTROLS
    ]
    expected = Settings("none", mix=0.25, bias={"target_rhythm": 1.5}, density=0.5, tail_s=2.0)
    assert settings_from(values) == expected
    values[[control.name for control in CONTROLS].index("mix")] = 7
    with pytest.raises(OptionError, match="mix 7 is out of range"):
        settings_from(values)


def test_harp_learns_every_control() -> None:
    """The form in which HARP 3 reads an endpoint's description."""
    told = json.loads(json.dumps(describe()))
    assert set(told) == {"card", "inputs", "outputs"}
    assert set(told["card"]) == {"name", "description", "author", "tags"}
    kinds = [each["type"] for each in told["inputs"]]
    assert kinds[:3] == ["audio_track", "audio_track", "dropdown"]
    assert len(kinds) == 2 + len(CONTROLS) and kinds.count("slider") == 4 + len(COMPONENT_NAMES)
    fields = {
        "audio_track": {"type", "label", "info", "required"},
        "slider": {"type", "label", "info", "value", "minimum", "maximum", "step"},
        "dropdown": {"type", "label", "info", "value", "choices", "multiselect"},
    }
    for each in (*told["inputs"], *told["outputs"]):
        assert set(each) == fields[each["type"]]
    assert told["inputs"][2]["choices"][0] == ["loop", "loop"]
    assert [each["type"] for each in told["outputs"]] == ["audio_track"]


def test_a_service_renders_what_the_command_does(
    model: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    renderer = Renderer(model, "cpu")
    shares: list[float] = []
    service = Service(renderer, tmp_path)
    outcome = service.render(*map(str, pair), DEFAULTS, progress=shares.append)
    render_files(*pair, tmp_path / "own.wav", renderer=renderer)
    assert outcome.path.read_bytes() == (tmp_path / "own.wav").read_bytes()
    assert outcome.path.name == "grand piano.mix.wav"
    assert shares[-1] == 1.0 and sum(outcome.weights.values()) == pytest.approx(1.0, abs=1e-3)
    assert any(line.startswith("grand piano.wav: 48000 Hz") for line in outcome.lines)


def test_a_sample_format_that_no_browser_plays_is_changed(
    model: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    piano = tmp_path / "wide.wav"
    sf.write(piano, make_piano(44100, 1.0).T, 44100, "DOUBLE")
    outcome = Service(Renderer(model, "cpu"), tmp_path).render(str(pair[0]), str(piano), DEFAULTS)
    assert sf.info(outcome.path).subtype == "FLOAT"


def test_what_is_wrong_is_one_line_without_folders(
    model: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    service = Service(Renderer(model, "cpu"), tmp_path)
    words = tmp_path / "words.wav"
    words.write_text("no sound")
    with pytest.raises(AudioFileError, match=r"^words\.wav: not a recording") as caught:
        service.render(str(words), str(pair[1]), DEFAULTS)
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="the piano is missing"):
        service.render(str(pair[0]), None, DEFAULTS)


def test_a_job_stops_for_its_owner_alone(
    model: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    service = Service(Renderer(model, "cpu", chunk_frames=10), tmp_path)
    answers = []

    def stop_at_first(share: float) -> None:
        answers.append((service.cancel("another"), service.cancel("me")))

    assert not service.cancel("me")
    with pytest.raises(StoppedError):
        service.render(*map(str, pair), DEFAULTS, "me", stop_at_first)
    assert answers == [(False, True)]
    assert not list(tmp_path.rglob("*.wav")) and not service.cancel("me")
    assert service.render(*map(str, pair), DEFAULTS).path.is_file()


class Server:
    """The command, running, and the calls that HARP makes of it."""

    def __init__(self, process: subprocess.Popen[str], address: str, folder: Path) -> None:
        self.process, self.address, self.folder = process, address, folder

    def upload(self, path: Path) -> dict[str, Any]:
        mark = "----creative-mix"
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n'
        )
        body = f"{head}Content-Type: audio/midi\r\n\r\n".encode() + path.read_bytes()
        body += f"\r\n--{mark}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        (remote,) = json.loads(self._ask("upload", body, kind))
        return {"path": remote, "meta": {"_type": "gradio.FileData"}}

    def call(self, name: str, data: list[Any]) -> tuple[str, Any]:
        """Return the last event of a call and what it carries."""
        body = json.dumps({"data": data}).encode()
        event = json.loads(self._ask(f"call/{name}", body, {"Content-Type": "application/json"}))
        lines = self._ask(f"call/{name}/{event['event_id']}").decode().splitlines()
        told = [line for line in lines if line and "heartbeat" not in line]
        return told[-2].removeprefix("event: "), json.loads(told[-1].removeprefix("data: "))

    def _ask(self, path: str, body: bytes | None = None, headers: Any = None) -> bytes:
        asked = urllib.request.Request(f"{self.address}gradio_api/{path}", body, headers or {})
        with urllib.request.urlopen(asked, timeout=300) as answer:
            content: bytes = answer.read()
        return content


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'creative-mix[app]'")
    folder = tmp_path_factory.mktemp("temporary")
    command = [sys.executable, "-m", "creative_mix.cli.main", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--threads", "1", "--model", str(model)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "NO_PROXY": "*", "PYTHONUNBUFFERED": "1"},
    )
    # A server that never speaks shall fail the tests, not hang them.
    watchdog = threading.Timer(280, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving at http://127.0.0.1:"), line
        yield Server(process, line.split()[-1], folder)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


def test_harp_gets_what_the_command_renders(
    server: Server, model: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    event, (told,) = server.call("controls", [])
    assert event == "complete" and told == json.loads(json.dumps(describe()))
    values = [each.get("value") for each in told["inputs"]][2:]
    tracks = [server.upload(path) for path in pair]
    event, (mix,) = server.call("process", [*tracks, *values])
    assert event == "complete" and mix["meta"] == {"_type": "gradio.FileData"}
    with urllib.request.urlopen(mix["url"], timeout=60) as answer:
        made = answer.read()
    render_files(*pair, tmp_path / "own.wav", device="cpu", threads=1, model_path=model)
    assert made == (tmp_path / "own.wav").read_bytes()
    assert server.call("cancel", [])[0] == "complete"


def test_harp_is_told_what_is_wrong(
    server: Server, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    words, brief = tmp_path / "words.wav", tmp_path / "brief.wav"
    words.write_text("no sound")
    sf.write(brief, make_drums(44100, 0.01).T, 44100)
    piano = server.upload(pair[1])
    for drums, line in (
        (server.upload(words), "words.wav: not a recording that can be read; give one of"),
        (server.upload(brief), "brief.wav: 0.010 s of it to render, and 0.046 s is the least"),
        (None, "the drums are missing; give a recording of them"),
    ):
        event, told = server.call("process", [drums, piano, *DEFAULTS])
        assert event == "error"
        assert told["error"].startswith(line) and "\n" not in told["error"]
    with pytest.raises(urllib.error.HTTPError):
        stolen = {"path": str(pair[0]), "meta": {"_type": "gradio.FileData"}}
        server._ask(f"file={stolen['path']}")


def test_python_gets_it_too(server: Server, pair: tuple[Path, Path]) -> None:
    client_module = pytest.importorskip("gradio_client")
    client = client_module.Client(server.address, verbose=False, analytics_enabled=False)
    files = [client_module.handle_file(str(path)) for path in pair]
    mix, notes, weights = client.predict(*files, *DEFAULTS, api_name="/render")
    assert sf.info(mix).samplerate == 48000 and "48000 Hz" in notes
    assert {each["label"] for each in weights["confidences"]} == set(COMPONENT_NAMES)


def test_a_stopped_server_leaves_no_files(server: Server) -> None:
    """The last test of the server."""
    assert list(server.folder.rglob("*.wav"))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == 143
    assert not list(server.folder.rglob("*.wav"))


def test_a_port_that_is_taken_is_said(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'creative-mix[app]'")
    import socket

    from creative_mix.serving.page import serving

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"127.0.0.1:{port}.*--port"):
            with serving(Renderer(model, "cpu"), "127.0.0.1", port):
                pass
