"""What the report shows of a frame is what the student saw of it."""

import numpy as np
import pytest

import build_scannet
from fake_teacher import factory
from pointdistill.loader import FrameLoader, in_camera
from pointdistill.prepare import prepare_frames


@pytest.mark.parametrize("frame", ["camera", "gravity"])
def test_the_students_points_go_back_to_the_camera(tmp_path, frame):
    root = build_scannet.write_data_set(tmp_path / "scannet", ["scene0000_00"], frames=3)
    store = prepare_frames(root, tmp_path / "store", factory(), every=1, points=64, workers=1)
    loader = FrameLoader(store, 3, 32, seed=0, frame=frame)
    for index in range(3):
        shown = in_camera(loader.batch(np.array([index]), 0).points[0], store, index, frame)
        distance = np.abs(shown[:, None] - store.cloud(index)[None]).max(-1).min(1)
        assert distance.max() < 1e-4
