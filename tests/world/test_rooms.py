from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from pointdistill.world.classes import CEILING, CLASSES, FLOOR, NYU40, WALL
from pointdistill.world.rooms import KINDS, make_room
from pointdistill.world.solids import Solids, contains, sample_surface


@pytest.fixture(scope="module")
def rooms():
    return [make_room(seed) for seed in range(40)]


def part_of(solids: Solids, keep: np.ndarray) -> Solids:
    return Solids(**{name: getattr(solids, name)[keep] for name in Solids.__dataclass_fields__})


def boxes_meet(a, b) -> bool:
    return bool((np.abs(a.centre - b.centre) < (a.size + b.size) / 2 - 1e-6).all())


def test_rooms_are_of_all_kinds_and_full_of_things(rooms):
    assert {room.kind for room in rooms} == set(KINDS)
    for room in rooms:
        assert 6 <= len(room.instances) <= 16
        assert (room.size[:2] >= 2.5).all() and (room.size[:2] <= 6.0).all() and 2.3 < room.size[2] < 3.0
        assert [thing.id for thing in room.instances] == list(range(1, len(room.instances) + 1))
        assert set(room.solids.instance) == set(range(len(room.instances) + 1))


def test_every_class_occurs(rooms):
    counts = Counter(thing.class_name for room in rooms for thing in room.instances)
    assert set(counts) == set(CLASSES)
    assert min(counts.values()) >= 3


def test_shell_bounds_the_room(rooms):
    room = rooms[0]
    shell = part_of(room.solids, room.solids.instance == 0)
    assert Counter(shell.nyu40.tolist()) == {WALL: 4, FLOOR: 1, CEILING: 1}
    inside = np.random.default_rng(0).uniform(-0.499, 0.499, (500, 3)) * room.size + [0, 0, room.size[2] / 2]
    assert not contains(shell, inside).any()
    beyond = np.array([[room.size[0] / 2 + 0.01, 0, 1], [0, -room.size[1] / 2 - 0.01, 1], [0, 0, -0.01]])
    assert contains(shell, beyond).any(1).all()


def test_instances_describe_their_solids(rooms):
    for room in rooms[:10]:
        for thing in room.instances:
            own = part_of(room.solids, room.solids.instance == thing.id)
            assert set(own.nyu40) == {thing.nyu40} == {NYU40[thing.class_name]}
            low, high = own.bounds()
            np.testing.assert_allclose(thing.centre, (low + high) / 2)
            np.testing.assert_allclose(thing.size, high - low)


def test_everything_lies_within_the_room(rooms):
    for room in rooms:
        for thing in room.instances:
            low, high = thing.centre - thing.size / 2, thing.centre + thing.size / 2
            assert (np.abs([low[:2], high[:2]]) <= room.size[:2] / 2 + 1e-6).all(), thing
            assert low[2] >= -1e-9 and high[2] <= room.size[2] + 1e-9, thing


def test_nothing_floats(rooms):
    """Everything stands on the floor, hangs on a wall or under the ceiling, or is a sink in or on something."""
    for room in rooms:
        for thing in room.instances:
            low, high = thing.centre - thing.size / 2, thing.centre + thing.size / 2
            wall = (np.minimum(room.size[:2] / 2 - high[:2], room.size[:2] / 2 + low[:2])).min()
            under = room.size[2] - high[2]
            assert low[2] < 1e-6 or wall < 0.03 or under < 0.03 or thing.class_name == "sink", thing


def test_no_interpenetration_of_boxes(rooms):
    """Axis-aligned boxes never meet but for sinks with what bears them and chairs, which stand at any angle."""
    for room in rooms:
        for a, b in combinations(room.instances, 2):
            if not {"sink", "chair"} & {a.class_name, b.class_name}:
                assert not boxes_meet(a, b), (room.seed, a, b)


def test_no_interpenetration_of_solids(rooms):
    """No surface point of one thing lies inside another one; chairs and sinks are held to it, too."""
    generator = np.random.default_rng(0)
    for room in rooms:
        for thing in room.instances:
            if thing.class_name not in ("chair", "sink"):
                continue
            own = part_of(room.solids, room.solids.instance == thing.id)
            rest = part_of(room.solids, (room.solids.instance != thing.id) & (room.solids.instance != 0))
            points, normals, _ = sample_surface(own, 400, generator)
            assert not contains(rest, points - 1e-3 * normals).any(), (room.seed, thing)


def test_sinks_lie_in_counters_and_on_cabinets(rooms):
    met = Counter()
    for room in rooms:
        for sink in (thing for thing in room.instances if thing.class_name == "sink"):
            near = [b.class_name for b in room.instances if b is not sink and boxes_meet(sink, b)]
            met.update(near or ["alone"])
    assert met["counter"] >= 3 and met["alone"] >= 3


def test_same_seed_same_room_and_other_seed_other_room():
    a, b, c = make_room(3), make_room(3), make_room(4)
    np.testing.assert_array_equal(a.solids.centre, b.solids.centre)
    np.testing.assert_array_equal(a.solids.colour, b.solids.colour)
    assert [thing.class_name for thing in a.instances] == [thing.class_name for thing in b.instances]
    assert not np.array_equal(a.size, c.size)


def test_kind_can_be_asked_for_and_has_its_furniture():
    wanted = {"bedroom": "bed", "living room": "sofa", "kitchen": "counter", "bathroom": "toilet", "office": "desk"}
    for kind in KINDS:
        for seed in range(3):
            room = make_room(seed, kind)
            assert room.kind == kind and wanted[kind] in {thing.class_name for thing in room.instances}
