"""Which seeds belong to whom. A room or object seen by one stage is never seen by another: the ranges are disjoint."""

_WIDTH = 100_000
_NAMES = (
    "teacher_train",
    "teacher_test",
    "pretrain",
    "pretrain_heldout",
    "train",
    "val",
    "test",
    "objects_train",
    "objects_val",
    "objects_test",
    "objects_pretrain",
    "objects_heldout",
)

SEEDS: dict[str, range] = {name: range(i * _WIDTH, (i + 1) * _WIDTH) for i, name in enumerate(_NAMES)}
"""Seeds of rooms (`teacher_*`, `pretrain*`, `train`, `val`, `test`) and of objects (`objects_*`, with or without part
labels; `objects_pretrain` and `objects_heldout` for pre-training), each 100,000 wide."""
