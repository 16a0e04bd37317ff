"""SIGINT and SIGTERM as a wish that the loop grants after its step."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

GRACE_S = 20.0
"""How long a process among others may be deaf to a signal; torchrun kills after 30 s."""


class Interrupt:
    """Inside a `with`, the first signal is noted; a second SIGINT interrupts at once.

    Python hears a signal only between two of its own instructions, and a process that waits for
    others that will not come is inside of one. So where there are others, a thread looks whether
    a signal is heard at all, and ends the process where it is not.

    Args:
        alone: whether this process waits for no others.
        grace_s: seconds after which a signal that is not heard ends the process.
    """

    def __init__(self, alone: bool = True, grace_s: float = GRACE_S) -> None:
        self.wanted = False
        self._alone, self._grace_s = alone, grace_s
        self._heard = threading.Event()
        self._before: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._heard.set()
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = True

    def _watch(self, arrivals: socket.socket) -> None:
        with arrivals:
            while arrived := arrivals.recv(1):
                number = arrived[0]
                if number in SIGNALS and not self._heard.wait(self._grace_s):
                    os.write(2, self._last_words(number).encode())
                    os._exit(128 + number)

    def _last_words(self, number: int) -> str:
        return (
            f"creative-mix: {signal.Signals(number).name}, and still waiting for other ranks after "
            f"{self._grace_s:g} s: ended without saving; --resume auto goes on from the last "
            "checkpoint\n"
        )

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
            if not self._alone:
                self._sent, arrivals = socket.socketpair()
                self._sent.setblocking(False)
                self._woken_before = signal.set_wakeup_fd(self._sent.fileno())
                threading.Thread(target=self._watch, args=(arrivals,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._before and not self._alone:
            signal.set_wakeup_fd(self._woken_before)
            self._sent.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)
