import numpy as np
import pytest

from pointdistill.seeding import numpy_generator
from pointdistill.world.cameras import default_rig, walk
from pointdistill.world.captions import LEAST_SHARE, caption, mentioned_classes
from pointdistill.world.classes import CLASSES, NYU40
from pointdistill.world.palette import COLOURS
from pointdistill.world.render import record
from pointdistill.world.rooms import KINDS, make_room


@pytest.fixture(scope="module")
def frames():
    rig = default_rig((80, 60), (40, 30))
    found = []
    for seed in range(400, 418):
        room = make_room(seed)
        for i, pose in enumerate(walk(room, 0, 6)):
            found.append((room, record(room, rig, pose, numpy_generator(seed, i))))
    return found


def test_captions_are_short_and_plain(frames):
    words = set()
    for room, frame in frames:
        assert frame.caption == frame.caption.lower() and room.kind in frame.caption
        assert len(frame.caption.split()) <= 24
        words |= set(frame.caption.replace(",", "").split())
    assert len(words) < 200 and words & set(COLOURS)
    text = " ".join(frame.caption for _, frame in frames)
    assert all(relation in text for relation in ("next to", "in front of", "on the wall"))


def test_mentioned_classes_are_visible(frames):
    for room, frame in frames:
        shares = np.bincount(frame.instance.ravel(), minlength=len(room.instances) + 1) / frame.instance.size
        visible = {t.class_name for t in room.instances if shares[t.id] >= LEAST_SHARE}
        assert mentioned_classes(frame.caption) <= visible, frame.caption
        ids = {NYU40[name] for name in mentioned_classes(frame.caption)}
        assert ids <= set(frame.nyu40.ravel().tolist())


def test_most_prominent_classes_are_mentioned(frames):
    named, prominent = 0, 0
    for _, frame in frames:
        counts = np.bincount(frame.nyu40.ravel(), minlength=41)
        largest = [name for name in CLASSES if counts[NYU40[name]] / frame.nyu40.size > 0.03]
        largest = sorted(largest, key=lambda name: -counts[NYU40[name]])[:4]
        prominent += len(largest)
        named += len(mentioned_classes(frame.caption) & set(largest))
    assert named / prominent > 0.9


def test_colours_in_captions_are_the_things_own(frames):
    for room, frame in frames:
        words = frame.caption.replace(",", "").split()
        for colour in set(words) & set(COLOURS):
            assert colour in {thing.colour_name for thing in room.instances}, frame.caption


def test_nothing_to_see():
    room = make_room(0)
    empty = np.zeros((6, 8))
    text = caption(room, empty.astype(np.uint8), empty.astype(np.uint16), numpy_generator(0))
    assert mentioned_classes(text) == set() and room.kind in text


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("a white shower curtain in a bathroom", {"shower curtain"}),
        ("two curtains and a shower curtain", {"curtain", "shower curtain"}),
        ("two bookshelves next to a bed in a bedroom", {"bookshelf", "bed"}),
        ("three chairs at a desk, a garbage bin", {"chair", "desk", "garbage bin"}),
        ("a bedroom", set()),
    ],
)
def test_parsing(text, classes):
    assert mentioned_classes(text) == classes


def test_grammar_is_english(frames):
    for _, frame in frames:
        padded = f" {frame.caption} "
        assert " a office" not in padded and " a orange" not in padded and "  " not in frame.caption
        assert "there is two" not in padded and all(padded.count(kind) <= 1 for kind in KINDS)
