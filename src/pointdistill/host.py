"""On what something was computed: what must stand beside every figure."""

import platform
import sys
from pathlib import Path

import torch

from pointdistill.parallel import usable_cores


def host_facts() -> dict:
    """Cores, processor, versions."""
    return {
        "cpus": usable_cores(),
        "processor": _processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": "one a worker process",
    }


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
