"""The served page, driven in headless Chromium as a person would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile as sf
from recordings import make_drums, make_piano
from standin import write_standin

from creative_mix.renderer import Renderer

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_renders_and_says_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'creative-mix[app]'")
    driver = pytest.importorskip(
        "playwright.sync_api", reason="the browser's driver is missing: pip install playwright"
    )
    from creative_mix.serving.page import serving

    model = write_standin(tmp_path / "standin.onnx", new_form=True)
    words, drums, piano = (tmp_path / f"{name}.wav" for name in ("words", "drums", "piano"))
    words.write_text("These are words and no sound.\n")
    sf.write(drums, make_drums(44100, 2.0).T, 44100, "PCM_16")
    sf.write(piano, make_piano(48000, 1.5).T, 48000, "PCM_24")
    complaints: list[str] = []
    with (
        serving(Renderer(model, "cpu", threads=1), "127.0.0.1", 0) as address,
        driver.sync_playwright() as playwright,
    ):
        # Rendering in software and without a sandbox: the test runs in containers, too.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(240_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def shoot(state: str) -> None:
            page.screenshot(path=tmp_path / f"{state}.png", full_page=True)

        def give(first: Path, second: Path) -> None:
            page.goto(address)
            page.get_by_role("button", name="Render", exact=True).wait_for()
            # Once an input is full, the first that is left is the next one's.
            inputs = page.locator("input[type=file]")
            for path, left in ((first, 1), (second, 0)):
                inputs.nth(left).wait_for(state="attached")
                inputs.first.set_input_files(path)
                page.wait_for_function(
                    "n => document.querySelectorAll('input[type=file]').length === n", arg=left
                )
            page.get_by_role("button", name="Render", exact=True).click()

        give(drums, words)
        page.get_by_text("words.wav: not a recording").first.wait_for()
        shoot("error")
        give(drums, piano)
        page.wait_for_function(
            "[...document.querySelectorAll('textarea')].some(e => e.value.includes('48000 Hz'))"
        )
        page.get_by_text("target_harmony").first.wait_for()
        # The result is there to be played: its length stands beside the two recordings'.
        page.wait_for_function("document.body.innerText.split('0:02').length > 3")
        shoot("done")
        browser.close()
    assert complaints == []
    for state in ("error", "done"):
        assert (tmp_path / f"{state}.png").stat().st_size > 5000
