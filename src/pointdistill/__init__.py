"""Pre-train point-cloud backbones by distilling frozen 2D image models into them."""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["caption", "classify", "create_backbone", "embed", "geometry"]

if TYPE_CHECKING:
    from pointdistill import geometry
    from pointdistill.applications.caption import caption
    from pointdistill.applications.classify import classify
    from pointdistill.applications.embed import embed
    from pointdistill.models.point_transformer import create_backbone


def __getattr__(name: str):
    """What needs torch is imported on first use, so that the command line's help is instant."""
    if name == "create_backbone":
        return importlib.import_module("pointdistill.models.point_transformer").create_backbone
    if name in ("caption", "classify", "embed"):
        return getattr(importlib.import_module(f"pointdistill.applications.{name}"), name)
    if name == "geometry":
        return importlib.import_module("pointdistill.geometry")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
