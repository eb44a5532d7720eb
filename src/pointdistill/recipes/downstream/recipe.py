"""What a downstream recipe is made of: a task, the backbone it starts from, a schedule in epochs, the data's splits."""

from dataclasses import dataclass, replace
from typing import Literal

from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.models.backbone import Config
from pointdistill.tasks.base import Task

Kind = Literal["scenes", "objects", "parts"]


@dataclass(frozen=True)
class DownstreamRecipe:
    """One row of a table: how a backbone is fine-tuned and tested.

    Attributes:
        name: as `pointdistill finetune` knows it.
        task: the task and its protocol.
        backbone: the sizes that training from scratch starts with, and that pre-trained weights must have.
        optimisation: all but the numbers of steps, which follow from the epochs and the data's size.
        epochs: passes over the training split; None: `optimisation` itself holds the numbers of steps, for recipes
            whose data may be a handful of samples.
        warmup_epochs: of them, with a rising learning rate.
        eval_epochs: epochs between two evaluations on the validation split.
        store: kind of prepared data: scenes, objects or parts.
        splits: which of its splits are for training, for the curve, and for the test at the end; "train+val" is both
            together. Where a data set has no validation split the curve is the test split's, and its best point is
            reported as a figure of its own.
        source: where the settings stand.
    """

    name: str
    task: Task
    backbone: Config
    optimisation: FinetuneConfig
    epochs: int | None
    warmup_epochs: int
    eval_epochs: int
    store: Kind
    splits: tuple[str, str, str]
    source: str

    def schedule(self, size: int, epochs: int | None = None) -> FinetuneConfig:
        """The optimisation in steps, for a training split of `size` samples an epoch.

        Args:
            epochs: instead of the recipe's; the warm-up keeps its share of the whole.
        """
        per_epoch, config = size / self.optimisation.batch_size, self.optimisation
        if self.epochs is None:
            return config if epochs is None else _shared_out(config, max(1, round(epochs * per_epoch)))
        every, count = max(1, round(self.eval_epochs * per_epoch)), epochs or self.epochs
        return replace(
            config,
            steps=max(1, round(count * per_epoch)),
            warmup=round(self.warmup_epochs * per_epoch * count / self.epochs),
            eval_every=every,
            checkpoint_every=every,
        )


def _shared_out(config: FinetuneConfig, steps: int) -> FinetuneConfig:
    """Another number of steps, everything that counts them in proportion."""
    counts = ("warmup", "head_warmup", "eval_every", "checkpoint_every")
    scaled = {name: -(-getattr(config, name) * steps // config.steps) for name in counts}  # rounded up: 0 means never
    return replace(config, steps=steps, **scaled)
