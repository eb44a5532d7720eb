"""Networks from raw points: the normalisation of their tests before them, what their tests make of the output after."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointdistill.export.detections import filled, survivors
from pointdistill.geometry import farthest_point_sample, gather, to_unit_sphere
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.tasks.classification import ClassificationModel
from pointdistill.tasks.detection import Detection, DetectionModel
from pointdistill.tasks.part_segmentation import PartSegmentationModel, limited_argmax
from pointdistill.tasks.semantic_segmentation import SegmentationModel


class RawFeatures(nn.Module):
    """A backbone on clouds in their own frame and unit, as `applications.embed`."""

    def __init__(self, backbone: PointTransformer):
        super().__init__()
        self.backbone = backbone

    def forward(
        self, points: Float[Tensor, "batch points 3"]
    ) -> tuple[
        Float[Tensor, "batch groups width"], Float[Tensor, "batch groups 3"], Float[Tensor, "batch twice_width"]
    ]:
        """Tokens, their centres in the frame and unit of the points, and concat(mean, max) of the tokens."""
        unit = to_unit_sphere(points)
        features = self.backbone(unit.points)
        tokens = features.tokens
        pooled = torch.cat([tokens.mean(1), tokens.max(1).values], dim=1)
        return tokens, features.centres * unit.radius + unit.centre, pooled


class RawClassification(nn.Module):
    """Objects in their own unit.

    Args:
        keep: points that farthest point sampling keeps of the cloud, where it has more (the task's test).
    """

    def __init__(self, model: ClassificationModel, keep: int | None):
        super().__init__()
        self.model, self.keep = model, keep

    def forward(self, points: Float[Tensor, "batch points 3"]) -> tuple[Float[Tensor, "batch classes"]]:
        """Logits."""
        unit = to_unit_sphere(points).points  # of all points, as in the task's test
        if self.keep is not None and self.keep < points.shape[1]:
            unit = gather(unit, farthest_point_sample(points, self.keep))
        return (self.model(unit),)


class RawPartSegmentation(nn.Module):
    """Objects in their own unit, of known categories."""

    def __init__(self, model: PartSegmentationModel):
        super().__init__()
        self.model = model

    def forward(
        self, points: Float[Tensor, "batch points 3"], category: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch points parts"], Int[Tensor, "batch points"]]:
        """Logits of all parts at every point, and the best part among those of the category."""
        logits = self.model(to_unit_sphere(points).points, category)
        return logits, limited_argmax(logits, self.model.allowed[category])


class RawSegmentation(nn.Module):
    """Columns of rooms, in metres; with their colours, where the model sees them."""

    def __init__(self, model: SegmentationModel):
        super().__init__()
        self.model = model

    def forward(
        self, points: Float[Tensor, "batch points 3"], colours: Float[Tensor, "batch points 3"] | None = None
    ) -> tuple[Float[Tensor, "batch points classes"]]:
        """Logits at every point."""
        return (self.model(points, points if colours is None else colours),)


class RawDetection(nn.Module):
    """Rooms in metres, z up; every box proposed, and which of them the task's test keeps."""

    def __init__(self, model: DetectionModel, task: Detection):
        super().__init__()
        self.model, self.task = model, task

    def forward(
        self, points: Float[Tensor, "batch points 3"]
    ) -> tuple[
        Float[Tensor, "batch queries 7"],
        Float[Tensor, "batch queries"],
        Float[Tensor, "batch queries classes"],
        Bool[Tensor, "batch queries"],
        Float[Tensor, "batch queries classes_and_background"],
    ]:
        """Boxes, the probability that each is an object, class scores, which boxes stay, and the logits."""
        task, proposals = self.task, self.model(points)
        boxes, logits = proposals.boxes[-1], proposals.logits[-1]
        probability = logits.softmax(-1)
        scores, classes = 1 - probability[..., -1], probability[..., :-1].argmax(-1)
        headings = (task.decoder.angle_bins or 1) > 1
        held = filled(points, boxes, task.minimum_points, headings)
        stay = survivors(boxes, scores, classes, held, task.nms, headings) & (scores > task.threshold)
        return boxes, scores, probability[..., :-1] * scores.unsqueeze(-1), stay, logits
