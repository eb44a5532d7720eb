"""Numbers that are none, too large or all the same: refused with their place, or given a meaning; never kept, never
written into weights."""

import json
import shutil
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import build_labelled
import build_objects
import build_rgbd
import build_scannet
import build_sens
from fake_teacher import MeanColourTeacher, factory
from pointdistill import create_backbone
from pointdistill.applications.clouds import read_cloud, training_form
from pointdistill.applications.embed import Encoder, embed
from pointdistill.batch import FrameBatch
from pointdistill.datasets.coordinates import LARGEST, usable
from pointdistill.datasets.modelnet40 import read_modelnet40
from pointdistill.doctor import examine
from pointdistill.engine.checkpoint import save_checkpoint
from pointdistill.engine.finetune import FinetuneConfig, finetune
from pointdistill.engine.optim import adamw
from pointdistill.engine.pretrain import PretrainConfig, pretrain
from pointdistill.errors import CheckpointError, DataError, TrainingDiverged
from pointdistill.geometry import (
    ball_query,
    chamfer_l1,
    chamfer_l2,
    farthest_point_sample,
    group_patches,
    knn,
    three_nearest,
    to_unit_sphere,
)
from pointdistill.geometry.fps import _buckets, _sample_buckets, _sample_numpy, _sample_torch
from pointdistill.interchange import read_peer
from pointdistill.loader import FrameLoader
from pointdistill.losses import Losses
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.models.checkpoints import load_backbone, load_backbone_weights, save_backbone
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.projector import ProjectorConfig
from pointdistill.prepare import prepare_frames, prepare_labels
from pointdistill.prepare_shapes import prepare_shapes
from pointdistill.pretraining import run_pretrain
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.quickstart import distillation
from pointdistill.scan_part import quantise
from pointdistill.store import FrameStore
from pointdistill.tasks.base import Splits
from pointdistill.tasks.classification import Classification
from pointdistill.teachers.user import load_user_teacher
from pointdistill.tensors import load_tensors, save_tensors
from shrunk import shrunk
from task_samples import object_splits, room_splits, shape_splits

SIZES = {"width": 24, "depth": 1, "heads": 2, "groups": 8, "group_size": 4}
POINTS = 64
NONE = [float("nan"), float("inf"), -float("inf")]


def backbone():
    torch.manual_seed(0)
    return create_backbone("vit_nano", **SIZES).eval()


def cloud(points=POINTS, seed=0):
    return np.random.default_rng(seed).normal(size=(points, 3)).astype(np.float32)


def clouds(points=POINTS):
    return torch.from_numpy(np.stack([cloud(points, 0), cloud(points, 1)]))


def finite(*tensors):
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


@pytest.fixture(autouse=True)
def _quiet():
    """What is refused or given a meaning needs no warning of numpy's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


# Geometry, and the model that is given tensors


@pytest.mark.parametrize("value", NONE)
def test_searches_on_the_cpu_refuse_what_is_not_finite(value):
    good, bad = clouds(), clouds()
    bad[1, 5, 2] = value
    for search in (
        lambda: farthest_point_sample(bad, 5),
        lambda: farthest_point_sample(bad.half(), 5),
        lambda: knn(bad, good, 3),
        lambda: knn(good, bad, 3),
        lambda: knn(good, bad, 3, by_index=True),
        lambda: ball_query(bad, good, 0.5, 3),
        lambda: ball_query(good, bad, 0.5, 3),
        lambda: three_nearest(bad, good),
        lambda: group_patches(bad, 8, 4),
        lambda: backbone()(bad),
    ):
        with pytest.raises(ValueError, match="not finite"):
            search()


@pytest.mark.parametrize("value", NONE)
def test_distances_of_what_is_not_finite_are_not_finite(value):
    for points in (40, 600):  # by all distances, and by trees
        bad, good = clouds(points), clouds(points).flip(0)
        bad[1, 3] = value
        for chamfer in (chamfer_l1, chamfer_l2):
            for found in (chamfer(bad, good), chamfer(good, bad)):
                assert finite(found[0]) and not finite(found[1])
        assert not finite(to_unit_sphere(bad).points[1]) and finite(to_unit_sphere(bad).points[0])


SAMPLERS = {
    "numpy": lambda points, count: _sample_numpy(points.numpy(), count, 0),
    "torch": lambda points, count: _sample_torch(points, count, 0),
    "buckets": lambda points, count: _sample_buckets(_buckets(), points.numpy(), count, 0),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("count", [5, 100])  # few are gone through whole, many by leaves
def test_farthest_points_of_clouds_without_extent(name, count):
    if name == "buckets" and _buckets() is None:
        pytest.skip("numba is not here")
    sample = SAMPLERS[name]
    equal, twice = torch.full((2, 1200, 3), 0.3), clouds(4).repeat(1, 300, 1)
    assert (sample(equal, count) == 0).all()
    assert (sample(equal * 1e-42, count) == 0).all()  # denormal: squares are 0
    found = sample(twice, count)
    assert sorted(found[0, :4].tolist()) == [0, 1, 2, 3] and (found[:, 4:] == 0).all()
    assert (sample(clouds(1), 1) == 0).all()


@pytest.mark.parametrize("kind", ["equal", "two places", "denormal", "tiny"])
def test_clouds_without_extent_give_numbers(kind):
    points = clouds()
    if kind == "equal":
        points[:] = 0.3
    elif kind == "two places":
        points = points[:, :2].repeat(1, POINTS // 2, 1)
    else:
        points *= 1e-42 if kind == "denormal" else 1e-12
    sphere = to_unit_sphere(points)
    assert finite(*sphere) and (sphere.radius >= 1e-6).all() and (sphere.points.norm(dim=-1) <= 1 + 1e-5).all()
    near = three_nearest(points, points[:, :8])
    assert finite(near.weights) and torch.allclose(near.weights.sum(-1), torch.ones(2, POINTS))
    assert finite(chamfer_l1(points, points.flip(1)), chamfer_l2(points, points + 1))
    assert knn(points, points, 4).shape == ball_query(points, points, 0.1, 4).shape == (2, POINTS, 4)
    moving = points.clone().requires_grad_()
    (chamfer_l1(moving, points).sum() + chamfer_l2(moving, points).sum()).backward()
    assert finite(moving.grad)
    network = backbone()
    for training in (False, True):
        features = network.train(training)(points)
        assert finite(features.tokens, features.centres)
    features.tokens.square().sum().backward()
    assert finite(*(p.grad for p in network.parameters() if p.grad is not None), *network.state_dict().values())


@pytest.mark.parametrize(
    ("points", "said"), [(0, "clouds of 0 points"), (1, "of 1 points"), (7, "8 points from clouds of 7")]
)
def test_too_few_points_are_said(points, said):
    few = clouds(8)[:, :points]
    with pytest.raises(ValueError, match=said):
        backbone()(few)
    with pytest.raises(ValueError, match=rf"clouds of {points} points"):
        group_patches(few, 4, points + 1)
    with pytest.raises(ValueError, match=rf"clouds of {points} points"):
        knn(few, few, points + 1)
    if points == 0:
        for asked in (
            lambda: to_unit_sphere(few),
            lambda: chamfer_l2(few, clouds()),
            lambda: chamfer_l1(clouds(), few),
            lambda: ball_query(clouds(), few, 0.1, 2),
            lambda: three_nearest(clouds(), few),
        ):
            with pytest.raises(ValueError, match=r"clouds of 0|and 0 points"):
                asked()
    else:
        near = three_nearest(clouds(), few)
        assert near.index.shape[-1] == min(points, 3) and finite(near.weights, *to_unit_sphere(few))
        assert finite(chamfer_l1(few, clouds()), chamfer_l2(clouds(), few))
        assert ball_query(clouds(), few, 0.1, 4).shape == (2, POINTS, 4)
        assert knn(few, few, points).shape == (2, points, points)


def test_a_batch_of_nothing_leaves_statistics_alone():
    assert backbone()(clouds()[:0]).tokens.shape == (0, 8, 24)
    single = create_backbone("vit_nano", **{**SIZES, "groups": 1, "group_size": 1})
    for network, points in ((backbone(), clouds()[:0]), (single, clouds()[:1])):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            network.train()(points)
        assert finite(*network.state_dict().values())


def test_large_coordinates():
    points, limit = clouds(), LARGEST / 8
    assert finite(*to_unit_sphere(points * limit)) and torch.allclose(
        to_unit_sphere(points * limit).points, to_unit_sphere(points).points, atol=1e-5
    )
    assert finite(chamfer_l1(points * limit, points), three_nearest(points * limit, points[:, :4]).weights)
    assert (farthest_point_sample(points * 2.0**50, 9) == farthest_point_sample(points, 9)).all()
    assert usable(np.array([[0, 0, LARGEST], [0, -2 * LARGEST, 0], [np.nan, 0, 0], [0, np.inf, 0]])).tolist() == [
        True, False, False, False,
    ]  # fmt: skip


# Clouds of users


@pytest.mark.parametrize("word", ["nan", "inf", "1e400"])
def test_text_clouds_name_the_line(tmp_path, word):
    path = tmp_path / "a.xyz"
    path.write_text(f"0 0 0\n1 {word} 2\n")
    with pytest.raises(DataError, match=rf"a\.xyz, line 2: {word} is not finite"):
        read_cloud(path)


def test_what_was_not_measured_is_left_out(tmp_path):
    good = cloud().astype(np.float64)
    bad = np.concatenate([[[np.nan, 0, 0], [0, np.inf, 0], [0, 0, 1e30], [1e300, 0, 0]], good])
    np.save(tmp_path / "a.npy", bad)
    encoder = Encoder(backbone(), "gravity", POINTS)
    for points in (bad, read_cloud(tmp_path / "a.npy")):
        np.testing.assert_array_equal(embed(points, encoder).tokens, embed(good, encoder).tokens)
    for points in (good * 1e30, good * 1e300, np.full((POINTS, 3), np.nan), good[:0]):
        with pytest.raises(DataError, match="has 0 finite points"):
            embed(points, encoder)
    for points, said in (
        (np.ones((POINTS, 3)), "in one place"),
        (good * 1e-40, "in one place"),
        (good[:5], "has 5 fin"),
    ):
        with pytest.raises(DataError, match=said):
            embed(points, encoder)
    assert np.isfinite(embed(np.repeat(good[:2], 32, 0), encoder).tokens).all()
    assert embed(good * 1e15, encoder).tokens == pytest.approx(embed(good, encoder).tokens, abs=1e-4)
    assert training_form(good[:3], None, "gravity", 10)[0].shape == (1, 10, 3)


# Labelled data


def packed(root, value):
    import h5py

    build_objects.write_hdf5_release(root)
    with h5py.File(root / "ply_data_train1.h5", "r+") as file:
        file["data"][2, 3, 1] = value


@pytest.mark.parametrize("value", [*NONE, 1e30])
def test_labelled_shapes_name_file_and_point(tmp_path, value):
    build_objects.write_shapenet55(tmp_path / "55")
    name = (tmp_path / "55" / "ShapeNet-55" / "train.txt").read_text().split()[0]
    path = tmp_path / "55" / "shapenet_pc" / name
    points = np.load(path)
    points[7, 0] = value
    np.save(path, points)
    with pytest.raises(DataError, match=rf"{name}: point 7 is not finite, or beyond 1e\+18"):
        prepare_shapes(tmp_path / "55", tmp_path / "store")
    packed(tmp_path / "h5", value)
    with pytest.raises(DataError, match=r"ply_data_train1\.h5, shape 2: point 3 is not finite, or beyond"):
        read_modelnet40(tmp_path / "h5", "train")
    build_objects.write_text_release(tmp_path / "text")
    path = sorted((tmp_path / "text").glob("chair/*.txt"))[0]
    lines = path.read_text().splitlines()
    lines[4] = f"{value},0,0,0,0,0"
    path.write_text("\n".join(lines))
    if not np.isfinite(value):
        with pytest.raises(DataError, match=rf"{path.name}, line 5: .* is not finite"):
            read_modelnet40(tmp_path / "text", "train")


TASK = Classification(points=48, group_count=8, group_size=8, hidden=16, test_sampling="random")
CONFIG = FinetuneConfig(steps=3, batch_size=4, warmup=1, checkpoint_every=1, log_every=1)


def changed(splits, change):
    def of(split):
        if isinstance(split, list):
            return [replace(room, points=change(room.points)) for room in split]
        return replace(split, points=change(split.points))

    return Splits(of(splits.train), of(splits.validation), of(splits.test))


def put(value):
    def change(points):
        points = points.copy()
        points.reshape(-1, 3)[3, 1] = value
        return points

    return change


@pytest.mark.parametrize("value", [*NONE, 1e30])
def test_fine_tuning_refuses_samples_that_are_not_numbers(tmp_path, value):
    for name, splits, where in (
        ("modelnet40", object_splits(), "object shape_0, point 3"),
        ("shapenetpart", shape_splits(), r"shape 0 \(shape_0\), point 3"),
        ("scannet-segmentation", room_splits(), "scene room0, vertex 3"),
        ("scannet-detection", room_splits(), "scene room0, vertex 3"),
    ):
        recipe = shrunk(RECIPES[name]())
        with pytest.raises(
            DataError, match=rf"train split, {where}: coordinates that are not finite numbers, or beyond"
        ):
            finetune(recipe.task, recipe.backbone.build(), changed(splits, put(value)), CONFIG, 0, tmp_path / name)
        assert not (tmp_path / name / "model.safetensors").exists()


@pytest.mark.parametrize("kind", ["equal", "two places", "denormal"])
def test_fine_tuning_on_clouds_without_extent_stays_finite(tmp_path, kind):
    def flat(points):
        if kind == "denormal":
            return points * np.float32(1e-42)
        rows = np.arange(points.shape[-2]) % (1 if kind == "equal" else 2)
        return points[..., rows, :]

    result = finetune(TASK, backbone(), changed(object_splits(), flat), CONFIG, 0, tmp_path)
    weights, _ = load_tensors(tmp_path / "model.safetensors")
    assert 0 <= result["value"] <= 1 and finite(*(value.float() for value in weights.values()))


def test_a_mesh_of_which_one_point_is_wanted(tmp_path):
    build_objects.write_meshes(tmp_path)
    assert not read_modelnet40(tmp_path, "train", 1).points.any()


# Recordings


def sens(folder, frames, place=None, value=0.0):
    """A recording, with a number of its header's matrices (0 to 63) or its units a metre (70) replaced."""
    root = build_scannet.write_data_set(folder, ["scene0000_00"], frames=1)
    path = build_sens.write(root / "scans" / "scene0000_00" / "scene0000_00.sens", frames)
    if place is not None:
        content, at = bytearray(path.read_bytes()), 12 + len(b"StructureSensor") + 4 * place
        content[at : at + 4] = struct.pack("<f", value)
        path.write_bytes(bytes(content))
    return root


def frame(pose=None, depth=None):
    pose, depth = build_sens.pose(0) if pose is None else pose, build_sens.depth(0) if depth is None else depth
    return build_sens.frame_bytes(pose.astype(np.float32), build_sens.jpeg(0), zlib.compress(depth.tobytes()))


def shifted(value):
    pose = build_sens.pose(0)
    pose[0, 3] = value
    return pose


def prepared(root, out, **options):
    return prepare_frames(root, out, factory(), every=1, points=64, workers=1, **options)


FULL = np.full_like(build_sens.depth(0), 65535)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (frame(shifted(np.nan)), "the pose is not finite"),
        (frame(shifted(-np.inf)), "the pose is not finite"),
        (frame(np.zeros((4, 4))), "the pose is not a turn and a shift"),
        (frame(build_sens.pose(0) * 3), "the pose is not a turn and a shift"),
        (frame(shifted(1e30)), "the pose is not a turn and a shift"),
        (frame(depth=0 * FULL), "the depth is almost empty"),
    ],
)
def test_frames_without_pose_or_depth_are_skipped_with_a_reason(tmp_path, bad, why):
    store = prepared(sens(tmp_path / "data", [build_sens.good_frame(1), bad, frame(depth=FULL)]), tmp_path / "store")
    assert [(entry["frame"], why in entry["why"]) for entry in store.manifest["skipped"]] == [(1, True)]
    for turn in ("camera", "gravity"):
        batch = FrameLoader(store, 2, 32, 0, frame=turn).batch(np.arange(2), 0)
        lengths = batch.points.norm(dim=-1).amax(1)
        assert ((lengths > 0.5) & (lengths < 1.001)).all()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, np.nan, "a camera's numbers are not finite"),
        (16, np.inf, "a camera's numbers are not finite"),
        (48, np.nan, "a camera's numbers are not finite"),
        (48, 0.0, "the depth camera's place is impossible"),
        (34, np.nan, "the depth camera's focal lengths are impossible"),
        (32, 0.0, "the depth camera's focal lengths are impossible"),
        (32, 1e-40, r"frame 0: its points are all in one place, not finite, or beyond"),
        (70, 1e-40, r"frame 0: its points are all in one place, not finite, or beyond"),
        (70, 1e38, r"frame 0: its points are all in one place, not finite, or beyond"),
        (70, np.nan, "depth shift nan is impossible"),
    ],
)
def test_cameras_that_cannot_be_are_refused_with_their_file(tmp_path, place, value, said):
    with pytest.raises(DataError, match=rf"scene0000_00\.sens, .*{said}"):
        prepared(sens(tmp_path / "data", [build_sens.good_frame(1)], place, value), tmp_path / "store")
    assert not (tmp_path / "store" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth_scale", float("nan")),
        ("depth_scale", 1e-320),
        ("depth_scale", 1e308),
        ("depth_scale", 10**400),
        ("depth_intrinsics", {"fx": 1e300, "fy": 34, "cx": 20.5, "cy": 15.5}),
        ("depth_intrinsics", {"fx": 33, "fy": 34, "cx": float("inf"), "cy": 15.5}),
        ("colour_to_depth", [[1, 0, 0, float("nan")], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        ("colour_to_depth", [[1, 0, 0, 1e39], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)
def test_described_cameras_that_cannot_be(tmp_path, field, value):
    build_rgbd.write_plain(tmp_path / "data" / "room", **{field: value})
    with pytest.raises(DataError) as caught:
        prepared(tmp_path / "data", tmp_path / "store")
    assert field in str(caught.value) or "its points are all in one place, not finite" in str(caught.value)


def test_points_of_a_frame_in_steps(tmp_path):
    for points in (cloud() * 0 + 5, cloud()[:1], cloud() * 1e-40, cloud() * 1e17, cloud() * [1, 0, 0]):
        row = quantise(points.astype(np.float32))
        assert all(np.isfinite(value).all() for value in row.values()) and row["scale"] > 0 and (row["step"] > 0).all()


# Teachers and targets


class NoNumber(MeanColourTeacher):
    """Of the third image it is asked about it says NaN."""

    bad = float("nan")

    def targets(self, images):
        found = super().targets(images)
        found[2:3, 1, 1] = self.bad
        return found


class TooLarge(NoNumber):
    bad = 1e6


@pytest.mark.parametrize("teacher", [NoNumber, TooLarge])
def test_targets_that_are_no_numbers_are_refused_and_not_kept(tmp_path, teacher):
    root = sens(tmp_path / "data", [build_sens.good_frame(number) for number in range(6)])
    with pytest.raises(
        DataError, match=r"scene0000_00 frame 2: teacher mean-colour-1 gave targets that are not finite"
    ):
        prepare_frames(root, tmp_path / "store", teacher, every=1, points=64, workers=1)
    assert not [*(tmp_path / "store").rglob("*.npy"), *(tmp_path / "store").glob("targets/*/parts/*")]


def test_a_class_of_the_users_whose_targets_are_no_numbers(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nclass Mine:\n    identity, weights_hash, target_shape = 'mine', 'ab', (1, 2)\n"
        "    def targets(self, images):\n        found = np.zeros((len(images), 1, 2), np.float32)\n"
        "        found[1:2] = np.nan\n        return found\n"
    )
    root = sens(tmp_path / "data", [build_sens.good_frame(number) for number in range(3)])
    said = r"mine\.py: Mine: targets returned numbers that are not finite, first of image 2 of 3 .*frame 0 to"
    with pytest.raises(DataError, match=said):
        prepare_frames(
            root, tmp_path / "store", lambda: load_user_teacher(str(file), "Mine"), every=1, points=64, workers=1
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    return prepared(
        sens(folder / "data", [build_sens.good_frame(number) for number in range(6)]), folder / "store"
    ).path


def damaged(store, tmp_path, name, value, rows=slice(2, 3)):
    """A copy of a store with numbers of some frames replaced."""
    shutil.copytree(store, tmp_path / "damaged")
    (path,) = (tmp_path / "damaged").rglob(f"{name}.npy")
    array = np.lib.format.open_memmap(path, "r+")
    array[rows] = value
    array.flush()
    return tmp_path / "damaged"


def recipe(standardise="scalar", **engine):
    small = replace(distillation(), backbone=backbone().config)
    return replace(
        small,
        method=replace(small.method, standardise=standardise),
        engine=replace(small.engine, epochs=1, batch_size=2, warmup_epochs=0, validate_every=1, **engine),
        frames=replace(small.frames, points=64),
    )


@pytest.mark.parametrize("value", NONE)
def test_a_store_with_targets_that_are_no_numbers(store, tmp_path, value):
    bad = damaged(store, tmp_path, "targets", value)
    with pytest.raises(DataError, match=r"targets\.npy, frame 2 \(scene0000_00 2\): its targets are not finite"):
        run_pretrain(recipe(), bad, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match=r"targets\.npy, frame 2 "):  # also of what is only validated on
        run_pretrain(recipe(), store, bad, tmp_path / "run")
    assert not (tmp_path / "run" / "backbone.safetensors").exists()


@pytest.mark.parametrize("name", ["lower", "step", "centre", "scale", "poses", "counts"])
def test_a_store_with_frames_that_are_no_numbers(store, tmp_path, name):
    opened = FrameStore.open(damaged(store, tmp_path, name, 0 if name == "counts" else np.nan))
    loader = FrameLoader(opened, 2, 32, 0, frame="gravity")
    assert finite(loader.batch(np.array([0, 1]), 0).points)
    with pytest.raises(DataError, match=r"damaged, frame 2: a frame without points, or with coordinates that are not"):
        loader.batch(np.array([1, 2]), 0)
    with pytest.raises(DataError, match="frame 2"):
        list(loader.epoch(0))


def test_a_target_that_never_varies_and_one_of_many_numbers(store, tmp_path):
    flat = damaged(store, tmp_path, "targets", 0.5, slice(None))
    for standardise in ("none", "scalar", "dimension"):
        with pytest.raises(DataError, match="targets are the same in every frame: there is nothing to learn"):
            run_pretrain(recipe(standardise), flat, None, tmp_path / "flat")
        assert not (tmp_path / "flat").exists()
    opened = FrameStore.open(store)
    _, std = opened.target_statistics()
    one = damaged(store, tmp_path / "one", "targets", opened.targets[0, 0, 0], (slice(None), 0, 0))
    _, constant = FrameStore.open(one).target_statistics()
    assert constant[0, 0] == 0 and (constant.reshape(-1)[1:] == std.reshape(-1)[1:]).all()
    for standardise in ("none", "scalar", "dimension"):
        result = run_pretrain(recipe(standardise), one, None, tmp_path / standardise)
        tensors, _ = load_tensors(tmp_path / standardise / "method.safetensors")
        assert finite(*(value.float() for value in tensors.values()))
        assert np.isfinite([row["loss"] for row in result["curve"]]).all() and np.isfinite(result["seen"]["r2"])


def test_no_figure_where_held_out_targets_do_not_vary(store, tmp_path):
    flat = damaged(store, tmp_path, "targets", 0.5, slice(None))
    result = run_pretrain(recipe(), store, flat, tmp_path / "run")
    assert result["heldout"] == {} and all("heldout_r2" not in row for row in result["curve"])
    text = (tmp_path / "run" / "result.json").read_text() + (tmp_path / "run" / "log.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    json.loads((tmp_path / "run" / "result.json").read_text(), parse_constant=pytest.fail)


# Training that diverges


class Frames:
    """Batches of made-up frames; two an epoch."""

    def __len__(self):
        return 2

    def epoch(self, number, start_step=0):
        for step in range(start_step, 2):
            points = torch.from_numpy(np.stack([cloud(seed=seed) for seed in range(4)]))
            yield FrameBatch(points, points.std(1)[:, None].expand(-1, 2, -1).contiguous(), torch.arange(4) + 4 * step)


class GradientLost(torch.autograd.Function):
    """As it is on the way there; on the way back a number that is none."""

    @staticmethod
    def forward(ctx, x, value):
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.value, None


class Lost(Distill):
    """From the fourth step on, its loss or only its gradient is no number."""

    where, value, calls = "loss", float("nan"), 0

    def loss(self, prefix, batch):
        self.calls += 1
        if self.calls < 4:
            return super().loss(prefix, batch)
        if self.where == "gradient":
            return super().loss(GradientLost.apply(prefix, self.value), batch)
        return super().loss(prefix, batch) * self.value


def lost(where="loss", value=float("nan")):
    torch.manual_seed(0)
    settings = DistillConfig(ConceptConfig(count=4, heads=2, attend="block_output"), ProjectorConfig("flat", 16))
    method = Lost(settings, backbone(), torch.ones(2, 3), torch.full((2, 3), 0.5))
    method.where, method.value = where, value
    return method


ENGINE = PretrainConfig(epochs=4, batch_size=4, warmup_epochs=0, checkpoint_every=1, validate_every=8)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_pre_training_names_the_step_and_keeps_good_weights(tmp_path, where, value, clip):
    method = lost(where, value)
    with pytest.raises(
        TrainingDiverged, match=r"step 4: loss .*, gradient norm (nan|inf); the last good checkpoint is"
    ):
        pretrain(method, Frames(), Frames(), replace(ENGINE, clip=clip), tmp_path, "one")
    tensors, progress = load_tensors(tmp_path / "state.safetensors")
    assert progress["step"] == "3" and finite(*(value.float() for value in tensors.values()))
    assert finite(*method.parameters())  # the step that is none was not taken


@dataclass(frozen=True)
class LosingTask(Classification):
    where: str = "loss"
    value: float = float("nan")

    def loss(self, model, batch):
        model.calls = getattr(model, "calls", 0) + 1
        losses = super().loss(model, batch)
        if model.calls < 3:
            return losses
        total = GradientLost.apply(losses.total, self.value) if self.where == "gradient" else losses.total * self.value
        return Losses(total, losses.parts)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_fine_tuning_names_the_step_and_keeps_good_weights(tmp_path, where, value):
    task = LosingTask(points=48, group_count=8, group_size=8, hidden=16, where=where, value=value)
    with pytest.raises(
        TrainingDiverged, match=r"step 3: loss .*, gradient norm (nan|inf); the last checkpoint is kept"
    ):
        finetune(task, backbone(), object_splits(), CONFIG, 0, tmp_path)
    tensors, progress = load_tensors(tmp_path / "checkpoint.safetensors")
    assert progress["step"] == "2" and finite(*(value.float() for value in tensors.values()))
    assert not (tmp_path / "model.safetensors").exists() and not (tmp_path / "result.json").exists()


def test_weights_that_a_finite_step_breaks_are_not_written(tmp_path):
    config = replace(CONFIG, steps=1, warmup=0, lr=float("inf"), checkpoint_every=0)
    with pytest.raises(TrainingDiverged, match=r"weights are not finite \(.*\); no checkpoint yet"):
        finetune(TASK, backbone(), object_splits(), config, 0, tmp_path / "task")
    assert not (tmp_path / "task" / "model.safetensors").exists()
    with pytest.raises(TrainingDiverged, match=r"weights are not finite \(.*\); no checkpoint yet"):
        pretrain(lost(), Frames(), Frames(), replace(ENGINE, lr=float("inf")), tmp_path, "")
    assert not (tmp_path / "state.safetensors").exists()


def test_checkpoints_keep_what_is_good(tmp_path):
    network = backbone()
    optimizer = adamw(network, 1e-3, 0.0)
    save_checkpoint(tmp_path / "a.safetensors", network, optimizer, "one", step="1")
    before = (tmp_path / "a.safetensors").read_bytes()
    network.patch_embed.norm1.running_var[0] = float("inf")
    with pytest.raises(TrainingDiverged, match=r"running_var\); the last good checkpoint is kept"):
        save_checkpoint(tmp_path / "a.safetensors", network, optimizer, "one", step="2")
    assert (tmp_path / "a.safetensors").read_bytes() == before


@pytest.mark.parametrize("value", NONE)
def test_weights_that_are_no_numbers_are_not_read(tmp_path, value):
    save_backbone(backbone(), tmp_path, {})
    path = tmp_path / "backbone.safetensors"
    tensors, header = load_tensors(path)
    tensors["norm.weight"][3] = value
    save_tensors(path, tensors, header)
    for read in (load_backbone, lambda path: load_backbone_weights(backbone(), path)):
        with pytest.raises(
            CheckpointError, match=r"backbone\.safetensors: holds weights that are NaN or infinite \(norm"
        ):
            read(path)
    with pytest.raises(CheckpointError):
        read_peer("point-mae", {"base_model": {"MAE_encoder.norm.weight": torch.full((24,), value)}})


def test_prepared_shapes_without_extent_or_of_few_points(tmp_path):
    build_objects.write_shapenet55(tmp_path / "55")
    for name in (tmp_path / "55" / "ShapeNet-55" / "train.txt").read_text().split():
        np.save(tmp_path / "55" / "shapenet_pc" / name, np.full((3, 3), 0.2, np.float32))
    store = prepare_shapes(tmp_path / "55", tmp_path / "store")
    batch = FrameLoader(store, len(store), 16, 0, frame="gravity").batch(np.arange(len(store)), 0)
    assert batch.points.shape == (len(store), 16, 3) and finite(batch.points)
    name = (tmp_path / "55" / "ShapeNet-55" / "test.txt").read_text().split()[0]
    np.save(tmp_path / "55" / "shapenet_pc" / name, np.zeros((0, 3), np.float32))
    with pytest.raises(DataError, match=rf"{name}: holds 0 points where 1 belong"):
        prepare_shapes(tmp_path / "55", tmp_path / "other", "test")


def test_labelled_stores_of_bad_numbers_are_told_by_the_doctor(tmp_path: Path):
    prepare_labels(build_labelled.write_modelnet(tmp_path / "raw"), tmp_path / "store", workers=1)
    path = tmp_path / "store" / "train.npz"
    arrays = dict(np.load(path, allow_pickle=False))
    arrays["points"][0, 2] = 1e25
    np.savez(path, **arrays)
    assert any("coordinates that are not finite numbers, or beyond" in line for line in examine(tmp_path / "store"))
