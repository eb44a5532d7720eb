"""Backbones by name, with weights from here or from the model hub."""

from pathlib import Path

from pointdistill.hub import BACKBONE, located
from pointdistill.models import point_transformer
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.point_transformer import PointTransformer


def create_backbone(
    name: str = "vit_s", pretrained: str | Path | None = None, *, revision: str | None = None, **overrides: object
) -> PointTransformer:
    """A backbone by name, with random weights or those of a checkpoint.

    Args:
        name: "vit_s" (the paper's, Table 8), "vit_ti", "vit_xs" or "vit_nano" (the quickstart's).
        pretrained: a `backbone.safetensors` file, or the folder that holds one, as pre-training writes it; or
            OWNER/NAME on the model hub, where no such path is here (extra `hub`).
        revision: on the hub: a branch, tag or commit.
        overrides: fields of `models.point_transformer.BackboneConfig` to change, for instance `depth=6`.

    Raises:
        ValueError: unknown name or field.
        CheckpointError: no such file, a damaged one, or one of another architecture.
        HubError: no such repository or revision, or the hub cannot be reached and the cache has it not.

    >>> backbone = create_backbone("vit_nano", depth=2)
    >>> backbone(torch.rand(2, 500, 3)).tokens.shape
    torch.Size([2, 64, 96])
    """
    found = None if pretrained is None else located(pretrained, BACKBONE, revision=revision)
    return point_transformer.create_backbone(name, found, **overrides)


def from_pretrained(source: str | Path, revision: str | None = None) -> PointTransformer:
    """A backbone with the sizes and weights of a checkpoint, in evaluation mode.

    Args:
        source: as `pretrained` of `create_backbone`; OWNER/NAME@REVISION too.
        revision: on the hub: a branch, tag or commit.

    Raises:
        CheckpointError: no such file, or a damaged one.
        HubError: no such repository or revision, or the hub cannot be reached and the cache has it not.
    """
    return load_backbone(located(source, BACKBONE, revision=revision)).eval()
