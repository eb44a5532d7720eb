"""The verb `view`: served until Ctrl-C."""

import os
import signal
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from pointdistill.console import answer, say
from pointdistill.datasets.axes import Axis
from pointdistill.errors import DataError, PointdistillError
from pointdistill.stopping import Stopped
from pointdistill.viewer.server import serving
from pointdistill.viewer.sources import open_gallery
from pointdistill.viewer.words import load_student


def view_command(
    path: Path, run: Path | None, frame: int, teacher: str | None, up: Axis | None, port: int, browser: bool
) -> dict[str, Any]:
    """Show what lies at `path` until somebody asks for the end.

    Raises:
        PointdistillError: nothing to look at there, no such frame, no port, or viser is not installed.
    """
    if not 0 <= port <= 65535:
        raise PointdistillError(f"--port {port}: must be 0 (any) to 65535")
    gallery = open_gallery(path, None if run is None else load_student(run, teacher), teacher, up)
    if not 0 <= frame < len(gallery.names):
        there = f"Those that there are: 0 to {len(gallery.names) - 1}"
        raise DataError(path, f"has no {gallery.what} {frame}", there)
    with serving(gallery, frame, port) as address:
        answer(f"{address}  {gallery.title}: {len(gallery.names)} {gallery.what}{'s' * (len(gallery.names) != 1)}")
        say("for this machine alone; Ctrl-C ends it")
        if browser and _has_display():
            webbrowser.open(address)
        try:
            threading.Event().wait()
        except Stopped as stopped:
            if stopped.number != signal.SIGINT:
                raise
    return {"address": address, "shown": len(gallery.names)}


def _has_display() -> bool:
    """Whether a browser has where to open: without one, a browser of the terminal would take this one."""
    return sys.platform in ("darwin", "win32") or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))
