"""Folders of images in the layouts that people have: every field comes out, and what is wrong is said."""

import io
import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

import build_rgbd
from pointdistill.datasets.recording import Recording, bytes_of
from pointdistill.datasets.rgbd import plain, redwood, seven_scenes, tum
from pointdistill.errors import DataError

LAYOUTS = {
    "tum": (tum, "rgbd_dataset_freiburg3_desk", build_rgbd.write_tum, "z"),
    "seven_scenes": (seven_scenes, "seq-01", build_rgbd.write_seven_scenes, None),
    "redwood": (redwood, "bedroom", build_rgbd.write_redwood, None),
    "plain": (plain, "mine", build_rgbd.write_plain, "z"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_field_comes_out(tmp_path, layout):
    module, name, write, up = LAYOUTS[layout]
    written = write(tmp_path / name)
    assert module.is_recording(written.folder) and not module.is_recording(tmp_path)
    recording = pickle.loads(pickle.dumps(module.recording(written.folder, name)))
    assert isinstance(recording, Recording) and recording.name == name and recording.up == up and recording.has_poses
    with recording.open() as reader:
        frames = list(reader.every(1))
        assert reader.frame_count == len(frames) == len(written.metres)
        assert [frame.index for frame in reader.every(2)] == list(range(0, len(frames), 2))
        np.testing.assert_allclose(reader.depth_intrinsics[[0, 1], [0, 1]], written.focal, rtol=1e-6)
        np.testing.assert_allclose(reader.depth_intrinsics[:2, 2], written.centre, rtol=1e-6)
        for frame, metres, pose, colour in zip(frames, written.metres, written.poses, written.colours, strict=True):
            np.testing.assert_allclose(frame.depth / reader.depth_shift, metres, atol=1e-6)
            np.testing.assert_allclose(frame.pose, pose, atol=1e-5)
            image = Image.open(io.BytesIO(frame.colour))
            assert image.size == reader.colour_size and frame.depth.shape == reader.depth_size[::-1]
            assert np.abs(np.subtract(image.convert("RGB").getpixel((3, 3)), colour)).max() < 4
    files = [path for path in written.folder.rglob("*") if path.is_file() and path.name != "odometry.log"]
    assert bytes_of(recording) == sum(path.stat().st_size for path in files)


def _matched_by_hand(first, second, limit):
    """All pairs, closest first, each once."""
    pairs, free = [], [set(range(len(first))), set(range(len(second)))]
    every = sorted((abs(a - b), i, j) for i, a in enumerate(first) for j, b in enumerate(second))
    for difference, i, j in every:
        if difference <= limit and i in free[0] and j in free[1]:
            pairs.append((i, j))
            free[0].remove(i)
            free[1].remove(j)
    return sorted(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_time_stamps_are_associated_closest_first(seed):
    generator = np.random.default_rng(seed)
    first, second = (np.sort(generator.uniform(0, 2, size)) for size in (90, 110))
    found = tum.associate(first, second)
    assert found == _matched_by_hand(first, second, 0.02) and len(found) > 40


def test_a_frame_that_lacks_something_is_left_out_with_its_reason(tmp_path):
    written = build_rgbd.write_seven_scenes(tmp_path / "seq-01", frames=8)
    frame = [written.folder / f"frame-{i:06d}" for i in range(8)]
    frame[0].with_suffix(".pose.txt").unlink()
    frame[1].with_suffix(".depth.png").unlink()
    frame[2].with_suffix(".color.png").write_bytes(b"no image")
    frame[3].with_suffix(".pose.txt").write_text("1 0 0")
    Image.new("RGB", (640, 480)).save(frame[4].with_suffix(".depth.png"))
    frame[5].with_suffix(".depth.png").write_bytes(frame[5].with_suffix(".depth.png").read_bytes()[:3000])
    frame[6].with_suffix(".pose.txt").write_text("2 0 0 0 0 2 0 0 0 0 2 0 0 0 0 1")
    problems = []
    with seven_scenes.recording(written.folder, "a").open() as reader:
        assert [kept.index for kept in reader.every(1, problems.append)] == [7]
    said = {problem.frame: problem.problem for problem in problems}
    expected = ["no pose", "no such file", "does not decode", "3 numbers", "not RGB", "does not decode", "turn"]
    for index, words in enumerate(expected):
        assert words in said[index]


def test_lost_tracking_is_for_preparation_to_judge(tmp_path):
    written = build_rgbd.write_seven_scenes(tmp_path / "seq-01", frames=1)
    path = written.folder / "frame-000000.pose.txt"
    path.write_text(path.read_text().replace(path.read_text().split()[3], "-1.#IND"))
    with seven_scenes.recording(written.folder, "a").open() as reader:
        assert not np.isfinite(next(reader.every(1)).pose).all()


def test_without_a_trajectory_frames_stand_in_the_cameras_frame(tmp_path):
    bare = build_rgbd.write_redwood(tmp_path / "bare", trajectory=False)
    written = build_rgbd.write_plain(tmp_path / "plain", poses=None, up=None)
    stray = build_rgbd.write_tum(tmp_path / "tum")
    (stray.folder / "groundtruth.txt").unlink()
    for module, folder in ((redwood, bare.folder), (plain, written.folder), (tum, stray.folder)):
        recording = module.recording(folder, "a")
        assert recording.up is None and not recording.has_poses
        with recording.open() as reader:
            assert all(np.array_equal(frame.pose, np.eye(4)) for frame in reader.every(1))


def test_a_pose_that_is_too_far_in_time_is_none(tmp_path):
    written = build_rgbd.write_tum(tmp_path / "a")
    path = written.folder / "groundtruth.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]))
    problems = []
    with tum.recording(written.folder, "a").open() as reader:
        assert len(list(reader.every(1, problems.append))) == 3
    assert [(problem.frame, problem.problem) for problem in problems] == [(3, "no pose belongs to it")]
    assert tum.contents(written.folder).left_out == ("1 colour images without depth", "1 depth images without colour")


@pytest.mark.parametrize(("name", "focal"), [("freiburg1_xyz", 517.3), ("freiburg2_xyz", 520.9), ("other", 525.0)])
def test_the_camera_is_known_by_the_folders_name_or_a_file(tmp_path, name, focal):
    written = build_rgbd.write_tum(tmp_path / name, frames=1)
    with tum.recording(written.folder, name).open() as reader:
        assert reader.depth_intrinsics[0, 0] == np.float32(focal)
    camera = {"intrinsics": {"fx": 500, "fy": 501, "cx": 300, "cy": 200.5}, "depth_scale": 1000}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    with tum.recording(written.folder, name).open() as reader:
        assert reader.depth_shift == 1000 and reader.colour_intrinsics[1, 2] == 200.5
    (tmp_path / "camera.json").write_text('{"intrinsics": {"fx": 0, "fy": 501, "cx": 300, "cy": 200}}')
    with pytest.raises(DataError, match=r"camera\.json, intrinsics\.fx: 0 is not above 0"):
        tum.recording(written.folder, name).open()


def test_poses_of_a_log_by_number_or_one_a_frame(tmp_path):
    written = build_rgbd.write_redwood(tmp_path / "a", frames=4)
    path = written.folder / "trajectory.log"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:5] + lines[10:15]))  # of frames 0 and 2
    poses = [shot.pose for shot in redwood.contents(written.folder).shots]
    assert [pose is not None for pose in poses] == [True, False, True, False]
    np.testing.assert_allclose(poses[2], written.poses[2], atol=1e-6)
    path.write_text("\n".join(f"{line} 1" if line == "2 2 3" else line for line in lines))
    with pytest.raises(DataError, match=r"trajectory\.log, line 11: 4 numbers where 3 belong"):
        redwood.recording(written.folder, "a").open()
    path.write_text("\n".join([*lines, "9 9 10", *lines[1:5]]))
    with pytest.raises(DataError, match=r"line 21: a pose of frame 9, but the recording has 4 frames"):
        redwood.recording(written.folder, "a").open()


def test_other_images_than_the_camera_is_known_for(tmp_path):
    written = build_rgbd.write_redwood(tmp_path / "a")
    (written.folder / "intrinsic.json").unlink()
    with pytest.raises(DataError, match="is 40 x 30, but the camera is known for 640 x 480"):
        redwood.recording(written.folder, "a").open()


def test_which_images_belong_together_is_never_guessed(tmp_path):
    written = build_rgbd.write_redwood(tmp_path / "a", frames=4)
    depths = sorted((written.folder / "depth").iterdir())
    depths[1].unlink()  # names tell
    assert [shot.depth.name for shot in redwood.contents(written.folder).shots] == [depths[i].name for i in (0, 2, 3)]
    for number, path in enumerate((depths[0], depths[2], depths[3])):
        path.rename(path.with_name(f"x{number + 70}.png"))
    with pytest.raises(DataError, match="which belong together is not to be told"):
        redwood.recording(written.folder, "a").open()
    shutil.copy(written.folder / "depth" / "x70.png", written.folder / "depth" / "x80.png")  # now they are as many
    assert [shot.depth.name for shot in redwood.contents(written.folder).shots][-1] == "x80.png"


def test_a_pattern_that_fits_depth_images_too(tmp_path):
    written = build_rgbd.write_plain(tmp_path / "a", colour="images/*")
    shots = plain.contents(written.folder).shots
    assert [(shot.colour.name, shot.depth.name) for shot in shots[:2]] == [
        ("8.jpg", "8_depth.png"),
        ("9.jpg", "9_depth.png"),
    ]


def test_all_poses_in_one_file(tmp_path):
    written = build_rgbd.write_plain(tmp_path / "a", poses="poses.txt", up="z")
    poses = np.stack(written.poses)
    for shape in ((3, 16), (12, 4)):
        np.savetxt(written.folder / "poses.txt", poses.reshape(shape))
        with plain.recording(written.folder, "a").open() as reader:
            np.testing.assert_allclose([frame.pose for frame in reader.every(1)], poses, atol=1e-6)
    np.savetxt(written.folder / "poses.txt", poses.reshape(3, 16)[:2])
    with pytest.raises(DataError, match=r"poses\.txt: holds 2 poses, but there are 3 frames"):
        plain.recording(written.folder, "a").open()


def test_lists_of_files_belong_together_by_their_place(tmp_path):
    names = {"colour": [f"images/{i}.jpg" for i in (9, 8)], "depth": [f"images/{i}_depth.png" for i in (10, 8)]}
    written = build_rgbd.write_plain(tmp_path / "a", **names, poses=["poses/9.txt", None])
    problems = []
    with plain.recording(written.folder, "a").open() as reader:
        (frame,) = reader.every(1, problems.append)
        np.testing.assert_allclose(frame.depth / reader.depth_shift, written.metres[2], atol=1e-6)
        np.testing.assert_allclose(frame.pose, written.poses[1], atol=1e-5)
    assert [(problem.frame, problem.problem) for problem in problems] == [(1, "no pose belongs to it")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": ["images/8.jpg"]}, "depth: 'images/\\*_depth.png' is not a list of files, as 'colour' is"),
        ({"colour": ["a", "b"], "depth": ["c"]}, "depth: a list of 1 files goes with one of as many in 'colour'"),
        ({"depth": ["c"]}, "depth: a list of 1 files goes with one of as many"),
        ({"colour": ["a", None], "depth": ["c", "d"]}, "colour: is not a list of file names"),
        ({"depth": None}, "has no field 'depth'"),
        ({"color": "*.png"}, "has an unknown field 'color'"),
        ({"depth_scale": 0}, "depth_scale: 0 is not above 0"),
        ({"depth_scale": "mm"}, "depth_scale: 'mm' is not a number"),
        ({"invalid": 65535}, "invalid: is not a list"),
        ({"up": "upwards"}, "up: 'upwards' is none of x, -x, y"),
        ({"poses": None}, "up: an axis of a world, but there are no poses"),
        ({"depth_intrinsics": None}, "neither a field 'depth_intrinsics' nor 'intrinsics'"),
        ({"depth_intrinsics": {"fx": 1, "fy": 1}}, "depth_intrinsics: does not hold fx, fy, cx, cy"),
        ({"colour_to_depth": [[1, 2], [3]]}, "colour_to_depth: is not 4 rows"),
        ({"colour_to_depth": [[0] * 4] * 4}, "colour_to_depth: is not 4 rows"),
        ({"colour": "nothing/*.jpg"}, "colour: 'nothing/\\*.jpg' fits no file"),
        ({"colour": "/etc/*"}, "colour: '/etc/\\*' is no pattern below this folder"),
        ({"colour": 7}, "colour: 7 is not a pattern"),
    ],
)
def test_a_description_is_checked(tmp_path, changes, message):
    written = build_rgbd.write_plain(tmp_path / "a", **changes)
    with pytest.raises(DataError, match=rf"recording\.json.*{message}"):
        plain.recording(written.folder, "a").open()
