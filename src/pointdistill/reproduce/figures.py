"""Figures 3 and 4 of the paper as pages: detections beside the truth, and what a draw of points keeps of a frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointdistill import __version__
from pointdistill.analyses.detections import detection_examples
from pointdistill.analyses.sampling import sampling_examples
from pointdistill.console import say
from pointdistill.report.analyses import Analyses, write_analyses_page
from pointdistill.report.analyses.schema import FILE, write_analyses
from pointdistill.report.examples import Example, save_examples
from pointdistill.reproduce.published import TABLE_1
from pointdistill.reproduce.runs import Place, Run, row_runs
from pointdistill.reproduce.scales import DISTILL, Scale
from pointdistill.reproduce.stores import Needs
from pointdistill.reproduce.targets import needs_of
from pointdistill.store import FrameStore


@dataclass(frozen=True)
class DetectionFigure:
    """Figure 3: rooms of the test split, evenly spaced, with the boxes of Table 1's distilled model of seed 0."""

    scale: Scale
    seeds: int
    name: str = "figure3"

    def _runs(self) -> tuple[Run, ...]:
        found = row_runs(TABLE_1, TABLE_1.row("Distillation"), self.scale, 1)
        return *found.pretrainings, *found.finetunings

    def runs(self) -> list[Run]:
        """One pre-training and one fine-tuning."""
        return list(self._runs())

    def needs(self) -> Needs:
        """Frames and rooms."""
        return needs_of(self.runs(), self.scale)

    def write(self, place: Place) -> Path:
        """A page with the boxes: true ones green, predicted ones red."""
        tuned = place.folder(self._runs()[-1])
        examples = detection_examples(tuned, place.stores.labelled(self.scale.tasks["detection"]))
        facts = {"model": tuned.name, "scale": self.scale.name}
        return write_page(place, self.name, Analyses("Figure 3: detected boxes", __version__, facts), examples)


@dataclass(frozen=True)
class SamplingFigure:
    """Figure 4: frames of held-out scans in all their points, in as many as a cloud has, and in a quarter of these."""

    scale: Scale
    seeds: int
    name: str = "figure4"

    def runs(self) -> list[Run]:
        """None."""
        return []

    def needs(self) -> Needs:
        """The frames."""
        return Needs(frozenset({self.scale.teacher}), False, frozenset())

    def write(self, place: Place) -> Path:
        """A page with three panels a frame."""
        teacher = self.scale.teacher_of(DISTILL)
        assert teacher is not None
        _, heldout = place.stores.frames(teacher)
        assert heldout is not None
        points = self.scale.base.frames.points
        store = FrameStore.open(heldout, place.stores.identity(teacher))
        examples = sampling_examples(store, (points, points // 4))
        facts = {"frames": store.manifest["source"], "scale": self.scale.name}
        return write_page(place, self.name, Analyses("Figure 4: draws of points", __version__, facts), examples)


def write_page(place: Place, name: str, analyses: Analyses, examples: Sequence[Example] = ()) -> Path:
    """Write out/figures/NAME-SCALE with its data and one self-contained page; the JSON file."""
    folder = place.out / "figures" / f"{name}-{place.scale.name}"
    folder.mkdir(parents=True, exist_ok=True)
    save_examples(folder, list(examples))
    write_analyses(folder, analyses)
    say(f"{write_analyses_page(folder)}: the page")
    return folder / FILE
