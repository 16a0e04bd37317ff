"""Memory for steps on a CPU: kept when it is freed, and in pages of two megabytes."""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt."""


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, and torch ask for huge pages; whether both took it.

    Activations are tens of megabytes each. glibc would ask the kernel for every one of them anew
    and give it back after use, and the kernel fills each page with zeros first: a gigabyte a step.
    The process stays as large as it once was, so this is for training alone. Other C libraries,
    and allocators that were loaded before them, go on as they do.

    torch looks for its variable at the first tensor that it makes: call this before.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))
