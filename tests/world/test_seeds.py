from itertools import combinations

from pointdistill.world.seeds import SEEDS


def test_ranges_are_disjoint_and_wide():
    assert {len(seeds) for seeds in SEEDS.values()} == {100_000}
    for a, b in combinations(SEEDS.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start


def test_every_stage_has_its_seeds():
    rooms = {"teacher_train", "teacher_test", "pretrain", "pretrain_heldout", "train", "val", "test"}
    objects = {f"objects_{name}" for name in ("train", "val", "test", "pretrain", "heldout")}
    assert set(SEEDS) == rooms | objects
