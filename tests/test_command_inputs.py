"""Every bad and every odd input, through the real command in a process of its own."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Command
from recordings import make_drums, make_piano

from creative_mix.audio import FloatArray

RATE = 44100
DURATION_S = 2.0


@dataclass(frozen=True)
class Bad:
    """An input that is refused."""

    name: str
    message: tuple[str, ...]
    """What the line on stderr holds."""

    drums: str = "drums.wav"
    piano: str = "piano.wav"
    output: str = "out.wav"
    options: tuple[str, ...] = ()
    code: int = 1
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Odd:
    """An unusual input that works."""

    name: str
    word: tuple[str, ...] = ()
    """What the command says about it."""

    drums: str = "drums.wav"
    piano: str = "piano.wav"
    output: str = "out.wav"
    options: tuple[str, ...] = ()
    rate: int = RATE
    channels: int = 2
    subtype: str = "PCM_16"
    frames: int = round(RATE * DURATION_S)
    silent: bool = False


BAD = [
    Bad("missing drums", ("nowhere.wav", "no such file"), drums="nowhere.wav"),
    Bad("missing piano", ("nowhere.wav", "no such file"), piano="nowhere.wav"),
    Bad("a folder", ("folder", "is a folder"), drums="folder"),
    Bad("empty file", ("empty.wav", "empty"), drums="empty.wav"),
    Bad("no frames", ("noframes.wav", "no audio"), piano="noframes.wav"),
    Bad("not audio", ("text.wav", "not a recording"), drums="text.wav"),
    Bad("not audio, raw suffix", ("text.raw", "not a recording"), drums="text.raw"),
    Bad("truncated WAV", ("cut.wav", "cut short"), drums="cut.wav"),
    Bad("truncated FLAC", ("cut.flac", "copy or export it again"), piano="cut.flac"),
    Bad("truncated OGG", ("cut.ogg", "cut short"), piano="cut.ogg"),
    Bad("truncated MP3", ("cut.mp3", "cut short"), drums="cut.mp3"),
    Bad("header only", ("header.wav", "cut short"), drums="header.wav"),
    Bad("drums too short", ("short.wav", "is the least"), drums="short.wav"),
    Bad("piano too short", ("short.wav", "is the least"), piano="short.wav"),
    Bad("NaN", ("nan.wav", "NaN"), drums="nan.wav"),
    Bad("infinite", ("inf.wav", "infinite"), piano="inf.wav"),
    Bad("unknown suffix", ("out.mp4", ".wav or .flac"), output="out.mp4"),
    Bad("no suffix", ("out", ".wav or .flac"), output="out"),
    Bad("output folder missing", ("does not exist",), output="nowhere/out.wav"),
    Bad("output folder is a file", ("does not exist",), output="drums.wav/out.wav"),
    Bad("output folder not writable", ("cannot be written",), output="/proc/out.wav"),
    Bad("output is a folder", ("is a folder",), output="folder.wav"),
    Bad("output exists", ("exists.wav", "--force"), output="exists.wav"),
    Bad("output is the drums", ("is an input",), output="drums.wav", options=("--force",)),
    Bad("output is the piano", ("is an input",), output="./piano.wav", options=("--force",)),
    Bad("output links to an input", ("is an input",), output="link.wav", options=("--force",)),
    Bad(
        "FLAC cannot hold float",
        ("FLOAT", "PCM_24"),
        output="out.flac",
        options=("--subtype", "FLOAT"),
    ),
    Bad("mix out of range", ("--mix",), options=("--mix", "1.5"), code=2),
    Bad("unknown fit", ("--fit",), options=("--fit", "squeeze"), code=2),
    Bad("unknown device", ("--device",), options=("--device", "tpu"), code=2),
    Bad("unknown subtype", ("--subtype",), options=("--subtype", "PCM_12"), code=2),
    Bad("threads out of range", ("--threads",), options=("--threads", "0"), code=2),
    Bad("unknown bias", ("groove", "input_rhythm"), options=("--bias", "groove=1"), code=2),
    Bad("bias out of range", ("-8 to 8",), options=("--bias", "input_rhythm=9"), code=2),
    Bad("bias is NaN", ("-8 to 8",), options=("--bias", "input_rhythm=nan"), code=2),
    Bad("bias without a number", ("not a number",), options=("--bias", "input_rhythm"), code=2),
    Bad("a command misspelt", ("bacth", "mean batch?"), drums="bacth", code=2),
    Bad("unknown option", ("--loud",), options=("--loud",), code=2),
    Bad(
        "stretch beyond its range",
        ("--fit", "use --fit loop"),
        piano="loop.wav",
        drums="long.wav",
        options=("--fit", "stretch"),
    ),
    Bad("a model that is none", ("text.wav", "not a model"), options=("--model", "text.wav")),
    Bad("no model file", ("nowhere.onnx", "no such model"), options=("--model", "nowhere.onnx")),
    Bad("no CUDA", ("CUDA", "--device cpu"), options=("--device", "cuda")),
    Bad(
        "no runtime",
        ("creative-mix[cpu]", "creative-mix[cuda]"),
        variables={"PYTHONPATH": "no_runtime"},
    ),
]

ODD = [
    Odd("plain"),
    Odd("8 kHz drums", ("8000 Hz",), drums="drums8k.wav"),
    Odd("8 kHz piano", ("8000 Hz",), piano="piano8k.wav", rate=8000, frames=16000),
    Odd("192 kHz drums", ("192000 Hz",), drums="drums192k.wav"),
    Odd("192 kHz piano", ("192000 Hz",), piano="piano192k.wav", rate=192000, frames=384000),
    Odd("6 channels", ("6 channels, mixed down",), drums="drums6.wav", piano="piano6.wav"),
    Odd("3 channels", ("3 channels, mixed down",), piano="piano3.wav"),
    Odd("stereo drums", drums="drums2.wav"),
    Odd("mono piano", piano="mono.wav", channels=1),
    Odd("silent drums", ("silent",), drums="silence.wav", silent=True),
    Odd("silent piano", ("silent",), piano="silence.wav", silent=True),
    Odd("a piano that loops", ("looped 5.00 times",), piano="loop.wav"),
    Odd("a piano that stops", ("silence follows",), piano="loop.wav", options=("--fit", "none")),
    Odd(
        "a piano that is stretched",
        ("stretched 2.00 times",),
        piano="half.wav",
        options=("--fit", "stretch"),
    ),
    Odd("a longer piano is cut", piano="long.wav"),
    Odd(
        "a longer piano is stretched",
        ("stretched 0.50 times",),
        piano="long.wav",
        options=("--fit", "stretch"),
    ),
    Odd("anti-phase piano", piano="antiphase.wav"),
    Odd("anti-phase drums", drums="antidrums.wav"),
    Odd("24 bit", piano="piano24.wav", subtype="PCM_24"),
    Odd("24 bit FLAC", piano="piano24.wav", output="out.flac", subtype="PCM_24"),
    Odd("float", piano="float.wav", subtype="FLOAT"),
    Odd("float to FLAC", ("cannot hold",), piano="float.wav", output="out.flac", subtype="PCM_24"),
    Odd("float far beyond full scale", piano="huge.wav", drums="huge.wav", subtype="FLOAT"),
    Odd("hot recordings", piano="hot.wav", subtype="FLOAT"),
    Odd("FLAC in", piano="piano.flac", drums="drums.flac"),
    Odd("OGG in", ("PCM_16",), piano="piano.ogg", drums="drums.ogg"),
    Odd("MP3 drums", drums="drums.mp3"),
    Odd("WAV of a pipe", drums="pipe.wav"),
    Odd("upper-case suffix", output="out.WAV"),
    Odd("a name with spaces and accents", output="été mix.wav"),
    Odd("another subtype", options=("--subtype", "pcm_24"), subtype="PCM_24"),
    Odd("force", output="exists.wav", options=("--force",)),
    Odd("bias", options=("--bias", "target_rhythm=+3", "--bias", "input_timbre=-2")),
    Odd("mix", options=("--mix", "0.5")),
    Odd("half a frame over", drums="oddlength.wav", frames=88200 + 257),
]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every input."""
    folder = tmp_path_factory.mktemp("material")
    drums, piano = make_drums(RATE, DURATION_S), make_piano(RATE, DURATION_S)

    def write(name: str, samples: FloatArray, rate: int = RATE, subtype: str | None = None) -> None:
        sf.write(folder / name, samples.T, rate, subtype=subtype)

    def cut(name: str, source: str) -> None:
        whole = (folder / source).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) * 6 // 10])

    for suffix in ("wav", "flac", "ogg", "mp3"):
        write(f"drums.{suffix}", drums)
        write(f"piano.{suffix}", piano)
    cut("cut.wav", "drums.wav")
    for suffix in ("flac", "ogg", "mp3"):
        write(f"whole.{suffix}", make_piano(RATE, 8.0))
        cut(f"cut.{suffix}", f"whole.{suffix}")
    (folder / "folder").mkdir()
    (folder / "folder.wav").mkdir()
    (folder / "empty.wav").write_bytes(b"")
    for name in ("text.wav", "text.raw"):
        (folder / name).write_text("This is not a recording.\n" * 40)
    (folder / "header.wav").write_bytes((folder / "drums.wav").read_bytes()[:30])
    (folder / "exists.wav").write_bytes(b"here before")
    (folder / "link.wav").symlink_to(folder / "drums.wav")
    pipe = bytearray((folder / "drums.wav").read_bytes())
    at = pipe.index(b"data") + 4
    pipe[4:8] = pipe[at : at + 4] = b"\xff\xff\xff\xff"
    (folder / "pipe.wav").write_bytes(bytes(pipe))
    write("noframes.wav", piano[:, :0])
    write("short.wav", piano[:, :60])
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf)):
        spoilt = piano.copy()
        spoilt[1, 70000] = value
        write(name, spoilt, subtype="FLOAT")
    for rate, label in ((8000, "8k"), (192000, "192k")):
        write(f"drums{label}.wav", make_drums(rate, DURATION_S), rate)
        write(f"piano{label}.wav", make_piano(rate, DURATION_S), rate)
    write("drums2.wav", make_drums(RATE, DURATION_S, 2))
    write("drums6.wav", make_drums(RATE, DURATION_S, 6))
    write("piano6.wav", make_piano(RATE, DURATION_S, 6))
    write("piano3.wav", make_piano(RATE, DURATION_S, 3))
    write("mono.wav", piano[:1])
    write("silence.wav", np.zeros_like(piano))
    write("loop.wav", piano[:, : round(0.4 * RATE)])
    write("half.wav", piano[:, :RATE])
    write("long.wav", make_piano(RATE, 2 * DURATION_S))
    write("antiphase.wav", np.stack([piano[0], -piano[0]]))
    write("antidrums.wav", np.stack([drums[0], -drums[0]]))
    write("piano24.wav", piano, subtype="PCM_24")
    write("float.wav", piano, subtype="FLOAT")
    write("huge.wav", piano * np.float32(1e20), subtype="FLOAT")
    write("hot.wav", piano * np.float32(4), subtype="FLOAT")
    write("oddlength.wav", make_drums(RATE, DURATION_S + 257 / RATE))
    hidden = folder / "no_runtime"
    hidden.mkdir()
    (hidden / "onnxruntime.py").write_text("raise ModuleNotFoundError('no', name='onnxruntime')\n")
    return folder


def _contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def _has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@pytest.mark.parametrize("case", [*BAD, *ODD], ids=lambda case: case.name)
def test_input(case: Bad | Odd, material: Path, model_path: Path, command: Command) -> None:
    """Bad input: one line, nothing written.  Odd input: a whole result and a word."""
    if case.options == ("--device", "cuda") and _has_cuda():
        pytest.skip("CUDA is here, so asking for it is no error")
    if "/proc" in case.output and not os.path.isdir("/proc/self"):
        pytest.skip("no folder here that nobody can write")
    before = _contents(material)
    options = case.options if "--model" in case.options else ("--model", model_path, *case.options)
    variables = case.variables if isinstance(case, Bad) else {}
    done = command(case.drums, case.piano, "-o", case.output, *options, cwd=material, **variables)
    if isinstance(case, Bad):
        assert done.returncode == case.code, done.stderr
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("creative-mix: ")
        for part in case.message:
            assert part in done.stderr
        assert _contents(material) == before
        return
    try:
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        for part in (*case.word, "device: "):
            assert part in done.stdout
        _check_result(material / case.output, case)
        fresh = set(_contents(material)) - set(before)
        assert fresh <= {case.output}
    finally:
        (material / case.output).unlink(missing_ok=True)
        if case.output in before:
            (material / case.output).write_bytes(before[case.output] or b"")


def _check_result(path: Path, case: Odd) -> None:
    info = sf.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (
        case.rate,
        case.channels,
        case.subtype,
    )
    assert info.frames == case.frames
    samples, _ = sf.read(path, dtype="float64")
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 10 ** (-0.1 / 20) + 2**-15
    if case.silent:
        assert not samples.any()
    else:
        assert np.sqrt(np.mean(samples**2)) > 1e-3


def test_quiet_prints_nothing(material: Path, model_path: Path, command: Command) -> None:
    done = command(
        "drums.wav", "piano.wav", "-o", "quiet.wav", "-q", "--model", model_path, cwd=material
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (material / "quiet.wav").unlink()


@pytest.mark.parametrize(
    "suffix,subtype", [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24")]
)
def test_same_inputs_same_bytes(
    suffix: str, subtype: str, material: Path, model_path: Path, command: Command, tmp_path: Path
) -> None:
    made = []
    for turn in ("first", "second"):
        output = tmp_path / f"{turn}.{suffix}"
        done = command(
            "drums.wav",
            "piano.wav",
            "-o",
            output,
            "--subtype",
            subtype,
            "--model",
            model_path,
            cwd=material,
        )
        assert done.returncode == 0, done.stderr
        made.append(output.read_bytes())
    assert made[0] == made[1]


def test_rendering_needs_no_network(
    material: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from creative_mix.api import render_files

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    result = render_files(
        material / "drums.wav", material / "piano.wav", tmp_path / "out.wav", model_path=model_path
    )
    assert result.frames == round(RATE * DURATION_S)
