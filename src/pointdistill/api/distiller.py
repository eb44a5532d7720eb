"""A student and its frozen teacher as one module, for a training loop of the user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from pointdistill import __version__
from pointdistill.applications.caption import caption
from pointdistill.applications.classify import classify
from pointdistill.applications.clouds import Frame
from pointdistill.applications.inputs import Cloud
from pointdistill.applications.prefix import teacher_of
from pointdistill.batch import FrameBatch
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import MEAN_TARGET, METHOD, Distilled, load_distilled
from pointdistill.engine.pretrain import PretrainConfig
from pointdistill.errors import DataError, RecipeError
from pointdistill.files import exclusive, write_json
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig
from pointdistill.models.checkpoints import save_backbone
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.recipes.recipe import FrameRecipe, PretrainRecipe, as_json, recipe_hash
from pointdistill.teachers.base import Teacher
from pointdistill.teachers.named import load_teacher
from pointdistill.tensors import save_tensors

OWN = "own-loop"
"""The recipe's name of what a user's own loop trained."""


class Distiller(nn.Module):
    """Point cloud -> predicted semantic prefix, pulled to what the frozen teacher says of the picture of the same view
    (paper, sections 3.2-3.4, eqs. 5-12; `methods.distill.Distill` does the work).

    Its parameters are the student's: backbone, concepts, projector. The teacher is an attribute and no submodule: it is
    neither saved nor trained, and stays on its own device.

    Args:
        backbone: the student, random or pre-trained.
        teacher: it, or what `load_teacher` takes; default the embedded one.
        config: settings of the method; default the paper's. With reconstruction beside it
            (`methods.distill_reconstruction.DistillReconstructionConfig`), the paper's section 4.3.2.
        targets: a sample of the training targets (`Distiller.targets`): their mean and deviation, where `config`
            standardises, and what `classify` compares a prediction with. Without them: zeros, and nothing may be
            standardised.
        points: points a cloud that `caption` and `classify` draw.
        frame: how they turn clouds: "gravity", z up; or "camera", x right, y down, z forward.
        seed: of the stochastic depth; concepts and projector are drawn from torch's default generator.

    Raises:
        PointdistillError: no such teacher.
        RecipeError: `config` standardises and there are no `targets`.

    >>> from PIL import Image
    >>> from pointdistill import create_backbone
    >>> distiller = Distiller(create_backbone("vit_nano"))
    >>> clouds = torch.rand(2, 300, 3) - 0.5
    >>> losses = distiller(clouds, [Image.new("RGB", (64, 48)), Image.new("RGB", (64, 48), "white")])
    >>> losses.total.backward()
    >>> sorted(losses.named()), distiller.predict(clouds).shape == (2, *distiller.teacher.target_shape)
    (['distill', 'loss'], True)
    """

    mean_target: Tensor

    def __init__(
        self,
        backbone: PointTransformer,
        teacher: Teacher | str | Path | None = None,
        config: DistillConfig | DistillReconstructionConfig | None = None,
        targets: Float[Tensor, "samples prefix dim"] | None = None,
        *,
        points: int = 4096,
        frame: Frame = "gravity",
        seed: int = 0,
    ):
        super().__init__()
        loaded = teacher if isinstance(teacher, Teacher) else load_teacher(teacher)
        config = config or DistillConfig()
        own = config if isinstance(config, DistillConfig) else config.distill
        if targets is None and own.standardise != "none":
            raise RecipeError(f'standardise="{own.standardise}" needs a sample of targets: give targets=')
        sample = torch.zeros(1, *loaded.target_shape) if targets is None else _of_shape(targets, loaded).float().cpu()
        statistics = sample.mean(0), sample.std(0, correction=0) if targets is not None else torch.ones(sample[0].shape)
        if own.standardise != "none" and not statistics[1].any():
            raise RecipeError("the sample of targets has no deviation to standardise by: give different ones")
        frames = FrameRecipe(dataset="own", points=points, frame=frame)
        engine = PretrainConfig(seed=seed)
        recipe = PretrainRecipe(OWN, loaded.identity, backbone.config, config, frames, engine)
        method = config.build(backbone, TargetStatistics(*statistics))
        self._assemble(method, loaded, recipe, statistics[0])

    def _assemble(
        self, method: Distill, teacher: Teacher, recipe: PretrainRecipe, mean: Float[Tensor, "prefix dim"]
    ) -> None:
        self.method, self.recipe = method, recipe
        self._teacher = (teacher,)  # in a tuple, so that torch does not take it for a part
        self.register_buffer("mean_target", mean)
        self.steps = 0

    @classmethod
    def load(cls, run: str | Path | Distilled, teacher: Teacher | str | Path | None = None) -> "Distiller":
        """A finished distillation, to go on with or to ask.

        Args:
            run: the folder of a pre-training or of `save`, or what `distilled.load_distilled` made of it.
            teacher: the run's own, or what `load_teacher` takes; default the embedded one.

        Raises:
            CheckpointError: no finished distillation.
            RecipeError: another teacher than the run's.
        """
        distilled = run if isinstance(run, Distilled) else load_distilled(run)
        one = cls.__new__(cls)
        nn.Module.__init__(one)
        one._assemble(distilled.method, teacher_of(distilled, teacher), distilled.recipe, distilled.mean_target)
        return one.eval()

    @property
    def backbone(self) -> PointTransformer:
        """The student, and what remains of all this."""
        return self.method.backbone

    @property
    def teacher(self) -> Teacher:
        """The frozen teacher."""
        return self._teacher[0]

    @property
    def distilled(self) -> Distilled:
        """The same as `caption`, `classify` and their like take it."""
        told = {
            "identity": self.teacher.identity,
            "weights_hash": self.teacher.weights_hash,
            "target_shape": list(self.teacher.target_shape),
        }
        return Distilled(self.method, self.recipe, told, self.mean_target.cpu())

    def targets(self, images: Sequence[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """What the teacher says of images: the targets of their clouds, worth keeping where a loop comes back."""
        return self.teacher.targets(list(images))

    def forward(
        self,
        points: Float[Tensor, "batch points 3"],
        images: Sequence[Image.Image] | None = None,
        targets: Float[Tensor, "batch prefix dim"] | None = None,
        step: int | None = None,
    ) -> Losses:
        """The losses of a batch: `total` to minimise, `parts` by name.

        Args:
            points: clouds in the unit sphere, on the student's device.
            images: the picture of each cloud's view.
            targets: what the teacher said of it, in place of images; on any device.
            step: number of the step, which keys stochastic depth; default the calls in training mode counted in
                `steps`.

        Raises:
            DataError: both or neither of images and targets, another number or shape of them.
        """
        if (images is None) == (targets is None):
            raise DataError(_BATCH, "has images and targets, or neither", "Give one of them")
        wanted = self.targets(images) if images is not None else targets
        assert wanted is not None
        if len(_of_shape(wanted, self.teacher)) != len(points):
            raise DataError(_BATCH, f"has {len(wanted)} targets for {len(points)} clouds", "Give one for each cloud")
        number = self.steps if step is None else step
        self.steps += self.training and step is None
        batch = FrameBatch(points, wanted.to(points.device, torch.float32), torch.arange(len(points)))
        return self.method(batch, Draw(self.recipe.engine.seed, number, np.arange(len(points))))

    if TYPE_CHECKING:  # nn.Module's own call says nothing of what it takes and gives

        def __call__(
            self,
            points: Tensor,
            images: Sequence[Image.Image] | None = None,
            targets: Tensor | None = None,
            step: int | None = None,
        ) -> Losses: ...

    def predict(self, points: Float[Tensor, "batch points 3"]) -> Float[Tensor, "batch prefix dim"]:
        """The predicted prefix of clouds in the unit sphere, in the teacher's own units."""
        return self.method.predict(points)

    @overload
    def caption(self, points: Cloud, up: Axis | None = None) -> str: ...

    @overload
    def caption(self, points: Sequence[Cloud], up: Axis | None = None) -> list[str]: ...

    def caption(self, points: Cloud | Sequence[Cloud], up: Axis | None = None) -> str | list[str]:
        """What the teacher would say of a cloud; arguments and errors as `pointdistill.caption`'s."""
        return caption(points, self.distilled, self.teacher, up)

    @overload
    def classify(
        self, points: Cloud, labels: Sequence[str], up: Axis | None = None, template: str | None = None
    ) -> dict[str, float]: ...

    @overload
    def classify(
        self, points: Sequence[Cloud], labels: Sequence[str], up: Axis | None = None, template: str | None = None
    ) -> list[dict[str, float]]: ...

    def classify(
        self,
        points: Cloud | Sequence[Cloud],
        labels: Sequence[str],
        up: Axis | None = None,
        template: str | None = None,
    ) -> dict[str, float] | list[dict[str, float]]:
        """How well each label fits a cloud, best first; arguments and errors as `pointdistill.classify`'s."""
        return classify(points, self.distilled, labels, self.teacher, up, template)

    def save(self, out: str | Path, source: str = "own", terms: str = "those of their owner") -> Path:
        """Write a folder that everything takes which takes the folder of a pre-training: `Distiller.load`, `caption
        --run`, `finetune --init`, `push_to_hub`.

        Args:
            out: the folder; what `save` wrote there before is replaced.
            source: where the clouds and images came from, for the record.
            terms: of these data.

        Returns:
            The folder.

        Raises:
            DataError: it may not be written to, or holds a pre-training.
        """
        out, told = Path(out), self.distilled.teacher
        identity = recipe_hash(self.recipe, told)
        data = {"source": source, "terms": terms, "store": "", "frames": 0, "scans": 0, "targets_permuted": False}
        card: dict[str, Any] = {"identity": identity, "recipe": as_json(self.recipe), "version": __version__}
        card |= {"data": data, "teacher": told}
        with exclusive(out):
            if (out / "log.jsonl").exists():
                raise DataError(out, "holds a pre-training", "Name another folder")
            tensors = self.method.state_dict()
            if self.method.config.standardise == "none":
                tensors[MEAN_TARGET] = self.mean_target
            write_json(out / "run.json", card)
            save_tensors(out / METHOD, tensors, {"identity": identity})
            save_backbone(self.backbone, out, card)
            write_json(out / "result.json", {"identity": identity, "steps": self.steps, "heldout": {}})
        return out


_BATCH = "batch of the distiller"


def _of_shape(targets: Tensor, teacher: Teacher) -> Float[Tensor, "batch prefix dim"]:
    """Raises DataError for targets that are not of the teacher's shape."""
    if targets.ndim != 3 or tuple(targets.shape[1:]) != tuple(teacher.target_shape):
        problem = f"has targets of shape {tuple(targets.shape)}"
        raise DataError(_BATCH, problem, f"Give those of shape {(len(targets), *teacher.target_shape)}")
    return targets
