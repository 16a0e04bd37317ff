"""Everything that there is to know of a GPU: parity, speed, memory, nodes by provider, ceilings.

    python benchmarks/cuda.py                            # on a GPU, with the model that ships
    python benchmarks/cuda.py --half half.onnx           # and with one exported --compute fp16
    python benchmarks/cuda.py --device cpu --seconds 2   # how it works, on any machine

It needs this package, numpy and onnxruntime-gpu. Where there is no GPU it runs on the CPU and
says so. Run it with nothing else going on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from creative_mix.binding import bind
from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE, STRIKE_THRESHOLD
from creative_mix.errors import DeviceError
from creative_mix.placement import Placement, place
from creative_mix.renderer import CHUNK_FRAMES, SKIP_INPUT, WEIGHTS_PATH, Renderer, read_info
from creative_mix.runtime import load_runtime, open_session

LENGTHS_S = (0.05, 0.7, 3.0, 20.0)


def sound(samples: int, batch: int, channels: int, gap_s: float, seed: int) -> np.ndarray:
    """Tones that are struck at random times and die away, (batch, channels, samples)."""
    random = np.random.default_rng(seed)
    # After two seconds a tone is below the noise; longer ones would take minutes to make.
    longest = np.arange(min(samples, 2 * SAMPLE_RATE)) / SAMPLE_RATE
    out = 1e-3 * random.standard_normal((batch, channels, samples))
    for item in out:
        start = 0.0
        while start < (samples - 1) / SAMPLE_RATE:
            first = int(start * SAMPLE_RATE)
            age = longest[: samples - first]
            tone = np.sin(2 * np.pi * random.uniform(60, 900) * age) * np.exp(-age / 0.3)
            burst = random.standard_normal(len(age)) * np.exp(-age / 0.01)
            last = first + len(age)
            item[:, first:last] += random.uniform(0.05, 0.25, (channels, 1)) * (tone + burst)
            start += random.exponential(gap_s)
    return np.clip(out, -1, 1).astype(np.float32)


def timed(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Best and median seconds of a call."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds), float(np.median(seconds))


def choose_device(wanted: str, model: Path, strict: bool) -> str:
    """Return the device, after saying what it is."""
    ort = load_runtime()
    print(f"ONNX Runtime {ort.__version__}, providers {', '.join(ort.get_available_providers())}")
    if wanted != "cpu":
        try:
            open_session(model, wanted, 1)  # type: ignore[arg-type]
        except DeviceError as error:
            if wanted == "tensorrt" or strict:
                raise
            print(f"no GPU, so all that follows is of the CPU: {error}")
            wanted = "cpu"
    if wanted != "cpu" and shutil.which("nvidia-smi"):
        query = [
            "nvidia-smi",
            "--query-gpu=name,driver_version,memory.total",
            "--format=csv,noheader",
        ]
        print(f"GPU: {subprocess.run(query, capture_output=True, text=True).stdout.strip()}")
    print(f"device: {wanted}; CPU: {os.cpu_count()} cores", flush=True)
    return wanted


def memory_mb(device: str) -> float:
    """What this process holds: of the GPU, or the most that it ever held of the host."""
    if device != "cpu" and shutil.which("nvidia-smi"):
        query = [
            "nvidia-smi",
            "--query-compute-apps=pid,used_memory",
            "--format=csv,noheader,nounits",
        ]
        for line in subprocess.run(query, capture_output=True, text=True).stdout.splitlines():
            pid, _, used = line.partition(",")
            if pid.strip() == str(os.getpid()) and used.strip().isdigit():
                return float(used)
        return float("nan")  # inside a container the processes bear other numbers
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def parity(base: Path, model: Path, device: str, lengths_s: tuple[float, ...], title: str) -> None:
    """Differences from what the base makes on the CPU."""
    reference = bind(open_session(base, "cpu"))
    call = bind(open_session(model, device))  # type: ignore[arg-type]
    for seconds in lengths_s:
        samples = round(seconds * SAMPLE_RATE)
        drums, piano = sound(samples, 1, 2, 0.2, 1), sound(samples, 1, 2, 0.5, 2)
        feeds = {"drums": drums, "piano": piano, "bias": np.zeros((1, 6), np.float32)}
        names = ["mix", "strikes"]
        expected, made = reference(names, feeds), call(names, feeds)
        difference = made[0].astype(np.float64) - expected[0]
        moved = int((strike_frames(made[1]) != strike_frames(expected[1])).sum())
        rms = np.sqrt(np.mean(difference**2))
        loud = np.sqrt(np.mean(expected[0].astype(np.float64) ** 2))
        print(
            f"{title} at {samples} samples: greatest difference {np.abs(difference).max():.1e} of "
            f"full scale, rms {rms:.1e} ({20 * np.log10(rms / max(loud, 1e-9) + 1e-12):.0f} dB "
            f"beside the sound), strikes moved: {moved} of {int(strike_frames(expected[1]).sum())}",
            flush=True,
        )


def strike_frames(strikes: np.ndarray) -> np.ndarray:
    """Frames above the threshold of which no neighbour is higher."""
    padded = np.pad(strikes, ((0, 0), (1, 1)))
    highest = (strikes >= padded[:, :-2]) & (strikes > padded[:, 2:])
    return highest & (strikes > STRIKE_THRESHOLD)


def chunk_feeds(model: Path, seconds: float, batch: int) -> tuple[dict[str, Any], float]:
    """One chunk with its context, as the renderer makes it, and how long its result lasts."""
    session = open_session(model, "cpu", 1).run
    info = read_info(model, session.get_modelmeta().custom_metadata_map)
    frames = round(seconds * SAMPLE_RATE / HOP_LENGTH)
    samples = (info.lookback_frames + frames + info.lookahead_frames) * HOP_LENGTH
    feeds: dict[str, Any] = {
        "drums": sound(samples, batch, 2, 0.2, 1),
        "piano": sound(samples, batch, 2, 0.5, 2),
        "bias": np.zeros((batch, 6), np.float32),
    }
    if any(each.name == SKIP_INPUT for each in session.get_overridable_initializers()):
        feeds[SKIP_INPUT] = np.array([info.lookback_frames], np.int64)
    return feeds, frames * HOP_LENGTH / SAMPLE_RATE


def speed(
    model: Path, device: str, seconds: float, batch: int, times: int, title: str
) -> tuple[float, Placement]:
    """Print first-call time and real-time factor; return seconds of a call and its nodes."""
    feeds, lasts_s = chunk_feeds(model, seconds, batch)
    started = time.perf_counter()
    call = bind(open_session(model, device))  # type: ignore[arg-type]
    opened = time.perf_counter()
    call(["mix", "weights", "strikes"], feeds)
    first = time.perf_counter()
    best, median = timed(lambda: call(["mix", "weights", "strikes"], feeds), times)
    total_s = batch * lasts_s
    print(
        f"{title}, batch {batch} of {lasts_s:.1f} s stereo: opened in {opened - started:.2f} s, "
        f"first call {first - opened:.2f} s, then {1e3 * best:.1f} ms (median {1e3 * median:.1f}): "
        f"{total_s / best:.0f} x real time; memory {memory_mb(device):.0f} MB",
        flush=True,
    )
    return best, place(model, device, feeds)  # type: ignore[arg-type]


def ceilings(device: str, small: bool) -> tuple[float, float, float]:
    """Bytes a second of an addition, and operations a second in float32 and in float16."""
    side, count = (1024, 1 << 24) if small else (8192, 1 << 28)
    rate = {}
    for name, kind in (("fp32", np.float32), ("fp16", np.float16)):
        if device == "cpu" and kind is np.float16:
            rate[name] = float("nan")  # no CPU here multiplies matrices of float16
            continue
        # Of ones alone the clock would run higher than of sound.
        matrix = np.random.default_rng(0).standard_normal((side, side), np.float32).astype(kind)
        seconds = probe("MatMul", device, {"a": matrix, "b": matrix})
        rate[name] = 2 * side**3 / seconds
    vector = np.ones(count, np.float32)
    seconds = probe("Add", device, {"a": vector, "b": vector})
    return 3 * vector.nbytes / seconds, rate["fp32"], rate["fp16"]


def probe(operator: str, device: str, feeds: Mapping[str, np.ndarray]) -> float:
    """Best seconds of one operator on inputs that lie on the device, its result left there."""
    ort = load_runtime()
    memory = "cpu" if device == "cpu" else "cuda"
    providers = ["CPUExecutionProvider"]
    if memory == "cuda":
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))  # type: ignore[arg-type]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    model = one_node(operator, feeds["a"])
    session = ort.InferenceSession(model, options, providers=providers)
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, memory, 0))
    binding.bind_output("c", memory)
    for _ in range(3):
        session.run_with_iobinding(binding)
    return timed(lambda: session.run_with_iobinding(binding), 10)[0]


def one_node(operator: str, like: np.ndarray) -> bytes:
    """A model of one node, `c = operator(a, b)`, made without the package `onnx`."""

    def field(number: int, value: bytes | str | int) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3, value])
        body = value.encode() if isinstance(value, str) else value
        length, rest = b"", len(body)
        while rest > 127:
            length += bytes([rest & 127 | 128])
            rest >>= 7
        return bytes([number << 3 | 2]) + length + bytes([rest]) + body

    def port(name: str) -> bytes:
        sizes = b"".join(field(1, field(2, f"size{axis}")) for axis in range(like.ndim))
        kind = {np.dtype(np.float32): 1, np.dtype(np.float16): 10}[like.dtype]
        tensor = field(1, kind) + field(2, sizes)
        return field(1, name) + field(2, field(1, tensor))

    node = field(1, "a") + field(1, "b") + field(2, "c") + field(4, operator)
    graph = field(1, node) + field(2, "probe")
    graph += field(11, port("a")) + field(11, port("b")) + field(12, port("c"))
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "tensorrt", "cpu"])
    parser.add_argument("--model", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--half", type=Path, help="the same weights, exported with --compute fp16")
    parser.add_argument("--seconds", type=float, default=CHUNK_FRAMES * HOP_LENGTH / SAMPLE_RATE)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--times", type=int, default=10, help="calls that are timed")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the whole render")
    parser.add_argument("--strict", action="store_true", help="fail where there is no GPU")
    options = parser.parse_args()
    if options.half and not options.half.is_file():
        sys.exit(f"{options.half}: no such file; creative-mix export --compute fp16 writes one")
    device = choose_device(options.device, options.model, options.strict)

    models = {"fp32": options.model} | ({"fp16": options.half} if options.half else {})
    lengths = tuple(seconds for seconds in LENGTHS_S if seconds <= max(1.0, options.seconds))
    for name, model in models.items():
        parity(options.model, model, device, lengths, name)
    bytes_s, fp32, fp16 = ceilings(device, small=device == "cpu")
    print(
        f"ceilings measured: {bytes_s / 1e9:.0f} GB/s, {fp32 / 1e12:.2f} TFLOP/s in float32, "
        f"{fp16 / 1e12:.2f} in float16",
        flush=True,
    )
    for name, model in models.items():
        for batch in options.batches:
            best, placement = speed(
                model, device, options.seconds, batch, options.times, f"{device} {name}"
            )
            at_arithmetic = placement.operations / (fp32 if name == "fp32" else fp16)
            at_bandwidth = placement.moved_bytes / bytes_s
            print(
                f"  {placement.operations / 1e9:.1f} GFLOP and "
                f"{placement.moved_bytes / 1e9:.2f} GB a call: "
                f"{100 * at_arithmetic / best:.0f} % of the time by arithmetic alone, "
                f"{100 * at_bandwidth / best:.0f} % by bandwidth alone"
            )
        for line in placement.lines():
            print(f"  {line}")
        print(f"  fell to the CPU, beside arithmetic on sizes: {dict(placement.fallen) or 'none'}")

    samples = round(options.minutes * 60 * SAMPLE_RATE)
    drums, piano = sound(samples, 1, 2, 0.2, 3)[0], sound(samples, 1, 2, 0.5, 4)[0]
    frames = round(options.seconds * SAMPLE_RATE / HOP_LENGTH)
    renderer = Renderer(options.model, device, chunk_frames=frames)  # type: ignore[arg-type]
    renderer.render(drums[:, : frames * HOP_LENGTH], piano[:, : frames * HOP_LENGTH])
    best, _ = timed(lambda: renderer.render(drums, piano), 2)
    print(
        f"whole render, {options.minutes:g} minutes of stereo: {best:.2f} s, "
        f"{60 * options.minutes / best:.0f} x real time; memory {memory_mb(device):.0f} MB"
    )


if __name__ == "__main__":
    main()
