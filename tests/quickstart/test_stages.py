import time

import pytest

from pointdistill import quickstart
from pointdistill.files import read_json, write_json
from pointdistill.quickstart.layout import Layout

stage = quickstart._stage  # pyright: ignore[reportPrivateUsage]


def test_seconds_of_a_killed_stage_are_on_record(tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart, "CLOCK_INTERVAL", 0.01)
    layout = Layout(tmp_path)
    write_json(layout.stages, {"data": 7.0, "training": 100.0})

    def work():
        deadline = time.monotonic() + 30
        while read_json(layout.stages)["training"] <= 100:  # what a kill at this moment would leave
            assert time.monotonic() < deadline
            time.sleep(0.01)

    stage(layout, "training", "training", work)
    assert read_json(layout.stages)["data"] == 7


def test_seconds_of_a_failed_stage_are_added_up(tmp_path):
    layout = Layout(tmp_path)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            stage(layout, "training", "training", lambda: time.sleep(0.2) or 1 / 0)
    assert read_json(layout.stages)["training"] >= 0.4
