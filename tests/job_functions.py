"""What worker processes do in tests of the pool; in a module of its own, so that they can import it."""

import os
import time

from pointdistill.errors import PointdistillError


def note(folder, report, text="", wait=0.0):
    time.sleep(wait)
    report(1, 1, text)
    (folder / "done.txt").write_text(f"{time.time()}")
    return f"wrote {text}"


def fail(folder, report):
    raise PointdistillError("the third shelf is empty")


def die(folder, report):
    os._exit(9)


def die_on(item):
    if item == 3:
        os._exit(9)
    return item


def square(item):
    return item * item


def wait_for_ever(folder, report):
    (folder / "pid.txt").write_text(str(os.getpid()))
    time.sleep(600)
