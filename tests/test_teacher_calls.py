"""A teacher in a worker whose tasks run in several threads, and what travels to it."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from fake_teacher import MeanColourTeacher, factory
from pointdistill.datasets.scannet.layout import ScanNetRecording
from pointdistill.errors import DataError
from pointdistill.scan_part import FrameSettings, ScanJob
from pointdistill.teacher_calls import TeacherSpec, ask, forget_teachers


class WatchedTeacher(MeanColourTeacher):
    """Notes how many threads are in it at once, and how many torch may use."""

    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1
        self.inside, self.seen = 0, set()

    def targets(self, images):
        self.inside += 1
        self.seen.add((self.inside, torch.get_num_threads()))
        time.sleep(0.01)
        self.inside -= 1
        return super().targets(images)


@pytest.fixture(autouse=True)
def _clean():
    yield
    forget_teachers()


def test_threads_take_turns_with_one_teacher_on_one_thread(tmp_path):
    WatchedTeacher.made = 0
    teachers = []

    def make():
        teachers.append(WatchedTeacher())
        return teachers[-1]

    spec = TeacherSpec.of(MeanColourTeacher(), make)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    together = threading.Barrier(4)

    def work(shade):
        together.wait()
        return [ask(spec, [Image.new("RGB", (4, 4), (shade, 0, 0))], tmp_path) for _ in range(3)]

    try:
        with ThreadPoolExecutor(4) as pool:
            given = list(pool.map(work, range(0, 200, 50)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert WatchedTeacher.made == 1 and teachers[0].seen == {(1, 1)}
    for shade, answers in zip(range(0, 200, 50), given, strict=True):
        assert all(abs(answer[0, 0, 0] - shade / 255) < 1e-3 for answer in answers)


def test_only_the_last_teacher_is_kept(tmp_path):
    made = []

    def maker(version):
        return lambda: made.append(version) or MeanColourTeacher(version=version)

    specs = [TeacherSpec.of(MeanColourTeacher(version=version), maker(version)) for version in "ab"]
    image = Image.new("RGB", (4, 4))
    for spec in (specs[0], specs[0], specs[1], specs[0]):
        ask(spec, [image], tmp_path)
    assert made == ["a", "b", "a"]


def test_targets_that_cannot_be_are_refused(tmp_path):
    class Wrong(MeanColourTeacher):
        def targets(self, images):
            return torch.full((len(images), 2, 3), 1e6) if images else torch.zeros(1, 2, 3)

    spec = TeacherSpec.of(Wrong(), Wrong)
    with pytest.raises(DataError, match="not finite, or beyond float16"):
        ask(spec, [Image.new("RGB", (4, 4))], tmp_path)
    with pytest.raises(DataError, match=r"gave targets \(1, 2, 3\) where \(0, 2, 3\) belong"):
        ask(spec, [], tmp_path)


def test_what_travels_is_small(tmp_path):
    recording = ScanNetRecording("scene0000_00", Path("/data/scans/scene0000_00/scene0000_00.sens"))
    spec = TeacherSpec.of(MeanColourTeacher(), factory(tmp_path / "log"))
    parts = tmp_path / "frames.npz", tmp_path / "targets.npz"
    job = ScanJob(recording, 1 << 30, FrameSettings(), *parts, spec, tuple(range(0, 5000, 25)))
    assert len(pickle.dumps(job)) < 3000 and pickle.loads(pickle.dumps(job)).kept == job.kept
