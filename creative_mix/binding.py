"""Calls of a session: with arrays on the CPU, with buffers that stay in place on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .audio import FloatArray
from .runtime import Session, load_runtime

Feeds = Mapping[str, npt.NDArray[Any]]
Call = Callable[[Sequence[str], Feeds], list[FloatArray]]
"""`call(outputs, feeds)` gives the named outputs as arrays."""


def bind(session: Session) -> Call:
    """Return the cheapest way to call a session where it runs."""
    if session.memory == "cpu":
        return session.run.run
    return BoundCall(session)


class BoundCall:
    """Calls a session whose inputs lie on the device, in buffers that are made once for a shape.

    Nothing is allocated from one call to the next of equal shapes, and only what is given and what
    is asked for crosses the bus.  Calls from several threads wait for each other.

    Args:
        session: where its buffers lie says `session.memory`.
    """

    def __init__(self, session: Session) -> None:
        self._ort = load_runtime()
        self._run = session.run
        self._memory = session.memory
        self._binding = session.run.io_binding()
        self._buffers: dict[str, Any] = {}
        self._asked: object = None
        self._lock = threading.Lock()

    def __call__(self, outputs: Sequence[str], feeds: Feeds) -> list[FloatArray]:
        """Return the named outputs."""
        with self._lock:
            if self._buffers.keys() - feeds.keys():
                # What was given last time and is not now has its default again.
                self._binding.clear_binding_inputs()
                self._buffers.clear()
            for name, array in feeds.items():
                self._feed(name, array)
            asked = (tuple(outputs), _sizes(feeds))
            if asked != self._asked:
                # Results are written where the last ones were, so a new shape needs a new place.
                self._binding.clear_binding_outputs()
                for name in outputs:
                    self._binding.bind_output(name, self._memory)
                self._asked = asked
            self._run.run_with_iobinding(self._binding)
            made = [value.numpy() for value in self._binding.get_outputs()]
            # From a device they come as copies; on the host they are the buffers themselves.
            return [array.copy() for array in made] if self._memory == "cpu" else made

    def _feed(self, name: str, array: npt.NDArray[Any]) -> None:
        if array.dtype == np.int64:
            # Counts of frames are read on the host: on the device they would be copied back.
            # (`bind_cpu_input` would not know an input that may be left out.)
            self._buffers[name] = self._ort.OrtValue.ortvalue_from_numpy(array)
            self._binding.bind_ortvalue_input(name, self._buffers[name])
            return
        buffer = self._buffers.get(name)
        if buffer is None or tuple(buffer.shape()) != array.shape:
            buffer = self._ort.OrtValue.ortvalue_from_shape_and_type(
                array.shape, array.dtype.type, self._memory, 0
            )
            self._buffers[name] = buffer
            self._binding.bind_ortvalue_input(name, buffer)
        buffer.update_inplace(np.ascontiguousarray(array))


def _sizes(feeds: Feeds) -> tuple[object, ...]:
    """Return what the shapes of the results follow from: all shapes, and the counts."""
    return tuple(
        (name, array.shape, array.tobytes() if array.dtype == np.int64 else b"")
        for name, array in sorted(feeds.items())
    )
