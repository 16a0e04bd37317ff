"""The page in `examples/browser`, driven in headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from hosts import EXAMPLES, make_pair, need_node, read_samples, run_host

from creative_mix.renderer import WEIGHTS_PATH

PAGE = EXAMPLES / "browser"
STATES = ("empty", "error", "ready", "progress", "done", "done-dark", "done-narrow")


@pytest.mark.slow
@pytest.mark.parametrize("isolated", [True, False])
def test_the_page_makes_what_the_package_makes(tmp_path: Path, isolated: bool) -> None:
    node = need_node(PAGE, "onnxruntime-web")
    need_node(PAGE, "playwright-core")
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        pytest.skip("no Chromium is installed")
    if not WEIGHTS_PATH.exists():
        pytest.skip("no weights ship with this checkout")
    pair = make_pair(tmp_path)
    options = [] if isolated else ["--no-isolation"]
    done = run_host(node, PAGE / "check.mjs", pair.drums, pair.piano, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    assert seen["complaints"] == []
    assert seen["isolated"] is isolated
    assert seen["empty"] == "Give drums and a piano to begin."
    assert seen["errorState"] == "error" and not seen["buttonAfterErrors"]
    assert "words.wav is not audio" in seen["notAudio"]
    assert "click.wav is too short: 0.010 s" in seen["tooShort"]
    assert seen["progress"].startswith("Rendering")
    assert seen["done"].startswith("Done: 3.0 s of audio")
    assert "strikes" in seen["waveform"] and "drums: rhythm" in seen["weights"]
    assert min(seen["colours"]) > 6
    assert seen["plays"] == pytest.approx(3.0, abs=0.01)
    assert not seen["overflow"]
    for state in STATES:
        assert (tmp_path / f"{state}.png").stat().st_size > 5000

    made = read_samples(tmp_path / "out.wav")
    assert made.shape == pair.mix.shape
    # WebAssembly's kernels round otherwise than a native runtime's: 1.6e-4 was measured.
    difference = made - pair.mix
    assert np.abs(difference).max() < 1e-3
    assert np.sqrt(np.mean(difference**2)) < 5e-5


def test_the_server_opens_its_own_folders_alone() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, str(PAGE / "serve.mjs"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = urlsplit(server.stdout.readline().strip()).port

            def ask(path: str) -> tuple[int, str | None]:
                connection = HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", path)
                answer = connection.getresponse()
                connection.close()
                return answer.status, answer.getheader("Cross-Origin-Embedder-Policy")

            assert ask("/") == (302, None)
            assert ask("/browser/") == (200, "require-corp")
            assert ask("/javascript/renderer.mjs") == (200, "require-corp")
            for path in (
                "/README.md",
                "/nothing",
                "/browser/../../setup.cfg",
                "/browser/%2e%2e/%2e%2e/setup.cfg",
                "/browser/..%2f..%2fsetup.cfg",
            ):
                assert ask(path) == (404, None), path
        finally:
            server.terminate()
