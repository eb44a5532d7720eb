"""RGB-D recordings that are folders of images: TUM RGB-D, 7-Scenes, Redwood and Open3D, and a plain folder.

Each format's file has `is_recording(folder)`, `recording(folder, name)` and `contents(folder)`.
"""

from pointdistill.datasets.rgbd.contents import Contents, FolderRecording
from pointdistill.datasets.rgbd.images import ImageReader, Shot

__all__ = ["Contents", "FolderRecording", "ImageReader", "Shot"]
