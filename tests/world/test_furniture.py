import numpy as np
import pytest

from pointdistill.seeding import numpy_generator
from pointdistill.world.furniture import CLASSES, NYU40, PARTS, make_furniture
from pointdistill.world.palette import COLOURS
from pointdistill.world.solids import sample_surface

# Metres that no thing of the class may exceed: width, depth, height, lower and upper.
SIZES = {
    "cabinet": ((0.35, 0.25, 0.35), (1.9, 0.75, 2.3)),
    "bed": ((0.9, 1.9, 0.3), (2.1, 2.35, 1.4)),
    "chair": ((0.38, 0.38, 0.7), (0.95, 1.0, 1.2)),
    "sofa": ((1.1, 0.75, 0.6), (2.8, 1.8, 1.1)),
    "table": ((0.35, 0.34, 0.33), (1.9, 1.25, 0.8)),
    "door": ((0.8, 0.05, 1.9), (1.75, 0.25, 2.2)),
    "window": ((0.55, 0.05, 0.75), (1.9, 0.3, 1.5)),
    "bookshelf": ((0.55, 0.2, 0.7), (1.4, 0.4, 2.2)),
    "picture": ((0.3, 0.01, 0.25), (1.15, 0.08, 0.9)),
    "counter": ((1.2, 0.5, 0.8), (2.7, 0.75, 1.2)),
    "desk": ((1.0, 0.5, 0.68), (1.75, 0.85, 0.8)),
    "curtain": ((0.3, 0.03, 0.9), (1.2, 0.2, 2.35)),
    "refrigerator": ((0.45, 0.6, 0.8), (1.0, 0.95, 1.95)),
    "shower curtain": ((1.1, 0.03, 1.8), (1.8, 0.2, 2.35)),
    "toilet": ((0.34, 0.6, 0.6), (0.55, 0.85, 1.05)),
    "sink": ((0.4, 0.33, 0.15), (0.75, 0.65, 1.1)),
    "bathtub": ((1.35, 0.6, 0.45), (1.85, 0.95, 0.85)),
    "garbage bin": ((0.2, 0.14, 0.25), (0.42, 0.45, 0.8)),
}


def samples(name: str, count: int = 24):
    return [make_furniture(name, numpy_generator(seed, "test", name)) for seed in range(count)]


def test_classes_are_scannets():
    assert len(CLASSES) == 18 and set(PARTS) == set(CLASSES)
    assert sorted(NYU40.values()) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39]
    assert all(2 <= len(parts) <= 5 for parts in PARTS.values())


@pytest.mark.parametrize("name", CLASSES)
def test_things_of_a_class(name):
    things = samples(name)
    low, high = map(np.array, SIZES[name])
    for thing in things:
        assert thing.class_name == name and thing.colour_name in COLOURS
        assert (thing.size >= low).all() and (thing.size <= high).all(), thing.size
        bounds = thing.solids.bounds()
        np.testing.assert_allclose(bounds[1] - bounds[0], thing.size, atol=1e-9)
        np.testing.assert_allclose([*bounds.mean(0)[:2], bounds[0, 2]], 0, atol=1e-9)
        assert (thing.solids.nyu40 == NYU40[name]).all()
        assert thing.solids.part.min() >= 0 and thing.solids.part.max() < len(PARTS[name])
    assert len({tuple(thing.size) for thing in things}) == len(things), "proportions vary"
    assert len({thing.colour_name for thing in things}) >= 3, "colours vary"
    seen = {PARTS[name][part] for thing in things for part in thing.solids.part}
    assert seen == set(PARTS[name]), "every part occurs"


@pytest.mark.parametrize("name", CLASSES)
def test_surface_shows_several_parts(name):
    """Part segmentation needs at least two parts on (almost) every object."""
    several = 0
    for thing in samples(name, 6):
        owner = sample_surface(thing.solids, 512, np.random.default_rng(0))[2]
        several += len(set(thing.solids.part[owner])) >= 2
    assert several >= 5


def test_same_generator_same_thing_and_other_seed_other_thing():
    for name in CLASSES:
        a, b, c = (make_furniture(name, numpy_generator(seed)) for seed in (5, 5, 6))
        np.testing.assert_array_equal(a.solids.centre, b.solids.centre)
        assert a.colour_name == b.colour_name and not np.array_equal(a.size, c.size)


def test_no_part_floats():
    """The solids of a thing hang together: the boxes around them, a little larger, form one connected whole."""
    for name in CLASSES:
        for thing in samples(name, 8):
            extent = thing.solids.extents() + 0.012
            apart = np.abs(thing.solids.centre[:, None] - thing.solids.centre[None])
            touch = (apart <= extent[:, None] + extent[None]).all(-1)
            reached = touch[0]
            for _ in range(len(touch)):
                reached = touch[reached].any(0)
            assert reached.all(), (name, thing.solids.centre[~reached])
