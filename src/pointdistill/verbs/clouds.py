"""A finished distillation on single clouds."""

from pathlib import Path
from typing import Annotated

from pointdistill.verbs.arguments import Axis, Positional, arg


def caption(
    cloud: Annotated[Path, Positional, arg(metavar="CLOUD")],
    run: Path,
    frame: int | None = None,
    teacher: str | None = None,
    up: Axis | None = None,
):
    """Say in a sentence what a point cloud shows: predicted prefix -> the teacher's frozen language model.

    Args:
        cloud: .ply, .pcd, .las, .npy, .txt, .xyz, .pts, .csv, .obj or .off; or a store, with --frame.
        run: folder of a finished distillation, or OWNER/NAME[@REVISION] on the model hub.
        frame: which frame of the store.
        teacher: the run's teacher, as `prepare` takes it; default the embedded one.
        up: which axis of the cloud points up; default z (-y for a run in the camera's frame).
    """
    from pointdistill.applications.commands import caption_command

    return caption_command(cloud, run, frame, teacher, up)


def classify(
    cloud: Annotated[Path, Positional, arg(metavar="CLOUD")],
    run: Path,
    labels: str,
    frame: int | None = None,
    teacher: str | None = None,
    up: Axis | None = None,
    template: str | None = None,
):
    """Say which label fits a point cloud best, without training: by the likelihood of each after the predicted prefix.

    Args:
        cloud: .ply, .pcd, .las, .npy, .txt, .xyz, .pts, .csv, .obj or .off; or a store, with --frame.
        run: folder of a finished distillation, or OWNER/NAME[@REVISION] on the model hub.
        labels: separated by commas, for instance chair,table,bed.
        frame: which frame of the store.
        teacher: the run's teacher, as `prepare` takes it; default the embedded one.
        up: which axis of the cloud points up; default z (-y for a run in the camera's frame).
        template: the text around a label; default "a {}" ("a photo of a {}" for CLIP features).
    """
    from pointdistill.applications.commands import classify_command

    return classify_command(cloud, run, labels, frame, teacher, up, template)


def embed(
    clouds: Annotated[tuple[Path, ...], Positional, arg(metavar="CLOUD...")],
    backbone: Path,
    out: Path,
    frame: int | None = None,
    up: Axis | None = None,
):
    """Write a backbone's features of point clouds.

    Args:
        clouds: files as `caption` takes them; folders of such files; or stores: all their frames, or --frame.
        backbone: backbone.safetensors, the folder of a pre-training, or OWNER/NAME[@REVISION] on the model hub.
        out: .npz for tokens, centres, pooled features and names; .npy for pooled features alone.
        frame: which frame of a store.
        up: which axis of the clouds points up; default z (-y for a run in the camera's frame).
    """
    from pointdistill.applications.commands import embed_command

    return embed_command(clouds, backbone, out, frame, up)
