"""Figure 3: what a fine-tuned model detects in rooms of a split, beside the truth."""

from pathlib import Path
from typing import Any

from pointdistill.errors import DataError
from pointdistill.labelled import kind_of, open_labelled
from pointdistill.predictions.examples import detection_example, evenly
from pointdistill.report.examples import DetectionExample
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.saved import load_task_model

SHOWN = 6
"""Rooms that are drawn."""


def detection_examples(run: Path, data: Path, split: str | None = None, shown: int = SHOWN) -> list[DetectionExample]:
    """A few rooms, evenly spaced over the split, with true and predicted boxes.

    Args:
        run: folder of a finished fine-tuning for detection.
        data: store of labelled scenes.
        split: which rooms; None: those that the model's recipe tests on.
        shown: how many.

    Raises:
        CheckpointError: no finished fine-tuning.
        DataError: one for another task, or a store without such a split.
    """
    saved = load_task_model(run)
    if not isinstance(saved.task, Detection):
        raise DataError(run, f"holds a model for {saved.task.name}, which finds no boxes", "Name one for detection.")
    if kind_of(data) != saved.task.store:
        raise DataError(data, f"is a store of {kind_of(data)}, not of scenes", "Name another store.")
    rooms: Any = open_labelled(data, split or saved.card.get("splits", ["test"])[-1], in_memory=False)
    model: Any = saved.model
    chosen = [rooms[index] for index in evenly(len(rooms), shown)]
    return [detection_example(saved.task, room, saved.task.detect(model, room, saved.card["seed"])) for room in chosen]
