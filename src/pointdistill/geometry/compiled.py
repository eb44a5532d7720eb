"""How numba (extra `[fast]`) compiles: without the GIL, kept on disk."""

import inspect
from collections.abc import Callable

import numba


def compiled(function: Callable) -> Callable:
    """What is compiled is the function itself, whatever checks are put around it."""
    return numba.njit(nogil=True, cache=True)(inspect.unwrap(function))
