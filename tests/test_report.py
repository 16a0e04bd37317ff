"""The report: one page that needs nothing else, its figures as JSON, and how it behaves."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from recordings import make_drums, make_piano

from creative_mix.api import render_files
from creative_mix.audio import FloatArray
from creative_mix.constants import COMPONENT_NAMES
from creative_mix.curve import BiasCurve
from creative_mix.mixing import Settings
from creative_mix.report import plots, sketch
from creative_mix.sidefiles import SideFiles

RATE = 44100
DURATION_S = 2.5
CHROMIUM = next(
    (n for n in ("chromium", "chromium-browser", "google-chrome") if shutil.which(n)), ""
)


class Sound:
    """A recording in memory, as the sketch reads it."""

    def __init__(self, samples: FloatArray) -> None:
        self.samples = samples
        self.length = samples.shape[1]

    def read(self, start: int, stop: int) -> FloatArray:
        return self.samples[:, max(0, start) : stop]


def write_report(folder: Path, model: Path, settings: Settings | None = None) -> None:
    sf.write(folder / "d & d.wav", make_drums(RATE, DURATION_S).T, RATE)
    sf.write(folder / "<p>.wav", make_piano(48000, DURATION_S).T, 48000)
    render_files(
        folder / "d & d.wav",
        folder / "<p>.wav",
        folder / "o.wav",
        settings=settings,
        side=SideFiles(reports=(folder / "o.html", folder / "o.json")),
        model_path=model,
        threads=1,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    curve = BiasCurve.of({"time_s": [0.0, 2.0], "input_timbre": [-2.0, 2.0]})
    write_report(folder, new_model, Settings(bias_curve=curve, density=0.95))
    return folder


@pytest.fixture(scope="module")
def figures(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "o.json").read_text())
    return found


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    return (made / "o.html").read_text(encoding="utf-8")


def test_the_json_has_what_the_page_shows(figures: dict[str, Any]) -> None:
    assert figures["duration_s"] == DURATION_S
    assert figures["options"]["density"] == 0.95
    assert figures["options"]["bias_curve"]["input_timbre"] == [[0.0, -2.0], [2.0, 2.0]]
    assert figures["strike_count"] == len(figures["strikes"]) == 5
    assert [each["pitch"] for each in figures["notes"]] == [36, 72] * 5
    assert set(figures["strikes"][0]["voices"]) == {"low", "top"}
    weights = {name: np.array(each["values"]) for name, each in figures["weights"].items()}
    assert list(weights) == list(COMPONENT_NAMES)
    np.testing.assert_allclose(sum(weights.values()), 1.0, atol=1e-3)
    timbre = weights["input_timbre"]
    assert timbre[0] < 0.04 and timbre[-1] > 0.55 and (np.diff(timbre) >= -1e-4).all()
    assert len(figures["times_s"]) == len(timbre)


def test_the_json_scores_beside_chance_and_gate(figures: dict[str, Any]) -> None:
    assert figures["missing"] == [] and figures["onsets_by"] == "librosa"
    scores = figures["scores"]
    assert {"drums_f50", "drums_f30", "envelope_r", "piano_chroma", "mfcc_piano"} <= set(scores)
    for key in ("drums_f50", "drums_f30"):
        assert 0 <= scores[key]["beside"] < scores[key]["value"] <= 1
    assert scores["drums_f50"]["gate"] > 0.5
    bursts = np.array(figures["sounds"]["drums"]["onsets_s"])
    # librosa does not count the one with which the file begins.
    assert np.abs(bursts[-4:] - [0.5, 1.0, 1.5, 2.0]).max() < 0.03
    assert figures["sounds"]["piano"]["loudness_lufs"] == pytest.approx(-16, abs=6)


def test_the_page_needs_nothing_else(page: str) -> None:
    assert "default-src 'none'" in page
    words = re.sub(r"data:[a-z/]+;base64,[^\"]+", "", page)
    assert len(words) < 200_000
    assert not re.findall(r"https?:|\"//|@import|url\(|fetch\(|import\(", words)
    for link in re.findall(r'(?:src|href)="([^"]{0,30})', page):
        assert link.startswith(("data:image/png;base64,", "data:audio/", "#")), link
    assert "&lt;p&gt;.wav" in page and "<p>.wav" not in page and "d &amp; d.wav" in page


def test_every_plot_says_what_it_shows(page: str) -> None:
    labels = re.findall(r'<div class="plot ([a-z ]+)" role="img" aria-label="([^"]+)"', page)
    kinds = [kind.split()[0] for kind, _ in labels]
    assert kinds.count("wave") == kinds.count("mel") == 3 and kinds.count("twelve") == 2
    assert {"roll", "voices", "weights"} <= set(kinds)
    assert any("5 low, 0 inner, 5 top" in label for _, label in labels)
    assert page.count("<h1>") == 1 and '<html lang="en">' in page
    assert "<th scope=" in page and 'aria-label="Player"' in page


def test_the_players_hold_the_three_sounds(page: str, made: Path) -> None:
    players = re.findall(
        r'<audio [^>]*data-role="(\w+)"[^>]*src="data:audio/ogg;base64,([^"]+)', page
    )
    assert [role for role, _ in players] == ["output", "piano", "drums"]
    held = {role: sf.read(io.BytesIO(base64.b64decode(body))) for role, body in players}
    for samples, rate in held.values():
        assert len(samples) / rate == pytest.approx(DURATION_S, abs=1e-3)
    output = sf.read(made / "o.wav")[0]
    samples, rate = held["output"]
    assert rate == 48000
    # Opus is no exact copy, but it is in step and as loud.
    assert np.corrcoef(samples[:, 0], output[:, 0])[0, 1] > 0.95


def test_the_pictures_are_whole(page: str) -> None:
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)', page)
    assert len(pictures) == 5
    for body in pictures:
        raw = base64.b64decode(body)
        assert raw[:8] == b"\x89PNG\r\n\x1a\n" and raw[-8:-4] == b"IEND"
    width, height = np.frombuffer(base64.b64decode(pictures[0])[16:24], ">u4")
    assert (width, height) == (-(-round(DURATION_S * RATE) // 512), sketch.MEL_BANDS)


def test_a_picture_is_what_it_was_made_of() -> None:
    shades = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    raw = base64.b64decode(plots.png_url(shades).split(",")[1])
    at = raw.index(b"IDAT")
    length = int.from_bytes(raw[at - 4 : at], "big")
    rows = np.frombuffer(zlib.decompress(raw[at + 4 : at + 4 + length]), np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(rows[:, 1:], shades)
    assert not rows[:, 0].any()
    assert zlib.crc32(raw[at : at + 4 + length]) == int.from_bytes(
        raw[at + 4 + length : at + 8 + length], "big"
    )


@pytest.mark.parametrize(("hertz", "place"), [(440.0, 9), (261.63, 0), (233.08, 10), (1975.5, 11)])
def test_a_tone_stands_where_it_belongs(hertz: float, place: int) -> None:
    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
    # In antiphase: the sum of the channels would be silent.
    drawn = sketch.draw_sketch(Sound(np.stack([tone, -tone]) * 0.5), 50)
    chroma = drawn.chroma[:, 10:40]
    assert (chroma.argmax(axis=0) == place).all()
    assert np.sort(chroma, axis=0)[-2].max() < 0.5
    band = drawn.mel_db[:, 25].argmax() / sketch.MEL_BANDS
    assert band == pytest.approx(float(sketch.mel_places(np.array(hertz))), abs=0.02)
    np.testing.assert_allclose(drawn.waveform, [[-0.5] * 50, [0.5] * 50], atol=0.01)


def test_onsets_are_found_where_they_are() -> None:
    drums = make_drums(RATE, 70.3)  # longer than what is listened to at a time
    found = sketch.find_onsets(Sound(drums))
    expected = np.arange(0.5, 70.3, 0.5)
    for time_s in expected[:-1]:
        assert np.abs(found - time_s).min() < 0.015, time_s
    assert len(found) <= len(expected) + 1
    assert len(sketch.find_onsets(Sound(np.zeros((1, 3 * RATE), np.float32)))) == 0


def test_a_sketch_of_few_samples_and_of_silence() -> None:
    short = sketch.draw_sketch(Sound(make_piano(RATE, 0.06)), sketch.columns_of(2646))
    assert short.waveform.shape == (2, 6) and np.isfinite(short.mel_db).all()
    silent = sketch.draw_sketch(Sound(np.zeros((2, RATE), np.float32)), 40)
    assert (silent.mel_db == sketch.FLOOR_DB).all() and not silent.chroma.any()
    assert sketch.columns_of(10**9) == sketch.MOST_COLUMNS


def test_pooled_keeps_the_mean() -> None:
    values = np.random.default_rng(0).random((3, 1000)).astype(np.float32)
    np.testing.assert_allclose(sketch.pooled(values, 10).mean(1), values.mean(1), atol=1e-6)
    np.testing.assert_array_equal(sketch.pooled(values, 1000), values)
    assert not sketch.pooled(values[:, :0], 7).any()


def test_without_the_extra_the_report_still_comes(new_model: Path, tmp_path: Path) -> None:
    probe = (
        "import sys\nsys.modules['librosa'] = None\nsys.path.insert(0, 'TESTS')\n"
        "from pathlib import Path\nfrom test_report import write_report\n"
        f"write_report(Path('.'), Path({str(new_model)!r}))\n"
    ).replace("TESTS", str(Path(__file__).parent))
    subprocess.run([sys.executable, "-c", probe], check=True, cwd=tmp_path)
    figures = json.loads((tmp_path / "o.json").read_text())
    assert figures["scores"] == {} and figures["onsets_by"] == "creative-mix"
    assert figures["missing"] == [
        "The scores need librosa, which is missing: pip install 'creative-mix[train]'"
    ]
    assert len(figures["sounds"]["drums"]["onsets_s"]) in (4, 5)
    page = (tmp_path / "o.html").read_text()
    assert "creative-mix[train]" in page and "<table>" not in page


def test_silence_and_an_older_model_have_reports(standin_model: Path, tmp_path: Path) -> None:
    write_report(tmp_path, standin_model)
    page = (tmp_path / "o.html").read_text()
    assert "does not tell which notes" in page
    sf.write(tmp_path / "s.wav", np.zeros((RATE, 1)), RATE)
    render_files(
        tmp_path / "s.wav",
        tmp_path / "<p>.wav",
        tmp_path / "s.out.wav",
        side=SideFiles(reports=(tmp_path / "s.html", tmp_path / "s.json")),
        model_path=standin_model,
    )
    figures = json.loads((tmp_path / "s.json").read_text())
    assert figures["missing"] == ["Where a sound is silent, there is nothing to score."]
    assert figures["remarks"][-1].endswith("silent, and so nothing is struck")


DRIVER = """
<script>
(async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const until = async (holds) => { for (let n = 0; n < 200 && !holds(); n += 1) await wait(50); };
  const style = document.documentElement.style;
  const at = () => Number(style.getPropertyValue("--at")) * DURATION;
  const audio = (role) => document.querySelector(`audio[data-role=${role}]`);
  const press = (key) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const found = {};
  const complaints = [];
  addEventListener("securitypolicyviolation", (event) => complaints.push(event.blockedURI));
  addEventListener("error", (event) => complaints.push(event.message));
  try {
    await until(() => audio("drums").readyState > 3);
    found.durations = ["drums", "piano", "output"].map((role) => audio(role).duration);
    document.getElementById("play").click();
    await until(() => at() > 0.4);
    found.playing = [at(), audio("output").currentTime];
    document.querySelector(".hear[data-role=drums]").click();
    await until(() => !audio("drums").paused && at() > 0.6);
    found.switched = [at(), audio("drums").currentTime, audio("output").paused];
    press(" ");
    found.paused = audio("drums").paused;
    const before = at();
    press("ArrowRight");
    found.step = at() - before;
    press("2");
    found.role = document.querySelector("input[name=sound]:checked").value;
    press("Home");
    found.home = at();
    const plot = document.querySelector(".plot.weights");
    const box = plot.getBoundingClientRect();
    plot.dispatchEvent(new PointerEvent("pointerdown",
      { clientX: box.left + box.width / 2, clientY: box.top + 5, bubbles: true, pointerId: 1 }));
    found.clicked = at();
    found.head = parseFloat(getComputedStyle(plot, "::after").left) / plot.clientWidth;
    found.legend = document.querySelectorAll(".legend small")[2].textContent;
    found.overflow = document.documentElement.scrollWidth > innerWidth;
  } catch (error) { complaints.push(String(error)); }
  found.complaints = complaints.filter((each) => !each.includes("setPointerCapture"));
  console.log("FOUND" + JSON.stringify(found));
})();
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_the_page_plays_in_step(page: str, tmp_path: Path) -> None:
    driver = DRIVER.replace("DURATION", str(DURATION_S))
    (tmp_path / "page.html").write_text(page.replace("</body>", driver), encoding="utf-8")
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --enable-logging=stderr "
        "--autoplay-policy=no-user-gesture-required --remote-debugging-port=0"
    ).split()
    place = (tmp_path / "page.html").as_uri()
    with subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", place],
        stderr=subprocess.PIPE,
        text=True,
    ) as browser:
        try:
            assert browser.stderr is not None
            lines = (re.search(r"FOUND(\{.*\})", line) for line in browser.stderr)
            found = json.loads(next(match for match in lines if match)[1])
        finally:
            browser.terminate()
    assert found["complaints"] == []
    assert found["durations"] == pytest.approx([DURATION_S] * 3, abs=0.02)
    # The line over the plots is where the sound is, to some frames of the screen.
    assert found["playing"][0] == pytest.approx(found["playing"][1], abs=0.15)
    assert found["switched"][0] == pytest.approx(found["switched"][1], abs=0.15)
    assert found["switched"][0] >= found["playing"][0] and found["switched"][2]
    assert found["paused"] and found["step"] == pytest.approx(1.0, abs=0.01)
    assert found["role"] == "piano" and found["home"] == 0
    assert found["clicked"] == pytest.approx(DURATION_S / 2, abs=0.02)
    assert found["head"] == pytest.approx(0.5, abs=0.01)
    assert 0.1 < float(found["legend"]) < 0.4
    assert not found["overflow"]
