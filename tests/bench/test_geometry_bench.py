"""What `bench geometry` times and says; never whether this machine is fast."""

from unittest.mock import MagicMock

import torch

from pointdistill.bench import geometry as bench
from pointdistill.bench import peers
from pointdistill.bench.figure import Limit
from pointdistill.bench.timing import Seconds, in_turns, on_one_core
from pointdistill.geometry import (
    ball_query,
    chamfer_l2,
    farthest_point_sample,
    gather,
    giou_3d,
    interpolate,
    knn,
    nms_3d,
    three_nearest,
)

CHAMFER, BOXES = "torch_pointcloud.losses.chamfer", "torch_pointcloud.ops.box3d"


def test_the_room_is_a_room():
    cloud = bench.room(5000)
    assert cloud.shape == (1, 5000, 3) and torch.equal(cloud, bench.room(5000))
    low, high = cloud[0].amin(0), cloud[0].amax(0)
    assert low.min() >= 0 and bool((high >= torch.tensor([5.9, 4.9, 1.9])).all())
    on_floor = (cloud[0, :, 2] == 0).float().mean()
    assert 0.1 < on_floor < 0.6


def test_the_plain_ways_find_the_same():
    cloud = bench.room(600).double()
    chosen = farthest_point_sample(cloud, 40)
    assert torch.equal(bench.plain_farthest_points(cloud[0], 40), chosen[0])
    queries = gather(cloud, chosen)
    found = ball_query(queries, cloud, 0.61, 16)
    assert torch.equal(bench.plain_balls(queries, cloud, 0.61, 16).long(), found)
    assert len(found[0, 0].unique()) > 1
    features = torch.randn(1, 40, 5, dtype=torch.float64)
    near = three_nearest(cloud, queries)
    same = interpolate(features, near.index, near.weights)
    torch.testing.assert_close(bench.plain_interpolation(cloud, queries, features), same)
    a, b = torch.randn(2, 3, 50, 3, dtype=torch.float64)
    torch.testing.assert_close(bench.plain_chamfer(a, b), chamfer_l2(a, b))
    boxes, true = bench.made_up_boxes(2, 60).double(), bench.made_up_boxes(2, 7).double()
    torch.testing.assert_close(bench.plain_giou(boxes, true), giou_3d(boxes, true))
    scores = torch.rand(60, generator=torch.Generator().manual_seed(0))
    kept = nms_3d(boxes[0], scores)
    assert torch.equal(bench.plain_nms(boxes[0], scores), kept) and 5 < len(kept) < 60


def test_figures_of_every_search(monkeypatch):
    monkeypatch.setattr(bench, "FPS_LIMITS", {(300, 8): 0.7e-3, (500, 16): 1e-12})
    monkeypatch.setattr(bench, "KNN", (400, 16, 8))
    monkeypatch.setattr(bench, "BALL", (400, 16, 8))
    monkeypatch.setattr(bench, "INTERPOLATION", (300, 16, 4))
    monkeypatch.setattr(bench, "CHAMFER", ((3, 8),))
    monkeypatch.setattr(bench, "BOXES", (2, 12, 3))
    installed = {name: MagicMock() for name in ("fpsample", "torch_quickfps", "open3d", CHAMFER, BOXES)}
    monkeypatch.setattr(peers, "_installed", installed.get)
    rows = bench.figures(rounds=1)
    assert [row.what for row in rows] == [
        "farthest points, 8 of 300",
        "farthest points, 16 of 500",
        "8 nearest of 400 to 16",
        "balls of 8 of 400 around 16, radius 0.2",
        "4 features of 16 centres to 300 points and back",
        "Chamfer distance of 3 pairs of 8 points and back",
        "GIoU of 12 with 3 boxes and back, 2 scenes",
        "suppression among 12 boxes",
    ]
    assert all(row.ours > 0 and row.note.startswith("by the clock ") for row in rows)
    assert [list(row.others) for row in rows] == [
        ["plain torch", "fpsample", "torch_quickfps", "open3d"],
        ["plain torch", "fpsample", "torch_quickfps", "open3d"],
        ["all distances, topk", "scipy", "open3d"],
        ["all distances, topk", "scipy, all within", "open3d, the nearest"],
        ["plain torch"],
        ["plain torch", "torch_pointcloud"],
        ["plain torch"],
        ["plain torch", "torch_pointcloud"],
    ]
    assert rows[1].limit == Limit("1e-09 ms or less", False)
    for call in (installed["fpsample"].fps_sampling, installed["torch_quickfps"].sample_idx):
        assert {(each.args[0].shape[-2], each.args[1]) for each in call.call_args_list} == {(300, 8), (500, 16)}
    assert installed[CHAMFER].chamfer_distance.called and installed[BOXES].nms3d.called


def test_scipys_answers_are_ours():
    cloud = bench.room(600)
    queries = gather(cloud, farthest_point_sample(cloud, 40))
    distances, index = peers.nearest(queries, cloud, 8)["scipy"]()
    assert [set(row) for row in index.tolist()] == [set(row) for row in knn(queries, cloud, 8)[0].tolist()]
    assert (distances[:, 0] == 0).all()
    within = peers.balls(queries, cloud, 0.6, 600)["scipy, all within"]()
    assert [set(row) for row in within] == [set(row) for row in ball_query(queries, cloud, 0.6, 600)[0].tolist()]


def test_who_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(peers, "_installed", lambda name: None)
    cloud = bench.room(50)
    assert peers.farthest_points(cloud, 3) == {} == peers.chamfer(cloud, cloud)
    assert peers.suppression(cloud[0].repeat(1, 2), cloud[0, :, 0]) == {}
    assert list(peers.nearest(cloud, cloud, 3)) == ["scipy"]


def test_the_limits():
    seconds = {bench.OURS: Seconds(elapsed=0.009, own=0.003), bench.DISTANCES: Seconds(0.001, 0.004)}
    row = bench._figure("search", seconds, bench.DISTANCES)
    assert (row.ours, row.others, row.note) == (3, {bench.DISTANCES: 4}, "by the clock 9.00")
    assert row.limit == Limit("all distances, topk or less", True)
    assert bench._figure("search", seconds, 0.003).limit.held
    assert not bench._figure("search", seconds, 0.0029).limit.held


def test_turns_and_one_core():
    calls = []
    timed = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3 and set(timed) == {"a", "b"}
    assert on_one_core(lambda: "done") == "done"
