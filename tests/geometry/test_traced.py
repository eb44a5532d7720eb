"""What `torch.export` records of searches among points, and what onnxruntime makes of it, chooses the same points."""

import numpy as np
import pytest
import torch
from torch import nn

from pointdistill.geometry import ball_query, farthest_point_sample, knn, three_nearest, to_unit_sphere, traced
from pointdistill.geometry.neighbours import knn_features

BATCH, POINTS, QUERIES = 2, 60, 24


class Searches(nn.Module):
    """Each search, on clouds as they are and in the unit sphere."""

    def forward(self, points):
        unit = to_unit_sphere(points).points
        chosen = farthest_point_sample(unit, QUERIES)
        queries = unit[:, :QUERIES] + 0.125
        return (
            unit,
            chosen,
            farthest_point_sample(points, 7, start=3, skip_near_origin=True),
            knn(queries, unit, 8),
            knn(queries, unit, 8, by_index=True),
            ball_query(queries, points, 0.75, 9),
            ball_query(queries, points, 0.2, POINTS + 5),
            three_nearest(unit, unit[:, :9]).weights,  # of points on centres too
            knn_features(torch.cat([points, points.square()], -1), 5),
        )


def clouds() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    few = torch.rand(BATCH, 10, 3, generator=generator)
    grid = torch.stack(torch.meshgrid(*(torch.arange(4.0),) * 3, indexing="ij"), -1).view(1, 64, 3)[:, :POINTS]
    return {
        "random": torch.rand(BATCH, POINTS, 3, generator=generator) * 2 + torch.tensor([50.0, -3.0, 0.0]),
        "ten distinct points": few.repeat(1, 6, 1),
        "a lattice": (grid / 4).expand(BATCH, -1, -1).contiguous(),
        "all in one place": torch.full((BATCH, POINTS, 3), 0.75),
    }


@pytest.mark.parametrize("name", clouds())
def test_the_forms_that_are_recorded_choose_the_same_points(monkeypatch, name):
    ours = [value.numpy() for value in Searches()(clouds()[name])]
    monkeypatch.setattr(traced, "exporting", lambda: True)
    monkeypatch.setattr(traced, "_ELEMENTS", 5 * BATCH * POINTS)  # five of 24 rows at a time: the last part is not full
    check_same([value.numpy() for value in Searches()(clouds()[name])], ours, clouds()[name].numpy(), name)


@pytest.fixture(scope="module")
def recorded():
    """The recorded program, and a session of its ONNX form."""
    onnxruntime = pytest.importorskip("onnxruntime")
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(traced, "_ELEMENTS", 5 * BATCH * POINTS)
        program = torch.export.export(Searches().eval(), (clouds()["random"],), strict=False)
    from pointdistill.export.onnx_file import translate

    content = translate(program, ["points"], [str(number) for number in range(9)]).SerializeToString()
    return program.module(), onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.long
@pytest.mark.parametrize("name", clouds())
@pytest.mark.parametrize("form", ["program", "onnxruntime"])
def test_recorded_they_choose_the_same_points(recorded, name, form):
    program, session = recorded
    points = clouds()[name]
    if form == "program":
        found = [value.numpy() for value in program(points)]
    else:
        found = session.run(None, {"points": points.numpy()})
    check_same(found, [value.numpy() for value in Searches()(points)], points.numpy(), name)


def check_same(found: list[np.ndarray], ours: list[np.ndarray], points: np.ndarray, name: str) -> None:
    unit, chosen, skipping, near, by_index, wide, narrow, weights, similar = range(9)
    for exact in (unit, chosen, skipping, by_index, wide, narrow):
        np.testing.assert_array_equal(found[exact], ours[exact])
    np.testing.assert_allclose(found[weights], ours[weights], rtol=1e-5, atol=1e-6)
    queries = ours[unit][:, :QUERIES] + np.float32(0.125)
    features = np.concatenate([points, points**2], -1)
    # Equally near points may come in any order: what counts is how near they are.
    for index, at, among in ((near, queries, ours[unit]), (similar, features, features)):
        distances = [
            np.linalg.norm(at[:, :, None] - np.take_along_axis(among[:, None], each[index][..., None], 2), axis=-1)
            for each in (found, ours)
        ]
        np.testing.assert_allclose(*distances, atol=1e-2 if index == similar else 1e-6)
    if name == "random":
        np.testing.assert_array_equal(found[near], ours[near])
    assert found[chosen].dtype == np.int64 and found[wide].shape == (BATCH, QUERIES, 9)


def test_a_single_farthest_point_is_the_first():
    points = clouds()["random"]
    assert traced.farthest(points, 1, 4, None).tolist() == [[4], [4]]


def test_nothing_is_traced_in_ordinary_use(monkeypatch):
    def refuse(*_):
        raise AssertionError("the traced form was asked")

    for name in ("farthest", "nearest", "similar", "balls"):
        monkeypatch.setattr(traced, name, refuse)
    Searches()(clouds()["random"])
