"""ScanNetV2 as its owners publish it (http://www.scan-net.org): recordings, labelled scenes, classes."""

from pointdistill.datasets.scannet.labels import (
    DETECTION_CLASSES,
    SEMANTIC_CLASSES,
    SceneClass,
    class_names,
    read_label_map,
)
from pointdistill.datasets.scannet.layout import ScanNetRecording, read_split, recordings
from pointdistill.datasets.scannet.scenes import Scene, read_scene
from pointdistill.datasets.scannet.sens import SensReader

__all__ = [
    "DETECTION_CLASSES",
    "SEMANTIC_CLASSES",
    "ScanNetRecording",
    "Scene",
    "SceneClass",
    "SensReader",
    "class_names",
    "read_label_map",
    "read_scene",
    "read_split",
    "recordings",
]
