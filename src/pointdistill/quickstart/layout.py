"""Where a quickstart keeps what."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders of one run.

    Attributes:
        root: the folder the user named.
    """

    root: Path

    @property
    def recipe(self) -> Path:
        """The settings the folder was begun with."""
        return self.root / "recipe.json"

    @property
    def stages(self) -> Path:
        """Wall seconds a stage, over all calls."""
        return self.root / "stages.json"

    @property
    def recordings(self) -> Path:
        """ScanNet-layout scans of the pre-training rooms (split train) and held-out rooms (split val)."""
        return self.root / "data" / "recordings"

    @property
    def scans(self) -> Path:
        """ScanNet-layout annotated scans."""
        return self.root / "data" / "scannet"

    @property
    def modelnet(self) -> Path:
        """Labelled objects in ModelNet40's layout."""
        return self.root / "data" / "modelnet40"

    @property
    def shapenetpart(self) -> Path:
        """Part-labelled objects in ShapeNetPart's layout."""
        return self.root / "data" / "shapenetpart"

    def store(self, name: str) -> Path:
        """A prepared store: frames, heldout, scenes, objects or parts."""
        return self.root / "store" / name

    def pretraining(self, method: str, seed: int) -> Path:
        """One pre-training: distilled, permuted or point_mae."""
        return self.root / "pretrain" / f"{method}-seed{seed}"

    def downstream(self, protocol: str, task: str, init: str, labels: str, seed: int) -> Path:
        """One fine-tuning or probe."""
        return self.root / protocol / task / f"{init}-{labels}-seed{seed}"
