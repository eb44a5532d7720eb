import numpy as np
import torch

from pointdistill.geometry import drop_cuboid, random_cuboid


def clouds(batch=6, points=90):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, points, 3, generator=generator) * torch.tensor([1.0, 2.0, 0.5]), generator


def test_random_cuboid_is_the_first_that_will_do():
    points, generator = clouds()
    numbers = torch.rand(6, 5, 4, generator=generator)
    found = random_cuboid(points, numbers, (0.3, 1.0), 0.9, 0.4).numpy()
    for cloud, tries, kept in zip(points.numpy(), numbers.numpy(), found, strict=True):
        extent, most, chosen = np.ptp(cloud, axis=0), 0, None
        for numbers_of_try in tries:
            share = 0.3 + np.float32(0.7) * numbers_of_try[:3]
            centre = cloud[int(numbers_of_try[3] * 90)]
            inside = (np.abs(cloud - centre) <= extent * share / 2).all(1)
            ratios = [min(share[a], share[b]) / max(share[a], share[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
            if max(ratios) < 0.9:
                continue
            if inside.sum() >= 0.4 * 90:
                chosen = inside
                break
            if inside.sum() > most:
                most, chosen = inside.sum(), inside
        if chosen is not None:
            assert np.array_equal(kept, chosen)
    assert len({kept.sum() for kept in found}) > 3


def test_drop_cuboid_leaves_out_what_surrounds_a_point_that_was_kept():
    points, generator = clouds()
    kept, number = torch.rand(6, 90, generator=generator) < 0.6, torch.rand(6, generator=generator)
    found = drop_cuboid(points, kept, number, 0.5)
    for cloud, there, one, left in zip(points.numpy(), kept.numpy(), number.numpy(), found.numpy(), strict=True):
        own = cloud[there]
        outside = (np.abs(own - own[int(one * len(own))]) >= 0.25 * np.ptp(own, axis=0)).any(1)
        assert 0 < outside.sum() < len(own)
        assert np.array_equal(left[there], outside) and not left[~there].any()
    assert torch.equal(drop_cuboid(points, kept, number, 0.0), kept)
