"""Few-shot classification: the mean over episodes, each a fine-tuning of its own (Point-BERT, section 4.2)."""

from dataclasses import asdict
from pathlib import Path

import torch

from pointdistill.engine.finetune import FinetuneConfig, finetune
from pointdistill.engine.log import Report
from pointdistill.files import read_json, write_json
from pointdistill.metrics import mean_std
from pointdistill.models.backbone import Backbone
from pointdistill.tasks.base import Figures, Splits
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.episodes import draw_episode


def few_shot(
    task: Classification,
    backbone: Backbone,
    data: Splits,
    config: FinetuneConfig,
    seed: int,
    out: Path,
    *,
    way: int,
    shot: int,
    episodes: int = 10,
    queries: int = 20,
    report: Report = lambda done, total, note: None,
    device: str | torch.device = "cpu",
) -> Figures:
    """Fine-tune on each of `episodes` draws of `way` classes with `shot` clouds, test on `queries` others a class.

    Writes into `out`: episode-0 and so on, each as `finetune` does, and result.json. Interrupted, the same call goes
    on.

    Args:
        task, backbone, config, device: as in `finetune`; the same for all episodes.
        data: labelled objects to draw from; validation is not read.
        seed: of the draws and of the fine-tunings.
        report: called after every step, counted through all episodes.

    Returns:
        What result.json holds: way, shot, queries, seed, episodes (the last weights' accuracy in each), mean and std
        (sample standard deviation over episodes; None for a single one), and the same of each curve's best point,
        which is chosen by the query clouds: Point-BERT's and Point-MAE's few-shot figures are means of those.

    Raises:
        DataError: too few classes, or a class with too few clouds.
        RecipeError, TrainingDiverged: as in `finetune`.
    """
    out = Path(out)
    results = []
    for number in range(episodes):
        episode = draw_episode(data, way, shot, number, queries, seed)

        def report_all(done: int, total: int, note: str, before: int = number) -> None:
            report(before * total + done, episodes * total, f"episode {before + 1}: {note}")

        folder = out / f"episode-{number}"
        results.append(finetune(task, backbone, episode, config, seed, folder, report=report_all, device=device))
    result = {"way": way, "shot": shot, "queries": queries, "seed": seed, "config": asdict(config)}
    result |= _spread([found["value"] for found in results], "")
    if all(found["best"] is not None for found in results):
        result |= _spread([found["best"]["value"] for found in results], "best_")
    write_json(out / "result.json", result)
    return read_json(out / "result.json")


def _spread(values: list[float], prefix: str) -> Figures:
    mean, std = mean_std(values)
    return {f"{prefix}episodes": values, f"{prefix}mean": mean, f"{prefix}std": std if len(values) > 1 else None}
