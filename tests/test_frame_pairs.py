"""Which frames overlap, which of their points are the same, and batches of such pairs, against slow searches."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from pointdistill.augment import Augmentation
from pointdistill.frame_pairs import FramePairs
from pointdistill.loader import FrameLoader
from pointdistill.overlap import REACH, VOXEL, overlaps, partners
from pointdistill.store import HALF_RANGE, FrameStore

STORED = 600
CENTRES = {0: [0.0, 0.5, 0.8, 1.1, 9.0], 1: [0.0, 1.2]}
"""Where along its wall each frame of a scan looks: the last of the first scan at what no other one sees."""
LONELY = 4


def _pose(generator):
    """A camera anywhere, turned in any way."""
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn * np.sign(np.linalg.det(turn)), generator.uniform(-2, 2, 3)
    return pose.astype(np.float32)


@pytest.fixture(scope="module")
def store():
    """Frames of 1 m of a wall and the floor before it, as a store holds them; both scans have the same wall."""
    generator = np.random.default_rng(0)
    fields = {name: [] for name in ("points", "lower", "step", "centre", "scale", "poses", "scans")}
    for scan, centres in CENTRES.items():
        for centre in centres:
            across, along = generator.uniform(-0.5, 0.5, STORED), generator.uniform(0, 0.6, STORED)
            wall = generator.random(STORED) < 0.5
            world = np.stack([centre + across, np.where(wall, 0.01, along), np.where(wall, along, 0.01)], axis=1)
            pose = _pose(generator)
            cloud = (world - pose[:3, 3]) @ pose[:3, :3]
            step = np.ptp(cloud, axis=0) / (2 * HALF_RANGE - 1)
            fields["points"].append(np.round((cloud - cloud.min(0)) / step) - HALF_RANGE)
            fields["lower"].append(cloud.min(0))
            fields["step"].append(step)
            fields["centre"].append(cloud.mean(0))
            fields["scale"].append(np.linalg.norm(cloud - cloud.mean(0), axis=1).max())
            fields["poses"].append(pose)
            fields["scans"].append(scan)
    types = {"points": np.int16, "scans": np.int32}
    arrays = {name: np.array(values).astype(types.get(name, np.float32)) for name, values in fields.items()}
    count = len(arrays["scans"])
    arrays["colour_to_depth"] = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    arrays |= {f"{camera}_intrinsics": arrays["colour_to_depth"] for camera in ("colour", "depth")}
    arrays |= {f"{camera}_size": np.zeros((count, 2), np.int32) for camera in ("colour", "depth")}
    arrays |= {"counts": np.full(count, STORED, np.int32), "frames": np.arange(count, dtype=np.int32)}
    manifest = {"scans": ["scene0000_00", "scene0001_00"], "kind": "frames"}
    targets = np.zeros((count, 1, 2), np.float16)
    return FrameStore(Path("nowhere"), manifest, {}, **arrays, targets=targets)


def _world(store, index, points=None):
    """A frame's points in the world, from what the store documents."""
    if points is None:
        points = store.lower[index] + (store.points[index].astype(float) + HALF_RANGE) * store.step[index]
    return np.einsum("ij,nj->ni", store.poses[index, :3, :3].astype(float), points) + store.poses[index, :3, 3]


def _slow_share(one, other):
    """The share of one cloud's voxels that have one of the other's near."""
    voxels = [np.array(sorted({tuple(np.floor(point / VOXEL)) for point in cloud})) for cloud in (one, other)]
    apart = np.linalg.norm(voxels[0][:, None] - voxels[1][None], axis=-1)
    return (apart.min(1) <= REACH).mean()


def test_overlaps_are_those_of_a_slow_search(store):
    for scan in CENTRES:
        frames, shares = overlaps(store, scan)
        assert frames.tolist() == np.flatnonzero(store.scans == scan).tolist()
        clouds = [_world(store, index) for index in frames.tolist()]
        expected = [[_slow_share(one, other) for other in clouds] for one in clouds]
        # A point on a voxel's face may fall to either side: one voxel of some 400 is 0.0025.
        np.testing.assert_allclose(shares, expected, atol=0.006)
        assert (np.diag(shares) == 1).all()


def test_partners_are_frames_of_the_same_scan_with_enough_in_common(store):
    found = partners(store, 0.3)
    assert found[LONELY].tolist() == [] and found[5].tolist() == [] and found[6].tolist() == []
    assert found[0].tolist() == [1] and found[1].tolist() == [0, 2, 3] and found[2].tolist() == [1, 3]
    for index, others in enumerate(found):
        assert all(index in found[other] for other in others.tolist())
    assert [len(others) for others in partners(store, 1.01)] == [0] * 7
    assert [len(others) for others in partners(store, 0.0)] == [4] * 5 + [1] * 2  # never across scans


def test_matches_are_those_of_a_slow_search(store):
    pairs = FramePairs(store, 0.3, radius=0.04, matches=20)
    rows, other_rows = (np.random.default_rng(seed).permutation(STORED)[:300] for seed in (1, 2))
    found = pairs.matches(1, rows, 2, other_rows, np.random.default_rng(3))
    first, second = _world(store, 1)[rows], _world(store, 2)[other_rows]
    expected = []
    for place in np.random.default_rng(3).permutation(300).tolist():
        apart = np.linalg.norm(second - first[place], axis=1)
        nearest = int(apart.argmin())
        if apart[nearest] < 0.04 and nearest not in [other for _, other in expected]:
            expected.append((place, nearest))
    assert len(expected) > 20 and found.tolist() == [list(match) for match in expected[:20]]


def test_where_there_are_few_matches_the_rest_is_filling(store):
    rows = np.arange(STORED)
    few = FramePairs(store, 0.3, radius=0.003, matches=500).matches(1, rows, 2, rows, np.random.default_rng(0))
    there = few[:, 0] >= 0
    assert 0 < there.sum() < 100 and (few[~there] == -1).all() and (few[there] >= 0).all()
    assert not (np.diff(there.astype(int)) > 0).any()  # filling comes last
    far = FramePairs(store, 0.3, radius=0.04, matches=5).matches(0, rows, LONELY, rows, np.random.default_rng(0))
    assert (far == -1).all()


def _loader(store, batch_size=7, augment=None, **settings):
    pairs = FramePairs(store, 0.3, radius=0.04, matches=16)
    return FrameLoader(store, batch_size, 300, seed=0, augment=augment, pairs=pairs, shuffle=False, **settings), pairs


def test_matched_points_of_a_batch_are_the_same_place_in_the_world(store):
    loader, pairs = _loader(store)
    batch = next(loader.epoch(0))
    others = pairs.second(batch.index.numpy(), 0, 0)
    for row, (index, other) in enumerate(zip(batch.index.tolist(), others.tolist(), strict=True)):
        places = batch.matches[row]
        assert (places >= 0).all() and all(len(set(side.tolist())) == 16 for side in places.T)
        ends = [
            _world(store, of, cloud[row].numpy() * store.scale[of] + store.centre[of])[side.numpy()]
            for of, cloud, side in ((index, batch.points, places[:, 0]), (other, batch.second, places[:, 1]))
        ]
        assert np.linalg.norm(ends[0] - ends[1], axis=1).max() < 0.04 + 1e-3


def test_augmentation_moves_points_and_leaves_matches(store):
    plain, moved = (next(_loader(store, augment=augment)[0].epoch(1)) for augment in (None, Augmentation()))
    assert torch.equal(plain.matches, moved.matches) and not torch.equal(plain.second, moved.second)


def test_a_frame_meets_its_partners_in_turn_and_one_without_meets_itself(store):
    loader, pairs = _loader(store)
    met = {index: {pairs.second(np.array([index]), 0, epoch).item() for epoch in range(30)} for index in range(7)}
    assert met == {index: set(pairs.partners[index].tolist()) or {index} for index in range(7)}
    batch = loader.batch(np.array([LONELY]), 0)
    assert not torch.equal(batch.points, batch.second) and (batch.matches >= 0).all()


def test_pairs_do_not_depend_on_batch_or_process(store):
    whole = next(_loader(store, augment=Augmentation())[0].epoch(2))
    for rank, size in product(range(2), (7, 4)):
        part = next(_loader(store, size, Augmentation(), rank=rank, ranks=2)[0].epoch(2))
        for name in ("points", "second", "matches", "index"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[:size][rank::2])
    one_view = next(FrameLoader(store, 7, 300, seed=0, augment=Augmentation(), shuffle=False).epoch(2))
    assert torch.equal(one_view.points, whole.points) and one_view.matches is None
