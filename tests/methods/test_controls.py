"""The control: the same clouds and targets, paired wrongly for good."""

import pytest
import torch

import build_scannet
from fake_teacher import factory
from pointdistill.loader import FrameLoader
from pointdistill.methods.controls import PermutedTargets
from pointdistill.prepare import prepare_frames


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("controls")
    root = build_scannet.write_data_set(folder / "scannet", ["scene0000_00", "scene0001_00"], frames=5)
    return prepare_frames(root, folder / "store", factory(), every=1, points=64, workers=1)


def loader(store):
    return FrameLoader(store, 5, 32, seed=0)


def batches(store, seed=0, epoch=0):
    return list(PermutedTargets(loader(store), store, seed).epoch(epoch))


def targets_of(found):
    """Each frame's target as the control gives it, by the frame's index."""
    pairs = [pair for batch in found for pair in zip(batch.index.tolist(), batch.targets, strict=True)]
    return torch.stack([target for _, target in sorted(pairs, key=lambda pair: pair[0])])


def test_no_frame_keeps_its_target_and_every_target_is_used_once(store):
    own, given = torch.from_numpy(store.targets.astype("float32")), targets_of(batches(store))
    sources = [int((own - target).abs().flatten(1).sum(1).argmin()) for target in given]
    assert sorted(sources) == list(range(len(store)))
    assert all(frame != source for frame, source in enumerate(sources))


def test_the_pairing_is_the_same_in_every_epoch_and_hangs_on_the_seed(store):
    first = targets_of(batches(store))
    assert torch.equal(first, targets_of(batches(store, epoch=5)))
    assert not torch.equal(first, targets_of(batches(store, seed=1)))


def test_clouds_and_steps_stay_as_they_are(store):
    plain = list(loader(store).epoch(2))
    assert len(plain) == len(batches(store)) == 2
    for one, other in zip(plain, batches(store, epoch=2), strict=True):
        assert torch.equal(one.points, other.points)
        assert torch.equal(one.index, other.index)
