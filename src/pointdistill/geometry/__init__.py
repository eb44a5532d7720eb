"""Pure functions of tensors: sampling, neighbours, patches, distances, interpolation, normalisation, boxes, cameras.

Batch first.
"""

from pointdistill.geometry.ball_query import ball_query
from pointdistill.geometry.boxes import (
    corners,
    count_points_in_boxes,
    giou_3d,
    giou_aligned,
    hull,
    iou_3d,
    iou_aligned,
    nms_3d,
    points_in_boxes,
    transform_boxes,
)
from pointdistill.geometry.cameras import project, transform, unproject
from pointdistill.geometry.chamfer import chamfer_l1, chamfer_l2
from pointdistill.geometry.cuboids import drop_cuboid, random_cuboid
from pointdistill.geometry.fps import farthest_point_sample
from pointdistill.geometry.interpolation import interpolate, three_nearest
from pointdistill.geometry.neighbours import knn, knn_features, squared_distances
from pointdistill.geometry.normalisation import UnitSphere, to_unit_sphere
from pointdistill.geometry.occlusion import camera_turns, visible_points
from pointdistill.geometry.patches import Patches, gather, group_patches
from pointdistill.geometry.resampling import resample_kept

__all__ = [
    "Patches",
    "UnitSphere",
    "ball_query",
    "camera_turns",
    "chamfer_l1",
    "chamfer_l2",
    "corners",
    "count_points_in_boxes",
    "drop_cuboid",
    "farthest_point_sample",
    "gather",
    "giou_3d",
    "giou_aligned",
    "group_patches",
    "hull",
    "interpolate",
    "iou_3d",
    "iou_aligned",
    "knn",
    "knn_features",
    "nms_3d",
    "points_in_boxes",
    "project",
    "random_cuboid",
    "resample_kept",
    "squared_distances",
    "three_nearest",
    "to_unit_sphere",
    "transform",
    "transform_boxes",
    "unproject",
    "visible_points",
]
