"""The live viewer: what a browser is sent, through a connection of the tests' own, is what lies on disk."""

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import numpy as np
import pytest

import build_labelled
import task_samples
import tiny_run
from pointdistill import cli
from pointdistill.applications.clouds import frame_cloud
from pointdistill.errors import DataError, PointdistillError
from pointdistill.geometry.boxes import points_in_boxes
from pointdistill.prepare import prepare_frames
from pointdistill.report.examples import (
    AttentionExample,
    DetectionExample,
    PipelineExample,
    SamplingExample,
    SegmentationExample,
    save_examples,
)
from pointdistill.store import FrameStore
from pointdistill.teachers.small import load_small_teacher
from pointdistill.viewer import Gallery, Picture, open_gallery, pictures, serving
from pointdistill.viewer.sources import edges
from pointdistill.viewer.words import load_student


class Browser:
    """As a browser does, it keeps what the server says is there: scene nodes by name, controls by id."""

    def __init__(self, address):
        import viser
        from websockets.sync.client import connect

        socket = address.replace("http", "ws")
        self.connection = connect(socket, subprotocols=[f"viser-v{viser.__version__}"], max_size=None, compression=None)
        self.nodes, self.controls, self.changes = {}, {}, 0
        self.wait(lambda: "/points" in self.nodes)
        camera = {"wxyz": (1.0, 0.0, 0.0, 0.0), "position": (1.0, 1.0, 1.0), "fov": 1.0, "near": 0.01, "far": 100.0}
        camera |= {"image_height": 480, "image_width": 640, "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0)}
        self.send("ViewerCameraMessage", **camera)  # who has sent none is not listened to

    def send(self, kind, **content):
        import msgspec

        self.connection.send(msgspec.msgpack.encode({"type": kind, **content}))

    def wait(self, condition):
        while not condition():
            self._take(self.connection.recv(timeout=20))

    def settle(self, seconds=0.3):
        """Take what follows at once: what changes together may come in several messages."""
        with suppress(TimeoutError):
            while True:
                self._take(self.connection.recv(timeout=seconds))

    def _take(self, message):
        import msgspec
        import zstandard

        whole, packed = (int.from_bytes(message[at : at + 8], "little") for at in (0, 8))
        content = msgspec.msgpack.decode(zstandard.decompress(message[16 : 16 + packed], max_output_size=whole))
        at, arrays = 16 + packed, []
        for size in content["binaryBufferLengths"]:
            at += -at % 8
            arrays.append(message[at : at + size])
            at += size
        for one in content["messages"]:
            self._apply(_filled(one, arrays))

    def _apply(self, one):
        kind = one["type"]
        if kind == "RemoveSceneNodeMessage":
            self.changes += 1
            self.nodes.pop(one["name"], None)
        elif kind == "GuiRemoveMessage":
            self.controls.pop(one["uuid"], None)
        elif kind == "GuiUpdateMessage" and one["uuid"] in self.controls:
            self.controls[one["uuid"]] |= one["updates"]
        elif "props" in one and "name" in one:
            self.changes += 1
            self.nodes[one["name"]] = one["props"]
        elif "props" in one and "uuid" in one:
            self.controls[one["uuid"]] = one["props"] | {"value": one.get("value")}

    def control(self, label):
        (found,) = [(key, one) for key, one in self.controls.items() if (one.get("label") or "").startswith(label)]
        return found

    def texts(self):
        return {one["label"]: one["value"] for one in self.controls.values() if isinstance(one.get("value"), str)}

    def legend(self):
        return [one["content"] for one in self.controls.values() if "content" in one]

    def set(self, label, value):
        """Turn a control, and wait for the scene to be anew."""
        key, before = self.control(label)[0], self.changes
        self.controls[key]["value"] = value
        self.send("GuiUpdateMessage", uuid=key, updates={"value": value})
        self.wait(lambda: self.changes > before)
        self.settle()

    def points(self):
        node = self.nodes["/points"]
        points = np.frombuffer(node["points"], np.float32).reshape(-1, 3)
        return points, np.frombuffer(node["colors"], np.uint8).reshape(-1, 3)

    def lines(self, place):
        return np.frombuffer(self.nodes[f"/boxes/{place}"]["points"], np.float32).reshape(-1, 2, 3)

    def names(self, place):
        return [node["text"] for name, node in sorted(self.nodes.items()) if name.startswith(f"/names/{place}/")]


def _filled(value, arrays):
    if isinstance(value, dict):
        if "__binary_index" in value:
            return arrays[value["__binary_index"]]
        return {key: _filled(one, arrays) for key, one in value.items()}
    return value


@contextmanager
def browsing(gallery, first=0):
    pytest.importorskip("viser", reason="the extra `view`")
    with serving(gallery, first, port=0) as address:
        assert address.startswith("http://127.0.0.1:")
        browser = Browser(address)
        yield browser
        browser.connection.close()


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    pytest.importorskip("viser", reason="the extra `view`")
    return tmp_path_factory.mktemp("rooms")


@pytest.fixture(scope="module")
def store(rooms):
    return tiny_run.write_store(rooms)


def test_a_cloud_file_and_its_colours(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    body = "".join(f"{x} {y} {z} {n} 7 9\n" for n, (x, y, z) in enumerate(points.tolist()))
    head = "ply\nformat ascii 1.0\nelement vertex 51\n" + "".join(f"property float {a}\n" for a in "xyz")
    head += "".join(f"property uchar {c}\n" for c in ("red", "green", "blue")) + "end_header\n"
    (tmp_path / "scan.ply").write_text(head + "nan 0 0 200 0 0\n" + body)
    with browsing(open_gallery(tmp_path / "scan.ply", up="y")) as browser:
        shown, colours = browser.points()
        np.testing.assert_allclose(shown, points[:, [0, 2, 1]] * [1, -1, 1], atol=1e-6)
        assert colours.tolist() == [[n, 7, 9] for n in range(50)]
        browser.set("colour", "height")
        brightness = browser.points()[1].astype(float).sum(1)
        assert (np.diff(brightness[np.argsort(shown[:, 2])]) >= -3).all() and np.ptp(brightness) > 200


def test_a_folder_of_clouds_far_away_and_large(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "SHOWN_POINTS", 40)
    near = np.random.default_rng(1).random((100, 3))
    np.save(tmp_path / "a.npy", near.astype(np.float32))
    far = near + np.array([500_000, 5_000_000, 40])
    np.save(tmp_path / "b.npy", far)
    (tmp_path / "broken.xyz").write_text("1 2\n")
    with browsing(open_gallery(tmp_path)) as browser:
        shown, _ = browser.points()
        assert len(shown) == 40 and {*map(tuple, shown)} <= {*map(tuple, near.astype(np.float32))}
        browser.set("file", "b.npy")
        shown, _ = browser.points()
        origin = np.array(browser.texts()["origin at"].split(), float)
        nearest = np.abs((shown + origin)[:, None] - far).max(2).min(1)
        assert nearest.max() < 1e-6
        browser.set("file", "broken.xyz")
        assert "/points" not in browser.nodes and "broken.xyz" in browser.texts()["error"]
        browser.set("file", "a.npy")
        assert len(browser.points()[0]) == 40 and "error" not in browser.texts()


def test_frames_of_a_store_and_what_the_teacher_says(store):
    opened = FrameStore.open(store)
    said = load_small_teacher().caption(tiny_run.torch.from_numpy(opened.targets[2].astype(np.float32))[None])
    with browsing(open_gallery(store), first=2) as browser:
        np.testing.assert_array_equal(browser.points()[0], frame_cloud(opened, 2, "gravity"))
        assert browser.texts()["from the picture"] == said[0]
        assert browser.texts()["shown"] == f"frame 2: {opened.scan_of(2)} {opened.frames[2]}"
        browser.set("frame", f"{opened.scan_of(5)} {opened.frames[5]}")
        np.testing.assert_array_equal(browser.points()[0], frame_cloud(opened, 5, "gravity"))


def test_a_runs_captions_and_features(store):
    run = tiny_run.write_run(store, store.parent / "run")
    said, student = load_small_teacher().caption(tiny_run.target_of(store))[0], load_student(run, None)
    save_examples(store.parent / "evaluation", [detection()])
    with pytest.raises(DataError, match="Leave --run out"):
        open_gallery(store.parent / "evaluation", student)
    with pytest.raises(DataError, match="no use for --up"):
        open_gallery(store, up="y")
    with pytest.raises(DataError, match="no use for --teacher"):
        open_gallery(store.parent / "evaluation", teacher="imagenet")
    with browsing(open_gallery(store, student)) as browser:
        assert browser.texts()["from the points"] == said
        height = browser.points()[1]
        browser.set("colour", "features")
        features = browser.points()[1]
        assert (features != height).any() and len(np.unique(features, axis=0)) > 20
        browser.set("frame", browser.control("frame")[1]["options"][1])
        assert browser.control("colour")[1]["value"] == "features"  # what was chosen stays


def test_frames_painted_by_their_images(rooms, store):
    """From images of two colours, the left half and the right: the side of the camera's axis decides."""
    prepare_frames(rooms, rooms / "pictured", load_small_teacher, every=1, points=400, workers=1, keep_images=48)
    opened = FrameStore.open(rooms / "pictured")
    halves = np.zeros((48, 64, 3), np.uint8)
    halves[:, :32, 0], halves[:, 32:, 2] = 255, 255
    from pointdistill.viewer.sources import _painted

    cloud = opened.cloud(0)
    painted = _painted(opened, 0, cloud, halves)
    seen = (cloud - opened.colour_to_depth[0, :3, 3]) @ opened.colour_to_depth[0, :3, :3]
    column = opened.colour_intrinsics[0, 0, 0] * seen[:, 0] / seen[:, 2] + opened.colour_intrinsics[0, 0, 2]
    middle, inside = opened.colour_size[0, 0] / 2 - 0.5, (painted != pictures.GREY).any(1)
    assert inside.mean() > 0.5
    clear = inside & (np.abs(column - middle) > 2)
    np.testing.assert_array_equal(painted[clear, 0] == 255, column[clear] < middle)
    with browsing(open_gallery(rooms / "pictured")) as browser:
        expected = _painted(opened, 0, cloud, np.asarray(opened.image(0)))
        np.testing.assert_array_equal(browser.points()[1], expected)
        assert browser.control("camera")


def prepared(tmp_path, root):
    cli.main(["prepare", str(root), str(tmp_path / "labelled"), "--labels", "--quiet"])
    return tmp_path / "labelled"


def test_labelled_scenes_with_their_boxes(tmp_path):
    """Boxes hold the points of their object; each class has a colour of its own, and the legend its name."""
    room = task_samples.room(0)
    path = prepared(
        tmp_path, build_labelled.write_scannet(tmp_path / "scannet", {"train": [room], "val": [task_samples.room(1)]})
    )
    with browsing(open_gallery(path)) as browser:
        points, colours = browser.points()
        np.testing.assert_allclose(points, room.points, atol=1e-5)
        assert (colours == 128).all()
        lines = browser.lines(0)
        assert len(lines) == 12 * len(room.boxes)
        for number in range(len(room.boxes)):
            own, of = lines[12 * number : 12 * number + 12].reshape(-1, 3), room.points[room.instance == number + 1]
            np.testing.assert_allclose([own.min(0), own.max(0)], [of.min(0), of.max(0)], atol=1e-4)
        assert sorted(browser.names(0)) == sorted({4: "bed", 8: "door"}[c] for c in room.box_classes.tolist())
        browser.set("names of boxes", False)
        assert browser.names(0) == [] and "/boxes/0" in browser.nodes
        browser.set("true boxes", False)
        assert "/boxes/0" not in browser.nodes
        browser.set("colour", "class")
        _, colours = browser.points()
        pairs = {(int(c), *map(int, rgb)) for c, rgb in zip(room.semantic, colours, strict=True)}
        assert len(pairs) == len(np.unique(room.semantic)) == len({pair[1:] for pair in pairs})
        (legend,) = browser.legend()
        assert "floor" in legend and "bed" in legend
        browser.set("scene", "room1 (val)")
        assert "/boxes/0" not in browser.nodes  # what was hidden stays hidden


def test_objects_and_parts(tmp_path):
    objects = prepared(tmp_path / "objects", build_labelled.write_modelnet(tmp_path / "modelnet"))
    gallery = open_gallery(objects)
    assert len(gallery.names) == 12 and "plate" in gallery.names[3] + gallery.names[2]
    flat = next(number for number, name in enumerate(gallery.names) if "plate" in name)
    with browsing(gallery, flat) as browser:
        assert np.ptp(browser.points()[0], axis=0).argmin() == 2  # its thin side is up
    parts = prepared(tmp_path / "parts", build_labelled.write_shapenetpart(tmp_path / "shapenetpart"))
    with browsing(open_gallery(parts)) as browser:
        points, colours = browser.points()
        groups = {tuple(colour): points[(colours == colour).all(1)] for colour in np.unique(colours, axis=0)}
        (low, high) = sorted(groups.values(), key=lambda rows: rows[:, 2].mean())
        assert low[:, 2].max() < high[:, 2].min()  # the foot is below the shade
        assert "foot" in browser.legend()[0] and "shade" in browser.legend()[0]


def detection(names=("chair", "table")):
    generator = np.random.default_rng(3)
    boxes = np.array([[0, 0, 0.5, 1, 1, 1, 0.4], [2, 1, 0.4, 1, 2, 0.8, 0]], np.float32)
    points, colours = generator.random((30, 3)).astype(np.float32), generator.integers(0, 255, (30, 3)).astype(np.uint8)
    return DetectionExample("room", points, colours, boxes[:1], ["chair"], boxes, list(names), np.array([0.9, 0.1]))


def test_predictions_of_a_run_that_was_evaluated(tmp_path):
    """Found below the run's folder; boxes from the score on; names out of data are text."""
    generator, hostile = np.random.default_rng(4), "<img src=x onerror=alert(1)>"
    points = generator.random((20, 3)).astype(np.float32)
    truth, predicted = generator.integers(-1, 2, 20), generator.integers(0, 2, 20)
    parts = SegmentationExample("scan", points, truth, predicted, ["wall", hostile])
    save_examples(tmp_path / "evaluation-test", [detection(), parts])
    (tmp_path / "model.json").write_text("{}")
    gallery = open_gallery(tmp_path)
    with browsing(gallery) as browser:
        assert browser.names(0) == ["chair"] and browser.names(1) == ["chair 0.90"]
        browser.set("least score", 0.05)
        assert browser.names(1) == ["chair 0.90", "table 0.10"] and len(browser.lines(1)) == 24
        browser.set("scene", gallery.names[1])
        assert browser.names(0) == browser.names(1) == [] and not {"/boxes/0", "/boxes/1"} & browser.nodes.keys()
        assert hostile not in browser.legend()[0] and "&lt;img" in browser.legend()[0]
        browser.set("colour", "errors")
        colours = browser.points()[1]
        expected = np.where((truth == predicted)[:, None], pictures.RIGHT, pictures.WRONG)
        np.testing.assert_array_equal(colours, np.where((truth < 0)[:, None], pictures.GREY, expected))


def test_edges_are_those_of_the_turned_box():
    """Twelve, of the box's own lengths, all on its surface."""
    import torch

    box = np.array([[1, 2, 3, 0.5, 1.0, 2.0, 0.7]], np.float32)
    lines = edges(box)
    lengths = np.linalg.norm(lines[:, 0] - lines[:, 1], axis=1)
    np.testing.assert_allclose(np.sort(lengths), np.repeat([0.5, 1, 2], 4), rtol=1e-5)
    ends = torch.from_numpy(lines.reshape(-1, 3))
    for scale, inside in ((1.001, True), (0.999, False)):
        grown = box.copy()
        grown[:, 3:6] *= scale
        assert bool((points_in_boxes(ends, torch.from_numpy(grown)) == inside).all())
    assert edges(np.zeros((0, 7), np.float32)).shape == (0, 2, 3)


def test_frames_of_a_quickstart_and_attention(tmp_path):
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (8, 6), (10, 200, 30)).save(file, "JPEG")
    cloud = np.random.default_rng(5).random((12, 3)).astype(np.float32)
    halves = np.arange(12).reshape(2, 6)
    frame = PipelineExample("f", file.getvalue(), np.zeros((6, 8), np.uint16), cloud, cloud[:2], halves, "a", "b", "c")
    attention = AttentionExample("g", cloud, halves, np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))
    save_examples(tmp_path, [frame, attention])
    gallery = open_gallery(tmp_path)
    first, second = gallery.picture(0), gallery.picture(1)
    np.testing.assert_allclose(first.points, np.stack([cloud[:, 0], cloud[:, 2], -cloud[:, 1]], 1))
    assert dict(first.said) == {"truth": "a", "from the picture": "b", "from the points": "c"}
    assert first.image is not None and first.image.shape == (6, 8, 3)
    for way, brighter in (("concept 1", 0), ("concept 2", 1)):
        light = second.colours[way].astype(int).sum(1)
        assert light[halves[brighter]].min() > light[halves[1 - brighter]].max()


def test_what_cannot_be_viewed(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "notes.md").write_text("text")
    (tmp_path / "empty").mkdir()
    one = SamplingExample("s", np.zeros((3, 3), np.float32), np.array([1]), np.array([0]), np.array([0.1]))
    save_examples(tmp_path / "sampling", [one])
    np.save(tmp_path / "none.npy", np.full((3, 3), np.nan, np.float32))
    np.save(tmp_path / "some.npy", np.eye(3, dtype=np.float32))
    refused = {
        "absent.ply": "no such file or folder",
        "model": f"pointdistill evaluate {tmp_path / 'model'}",
        "run": "pointdistill analyse",
        "notes.md": "no known kind of point cloud",
        "empty": "manifest.json",
        "sampling": "pointdistill report",
        "none.npy": "no finite points",
        "some.npy --frame 1": "has no file 1",
        "some.npy --port 70000": "--port 70000",
        "some.npy --run empty": "backbone",
    }
    for given, said in refused.items():
        name, *more = given.split()
        more = [str(tmp_path / word) if word == "empty" else word for word in more]
        with pytest.raises(SystemExit) as ended:
            cli.main(["view", str(tmp_path / name), "--no-open", *more])
        error = capsys.readouterr().err
        assert ended.value.code == 2 and said in error and error.count("\n") == 1, (given, error)


def test_without_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "viser", None)
    np.save(tmp_path / "some.npy", np.eye(3, dtype=np.float32))
    with pytest.raises(SystemExit) as ended:
        cli.main(["view", str(tmp_path / "some.npy"), "--no-open"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("Install it: pip install 'pointdistill[view]'\n")


def test_a_damaged_store_and_another_teacher(store, tmp_path):
    shutil.copytree(store, tmp_path / "damaged")
    (tmp_path / "damaged" / "points.npy").unlink()
    with pytest.raises(DataError, match=r"points\.npy"):
        open_gallery(tmp_path / "damaged")
    with pytest.raises(PointdistillError, match=r"imagenet|efficientnet"):
        open_gallery(store, teacher="imagenet")


def test_many_pictures_are_chosen_by_number():
    cloud = np.arange(9, dtype=np.float32).reshape(3, 3)
    colours = {"height": np.zeros((3, 3), np.uint8)}
    gallery = Gallery("many", ["same"] * 1000, "frame", lambda n: Picture(f"{n}", cloud + n, colours))
    with browsing(gallery, 7) as browser:
        browser.set("frame", 999)
        np.testing.assert_array_equal(browser.points()[0], cloud + 999)


def test_the_command_until_ctrl_c(tmp_path):
    pytest.importorskip("viser", reason="the extra `view`")
    np.save(tmp_path / "some.npy", np.eye(3, dtype=np.float32))
    command = [sys.executable, "-m", "pointdistill", "view", str(tmp_path / "some.npy"), "--no-open", "--port", "0"]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        address = re.match(r"http://127\.0\.0\.1:\d+", line)
        assert address, line + process.stderr.read()
        np.testing.assert_array_equal(Browser(address[0]).points()[0], np.eye(3))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and json.loads(out) == {"address": address[0], "shown": 1}
