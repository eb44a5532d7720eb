"""Few-shot classification: a fine-tuning an episode, and the mean of what they say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_finetune import DATA, backbone

from pointdistill.engine.few_shot import few_shot
from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.errors import RecipeError
from pointdistill.tasks.classification import Classification

TASK = Classification(points=48, group_count=8, group_size=8, hidden=16, dropout=0.0, farthest=0)
CONFIG = FinetuneConfig(steps=4, batch_size=4, lr=3e-3, warmup=1, eval_every=2)


def test_mean_over_episodes(tmp_path: Path) -> None:
    def run(**changed):
        settings = {"way": 2, "shot": 2, "episodes": 3, "queries": 3, **changed}
        return few_shot(
            TASK, backbone(), DATA, CONFIG, 0, tmp_path, report=lambda *told: steps.append(told), **settings
        )

    steps: list = []
    result = run()
    episodes = [json.loads((tmp_path / f"episode-{i}" / "result.json").read_text()) for i in range(3)]
    values = [episode["test"]["accuracy"] for episode in episodes]
    assert result["episodes"] == values and result["mean"] == pytest.approx(np.mean(values))
    assert result["std"] == pytest.approx(np.std(values, ddof=1))
    assert result["best_episodes"] == [max(value for _, value in episode["curve"]) for episode in episodes]
    assert all(best >= value for best, value in zip(result["best_episodes"], values, strict=True))
    assert len({episode["identity"] for episode in episodes}) == 3, "each has data of its own"
    assert steps[0][:2] == (1, 12) and steps[-1][:2] == (12, 12)
    (tmp_path / "result.json").unlink()
    assert run() == result and steps[-1][2] == "episode 3: done before"
    one = run(episodes=1)
    assert one["std"] is None and one["mean"] == values[0]
    with pytest.raises(RecipeError, match="episode-0: holds a fine-tuning with other settings"):
        run(shot=3)


def test_without_a_curve_there_is_no_best(tmp_path: Path) -> None:
    silent = replace(CONFIG, eval_every=0, steps=1)
    result = few_shot(TASK, backbone(), DATA, silent, 0, tmp_path, way=3, shot=1, episodes=1, queries=1)
    assert "best_mean" not in result and 0 <= result["mean"] <= 1
