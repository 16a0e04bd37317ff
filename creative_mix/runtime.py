"""An ONNX Runtime session on the device that was asked for, or a clear word why not."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DeviceError, ModelFileError, OptionError, RuntimeMissingError
from .options import DEVICES, Device

_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
_CUDA_OPTIONS = {
    # An exhaustive search for the fastest convolution costs seconds at every new length.
    "cudnn_conv_algo_search": "HEURISTIC",
    # One-dimensional convolutions run along the last axis, in which their frames lie.
    "cudnn_conv1d_pad_to_nc1d": "1",
    # Full float32, so that the devices agree.
    "use_tf32": "0",
    # Memory grows by what is asked for, not to the next power of two.
    "arena_extend_strategy": "kSameAsRequested",
}


@dataclass(frozen=True)
class Session:
    """A model that is ready to run."""

    run: Any
    """`onnxruntime.InferenceSession`."""

    device: str
    """Where it runs: "cpu", "cuda" or "tensorrt"."""

    threads: int
    """Threads that it uses on the CPU."""

    notice: str | None = None
    """Why "auto" did not get the GPU that the installed runtime is made for."""

    memory: str = "cpu"
    """Where its buffers lie: "cpu" or "cuda"."""


def cpu_threads() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_session(
    model_path: Path,
    device: Device = "auto",
    threads: int | None = None,
    profile: Path | None = None,
) -> Session:
    """Return a session that runs the model, on a device that has been verified.

    Args:
        model_path: an ONNX file.
        device: "cuda" and "tensorrt" fail where they cannot be used; "auto" takes CUDA or the CPU
            and says so.
        threads: CPU threads, at least 1; by default as many as there are cores.
        profile: how the names of the files begin that a profile is written to; none by default.

    Raises:
        RuntimeMissingError: no ONNX Runtime is installed.
        DeviceError: `device` is "cuda" or "tensorrt" and cannot be used.
        ModelFileError: the file is missing or no model.
        OptionError: `device` or `threads` is out of range.
    """
    if device not in DEVICES:
        raise OptionError(f"device {device!r} is unknown; choose one of {', '.join(DEVICES)}")
    if threads is not None and threads < 1:
        raise OptionError(f"threads must be at least 1, not {threads}")
    if not model_path.is_file():
        raise ModelFileError(f"{model_path}: no such model file; check the path or install again")
    ort = load_runtime()
    threads = threads or cpu_threads()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Patterns of memory are kept for every length that is met, and hold far more than one run.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)

    if device == "cpu":
        return Session(_create(ort, model_path, options, []), "cpu", threads)
    if device == "tensorrt":
        return Session(
            _create_tensorrt(ort, model_path, options), "tensorrt", threads, memory="cuda"
        )
    if _CUDA not in ort.get_available_providers():
        if device == "cuda":
            raise DeviceError(
                "CUDA cannot be used: the installed onnxruntime has no CUDA; replace it by "
                "pip uninstall onnxruntime && pip install 'creative-mix[cuda]', or use --device cpu"
            )
        return Session(_create(ort, model_path, options, []), "cpu", threads)
    complaint = _load_cuda_libraries(ort)
    session = _create(ort, model_path, options, [(_CUDA, _CUDA_OPTIONS)])
    if session.get_providers()[0] == _CUDA:
        return Session(session, "cuda", threads, memory="cuda")
    reason = complaint or "is there an NVIDIA GPU with its driver, and CUDA and cuDNN?"
    if device == "cuda":
        raise DeviceError(f"CUDA cannot be used ({reason}); mend that or use --device cpu")
    return Session(session, "cpu", threads, f"CUDA cannot be used ({reason}), so the CPU is")


def _create_tensorrt(ort: Any, model_path: Path, options: Any) -> Any:
    """Return a session whose first provider is TensorRT; what it cannot run falls to CUDA.

    Raises:
        DeviceError: TensorRT cannot be used.
    """
    if _TENSORRT not in ort.get_available_providers():
        raise DeviceError(
            "TensorRT cannot be used: the installed onnxruntime has none; replace it by "
            "pip uninstall onnxruntime && pip install 'creative-mix[cuda]' tensorrt, or use "
            "--device cpu"
        )
    complaint = _load_cuda_libraries(ort)
    # Its package loads the libraries that the provider links to.
    with suppress(Exception):
        __import__("tensorrt")
    # Building an engine takes minutes, so it is kept: one for every shape of the input.
    folder = _cache_folder() / "tensorrt"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }
    # Where it cannot be loaded, the runtime prints that and goes on without it.
    with redirect_stdout(io.StringIO()):
        session = _create(ort, model_path, options, [(_TENSORRT, kept), (_CUDA, _CUDA_OPTIONS)])
    if session.get_providers()[0] == _TENSORRT:
        return session
    reason = complaint or "are its libraries installed, in the version that onnxruntime asks for?"
    raise DeviceError(
        f"TensorRT cannot be used ({reason}); pip install tensorrt, or use --device cuda"
    )


def _cache_folder() -> Path:
    """Return this program's folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "creative-mix"


def load_runtime() -> Any:
    """Return the module `onnxruntime`.

    Raises:
        RuntimeMissingError: it is not installed, or cannot be loaded.
    """
    remedy = "pip install 'creative-mix[cpu]', or 'creative-mix[cuda]' for an NVIDIA GPU"
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise RuntimeMissingError(f"ONNX Runtime is not installed: {remedy}") from None
    except ImportError as error:
        reason = str(error).splitlines()[0][:120]
        raise RuntimeMissingError(
            f"ONNX Runtime cannot be loaded ({reason}); install it again: {remedy}"
        ) from error
    return onnxruntime


def _load_cuda_libraries(ort: Any) -> str | None:
    """Load the CUDA and cuDNN libraries that pip installed; return the first complaint."""
    if not hasattr(ort, "preload_dlls"):
        return None
    printed = io.StringIO()
    with redirect_stdout(printed):
        ort.preload_dlls()
    failed = [line for line in printed.getvalue().splitlines() if line.startswith("Failed")]
    return failed[0].split(":")[0].replace("Failed", "failed", 1) if failed else None


def _create(ort: Any, model_path: Path, options: Any, accelerators: list[Any]) -> Any:
    """Return a session; without the accelerators where they make it fail."""
    error: Exception | None = None
    with _quiet(ort):
        for chosen in ([*accelerators], []):
            try:
                return ort.InferenceSession(
                    str(model_path), options, providers=[*chosen, "CPUExecutionProvider"]
                )
            except Exception as caught:
                # The runtime has a class of its own for every kind of failure.
                error = caught
    reason = str(error).splitlines()[0][:120]
    raise ModelFileError(
        f"{model_path}: not a model that can be run ({reason}); install or export it again"
    ) from error


@contextmanager
def _quiet(ort: Any) -> Iterator[None]:
    """Keep the runtime's own log lines back: this module says what matters."""
    ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)
