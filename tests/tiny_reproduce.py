"""A table of seconds, by a process of its own: python tiny_reproduce.py OUT."""

import sys
from dataclasses import replace
from pathlib import Path

from pointdistill.memory import keep_large_blocks
from pointdistill.reproduce import reproduce
from pointdistill.reproduce.published import TABLE_6
from pointdistill.reproduce.targets import DownstreamTable
from tiny_scale import tiny_scale

if __name__ == "__main__":
    keep_large_blocks()
    rows = tuple(row for row in TABLE_6.rows if row.label in ("Only reconstruction", "Only distillation"))
    table = replace(TABLE_6, rows=rows, claims=(("Only distillation", "Only reconstruction"),))
    scale = tiny_scale()
    reproduce(DownstreamTable(table, scale, 2), scale, Path(sys.argv[1]))
