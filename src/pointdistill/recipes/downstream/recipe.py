"""What a downstream recipe is made of: a task, the backbone it starts from, a schedule in epochs, the data's splits."""

from dataclasses import dataclass, replace
from typing import Literal

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.models.backbone import Config
from pointdistill.tasks.base import Task


@dataclass(frozen=True)
class DownstreamRecipe:
    """One row of a table: how a backbone is fine-tuned and tested.

    Attributes:
        name: as `pointdistill finetune` knows it.
        task: the task and its protocol.
        backbone: the sizes that training from scratch starts with, and that pre-trained weights must have.
        optimisation: all but the numbers of steps, which follow from the epochs and the data's size.
        epochs: passes over the training split.
        warmup_epochs: of them, with a rising learning rate.
        eval_epochs: epochs between two evaluations on the validation split.
        store: kind of prepared data: scenes, objects or parts.
        splits: which of its splits are for training, for the curve, and for the test at the end. Where a data set has
            no validation split the curve is the test split's, and its best point is reported as a figure of its own.
        source: where the settings stand.
    """

    name: str
    task: Task
    backbone: Config
    optimisation: FinetuneConfig
    epochs: int
    warmup_epochs: int
    eval_epochs: int
    store: Literal["scenes", "objects", "parts"]
    splits: tuple[str, str, str]
    source: str

    def schedule(self, size: int) -> FinetuneConfig:
        """The optimisation in steps, for a training split of `size` samples an epoch."""
        per_epoch = size / self.optimisation.batch_size
        every = max(1, round(self.eval_epochs * per_epoch))
        return replace(
            self.optimisation,
            steps=max(1, round(self.epochs * per_epoch)),
            warmup=round(self.warmup_epochs * per_epoch),
            eval_every=every,
            checkpoint_every=every,
        )
