"""What a model is worth: states that add up over batches and processes, significance tests, and probes."""

from pointdistill.metrics.accuracy import Accuracy, AccuracyScores
from pointdistill.metrics.ap3d import AveragePrecision3D, DetectionScores, average_precision
from pointdistill.metrics.iou import ConfusionMatrix, SegmentationScores
from pointdistill.metrics.part_iou import PartIoU, PartScores
from pointdistill.metrics.probe import ProbeResult, dense_probe, linear_probe
from pointdistill.metrics.significance import Difference, MeanStd, holm, mean_std, paired, welch

__all__ = [
    "Accuracy",
    "AccuracyScores",
    "AveragePrecision3D",
    "ConfusionMatrix",
    "DetectionScores",
    "Difference",
    "MeanStd",
    "PartIoU",
    "PartScores",
    "ProbeResult",
    "SegmentationScores",
    "average_precision",
    "dense_probe",
    "holm",
    "linear_probe",
    "mean_std",
    "paired",
    "welch",
]
