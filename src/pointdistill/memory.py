"""How the process gets its memory from the system: kept for the next array instead of given back after each. And how
much there is.

A training step allocates and frees the same large arrays again and again. By default glibc returns each to the kernel,
which hands out empty pages anew, one fault for every 4 kB: on two cores a tenth of a step's time.
"""

import ctypes
import os
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""What mallopt(3) calls its parameters."""
_LARGEST = 1 << 30
"""Bytes; blocks from there on still come from the system one by one and go back to it."""
_GROWTH = 64 << 20


def keep_large_blocks() -> None:
    """Let freed memory stay with the process, and ask for large pages for large arrays; once, before torch is loaded.

    The process's size stays at its peak. Nothing happens where the C library is not glibc, or where the user has
    settings of their own (MALLOC_..., GLIBC_TUNABLES); `THP_MEM_ALLOC_ENABLE=0` leaves large pages out. Processes that
    are started later inherit the latter, and call this themselves.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's own switch
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, -1), (_TOP_PAD, _GROWTH)):
        mallopt(parameter, value)


def told_by_kernel(path: str, field: str) -> float | None:
    """Bytes of a line "field: so many kB", as /proc/meminfo and /proc/PID/status have it; None where there is none."""
    try:
        lines = dict(line.split(":", 1) for line in Path(path).read_text().splitlines())
        return 1024.0 * int(lines[field].split()[0])
    except (OSError, KeyError):
        return None
