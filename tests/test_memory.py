"""Memory that stays with the process: measured where it can be, by the kernel's own count of page faults."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
from pointdistill.memory import keep_large_blocks
if {kept}:
    keep_large_blocks()
import torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(16_000_000)  # 64 MB: glibc by itself keeps blocks of 32 MB at most
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def _faults(kept: bool, **settings: str) -> int:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "THP_"))}
    command = [sys.executable, "-c", FAULTS.format(kept=kept)]
    return int(subprocess.run(command, env=mine | settings, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="not glibc")
def test_arrays_are_not_mapped_anew_each_time():
    assert _faults(kept=False) > 20_000
    # A kernel short of memory moves pages by itself now and then, which makes thousands: not every time.
    assert any(_faults(kept=True) < 1_000 for _ in range(5))


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="not glibc")
def test_settings_of_the_user_stay():
    given = {"MALLOC_MMAP_THRESHOLD_": "131072", "THP_MEM_ALLOC_ENABLE": "0"}
    assert _faults(kept=True, **given) > 20_000
