"""Pre-train point-cloud backbones by distilling frozen 2D image models into them."""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Distiller",
    "Embedding",
    "Features",
    "FineTuned",
    "caption",
    "classify",
    "create_backbone",
    "embed",
    "finetune",
    "from_pretrained",
    "geometry",
    "load_encoder",
    "load_teacher",
    "push_to_hub",
    "read_cloud",
    "unit_clouds",
]

if TYPE_CHECKING:
    from pointdistill import geometry
    from pointdistill.api.backbones import create_backbone, from_pretrained
    from pointdistill.api.distiller import Distiller
    from pointdistill.api.downstream import FineTuned, finetune
    from pointdistill.applications.caption import caption
    from pointdistill.applications.classify import classify
    from pointdistill.applications.clouds import read_cloud
    from pointdistill.applications.embed import Embedding, embed, load_encoder
    from pointdistill.applications.inputs import unit_clouds
    from pointdistill.models.point_transformer import Features
    from pointdistill.publishing import push_to_hub
    from pointdistill.teachers.named import load_teacher

_HOME = {
    "Distiller": "api.distiller",
    "Embedding": "applications.embed",
    "Features": "models.point_transformer",
    "FineTuned": "api.downstream",
    "caption": "applications.caption",
    "classify": "applications.classify",
    "create_backbone": "api.backbones",
    "embed": "applications.embed",
    "finetune": "api.downstream",
    "from_pretrained": "api.backbones",
    "load_encoder": "applications.embed",
    "load_teacher": "teachers.named",
    "push_to_hub": "publishing",
    "read_cloud": "applications.clouds",
    "unit_clouds": "applications.inputs",
}
"""Where each name lives: what needs torch is imported on first use, so that the command line's help is instant."""


def __getattr__(name: str):
    if name == "geometry":
        return importlib.import_module("pointdistill.geometry")
    if name in _HOME:
        return getattr(importlib.import_module(f"pointdistill.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
