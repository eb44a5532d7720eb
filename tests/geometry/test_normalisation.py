import torch

from pointdistill.geometry import to_unit_sphere


def test_clouds_fill_the_unit_sphere_and_find_back():
    points = torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(0)) * 4 + 7
    unit = to_unit_sphere(points)
    assert torch.allclose(unit.points.mean(1), torch.zeros(3, 3), atol=1e-6)
    assert torch.allclose(unit.points.norm(dim=-1).amax(1), torch.ones(3))
    assert torch.allclose(unit.points * unit.radius + unit.centre, points, atol=1e-5)
    assert torch.allclose(to_unit_sphere(2 * points - 3).points, unit.points, atol=1e-5)


def test_a_single_place_stays_finite():
    assert to_unit_sphere(torch.full((1, 4, 3), 2.0)).points.abs().max() == 0
