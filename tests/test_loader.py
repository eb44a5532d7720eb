import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import build_scannet
from fake_teacher import factory
from pointdistill.augment import Augmentation
from pointdistill.errors import DataError, RecipeError
from pointdistill.loader import FrameLoader, draw_rows
from pointdistill.prepare import prepare_frames


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loader")
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00", "scene0001_00"], frames=5)
    return prepare_frames(root, folder / "store", factory(), every=1, points=200, workers=1)


def _same(a, b):
    return torch.equal(a.points, b.points) and torch.equal(a.targets, b.targets) and torch.equal(a.index, b.index)


def test_clouds_are_the_stores_in_the_unit_sphere(store):
    loader = FrameLoader(store, 4, 100, seed=3)
    assert len(loader) == 2
    for batch in loader.epoch(0):
        assert batch.points.shape == (4, 100, 3) and batch.points.dtype == torch.float32 and len(batch) == 4
        assert batch.points.norm(dim=-1).max() < 1.001
        for cloud, target, index in zip(batch.points, batch.targets, batch.index.tolist(), strict=True):
            metres = cloud.numpy() * store.scale[index] + store.centre[index]
            distances = np.abs(metres[:, None] - store.cloud(index)[None]).max(-1)
            assert distances.min(1).max() < 1e-4  # each drawn point is one of the frame's
            assert len(set(distances.argmin(1))) == 100  # and none is drawn twice
            np.testing.assert_array_equal(target, store.targets[index].astype(np.float32))


def test_each_epoch_draws_afresh_but_for_the_seed(store):
    loader, again = (FrameLoader(store, 10, 100, seed=3, augment=Augmentation()) for _ in range(2))
    first, second = next(loader.epoch(0)), next(loader.epoch(1))
    assert _same(first, next(again.epoch(0)))
    assert not torch.equal(first.index, second.index)
    assert sorted(first.index.tolist()) == sorted(second.index.tolist()) == list(range(10))
    a, b = (batch.points[batch.index == 0] for batch in (first, second))
    assert not torch.equal(a, b)
    assert not _same(first, next(FrameLoader(store, 10, 100, seed=4, augment=Augmentation()).epoch(0)))


def test_an_epoch_can_be_entered_in_the_middle(store):
    loader = FrameLoader(store, 3, 50, seed=0, augment=Augmentation())
    whole, rest = list(loader.epoch(5)), list(loader.epoch(5, start_step=1))
    assert len(whole) == 3 and len(rest) == 2
    assert all(_same(a, b) for a, b in zip(whole[1:], rest, strict=True))


def test_processes_share_the_same_batches(store):
    whole = next(FrameLoader(store, 6, 50, seed=0, augment=Augmentation()).epoch(2))
    parts = [next(FrameLoader(store, 6, 50, 0, augment=Augmentation(), rank=r, ranks=2).epoch(2)) for r in range(2)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.points, whole.points[rank::2]) and torch.equal(part.index, whole.index[rank::2])


def test_a_sample_does_not_depend_on_its_batch(store):
    few = FrameLoader(store, 2, 50, seed=0, indices=np.array([7, 3]), augment=Augmentation())
    batch, all_frames = next(few.epoch(1)), next(FrameLoader(store, 10, 50, 0, augment=Augmentation()).epoch(1))
    assert sorted(batch.index.tolist()) == [3, 7]
    for cloud, index in zip(batch.points, batch.index, strict=True):
        assert torch.equal(cloud, all_frames.points[all_frames.index == index][0])


def test_a_second_view_is_another_draw_of_the_same_frames(store):
    one, two = (FrameLoader(store, 4, 100, 0, augment=Augmentation(), views=views) for views in (1, 2))
    plain, batch = next(one.epoch(3)), next(two.epoch(3))
    assert plain.second is None and _same(plain, batch)  # the first view is what it is without a second
    assert batch.second.shape == batch.points.shape and not torch.equal(batch.second, batch.points)
    assert torch.equal(batch.second, next(two.epoch(3)).second)
    bare = next(FrameLoader(store, 4, 200, 0, views=2).epoch(3))  # all points of a frame: the same ones, in any order
    for cloud, second in zip(bare.points, bare.second, strict=True):
        assert torch.equal(cloud.sort(0).values, second.sort(0).values)


def test_gravity_frame_turns_by_the_pose_and_keeps_the_yaw(store):
    camera = next(FrameLoader(store, 10, 100, seed=0).epoch(0))
    gravity = next(FrameLoader(store, 10, 100, seed=0, frame="gravity").epoch(0))
    for a, b, index in zip(camera.points, gravity.points, camera.index.tolist(), strict=True):
        np.testing.assert_allclose(b, a.numpy() @ store.pose(index)[:3, :3].T, atol=1e-5)
        np.testing.assert_allclose(b[:, 2], -a[:, 1], atol=1e-5)  # these cameras look level: down is +y


def test_last_batch_and_order(store):
    loader = FrameLoader(store, 4, 20, seed=0, drop_last=False, shuffle=False)
    assert [batch.index.tolist() for batch in loader.epoch(0)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_what_cannot_work_is_refused(store):
    with pytest.raises(RecipeError, match="10 frames are less than one batch of 11"):
        FrameLoader(store, 11, 20, seed=0)
    with pytest.raises(RecipeError, match="gravity"):
        FrameLoader(store, 2, 20, seed=0, augment=Augmentation(yaw=True))


def test_frames_with_too_few_points_repeat_some(store):
    available = int(store.counts[0])
    batch = FrameLoader(store, 1, 2 * available + 10, seed=0, indices=np.array([0])).batch(np.array([0]), 0)
    _, times = np.unique(batch.points[0].numpy(), axis=0, return_counts=True)
    assert len(times) == available and sorted(set(times)) == [2, 3]


def test_a_cloud_by_hand(store):
    """What is drawn, written down again from the definitions: generator, rows, box, sphere, augmentation."""
    augment, index, epoch = Augmentation(), 6, 3
    drawn = FrameLoader(store, 1, 100, seed=5, augment=augment).batch(np.array([index]), epoch).points[0]
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([5, zlib.crc32(b"sample"), epoch, index])))
    rows = generator.choice(int(store.counts[index]), 100, replace=False, shuffle=False)
    cloud = (store.cloud(index)[rows] - store.centre[index]) / store.scale[index]
    expected = cloud * generator.uniform(2 / 3, 3 / 2, 3) + generator.uniform(-0.2, 0.2, 3)
    np.testing.assert_allclose(drawn, expected, atol=1e-4)


def test_rows_are_drawn_evenly():
    drawn = np.concatenate([draw_rows(np.random.default_rng(seed), 20, 5) for seed in range(2000)])
    assert np.bincount(drawn, minlength=20).std() < 40  # 500 each, binomial deviation 22
    assert sorted(draw_rows(np.random.default_rng(0), 7, 7)) == list(range(7))


def test_no_gravity_where_nobody_knows_it(store):
    assert store.up == "z"
    unknown = replace(store, manifest={**store.manifest, "up": None})
    FrameLoader(unknown, 2, 50, seed=0)
    with pytest.raises(DataError, match=r"do not say which way is up.*--up"):
        FrameLoader(unknown, 2, 50, seed=0, frame="gravity")


def _assert_same_batches(finished, whole):
    assert torch.equal(finished.targets, whole.targets) and torch.equal(finished.index, whole.index)
    torch.testing.assert_close(finished.points, whole.points, rtol=0, atol=1e-6)
    if whole.second is not None:
        torch.testing.assert_close(finished.second, whole.second, rtol=0, atol=1e-6)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("frame", ["camera", "gravity"])
def test_clouds_finished_on_the_device_are_the_loaders(store, frame, views):
    augment = Augmentation(yaw=True) if frame == "gravity" else Augmentation()
    given = {"seed": 3, "frame": frame, "augment": augment, "views": views}
    loaders = (FrameLoader(store, 5, 64, stored=stored, **given) for stored in (False, True))
    for whole, raw in zip(*(loader.epoch(1) for loader in loaders), strict=True):
        assert raw.points.shape == (5, 0, 3) and raw.clouds.stored.dtype == torch.int16 and len(raw) == 5
        assert (raw.second_clouds is None) == (views == 1)
        _assert_same_batches(raw.to("cpu"), whole)
    assert raw.to("meta").points.shape == (5, 64, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_batches_for_a_gpu_lie_in_pinned_memory(store):
    raw = next(FrameLoader(store, 5, 64, seed=3, views=2, stored=True).epoch(0))
    assert raw.targets.is_pinned() and raw.clouds.stored.is_pinned() and raw.second_clouds.shifts.is_pinned()
    _assert_same_batches(raw.to("cuda").to("cpu"), next(FrameLoader(store, 5, 64, seed=3, views=2).epoch(0)))
