"""Label-efficiency curves: each way to start, fine-tuned on 1 to 100 % of the labelled objects."""

from dataclasses import dataclass
from pathlib import Path

from pointdistill import __version__
from pointdistill.report.analyses import Analyses, LabelCurves
from pointdistill.reproduce.figures import write_page
from pointdistill.reproduce.published import EFFICIENCY, SCRATCH
from pointdistill.reproduce.results import run_facts
from pointdistill.reproduce.runs import Downstream, Place, Run, pretraining
from pointdistill.reproduce.scales import Scale
from pointdistill.reproduce.stores import Needs
from pointdistill.reproduce.targets import needs_of, write_sheet
from pointdistill.reproduce.text import Grid, Sheet, mean_text

_TASK = "classification"


@dataclass(frozen=True)
class LabelEfficiency:
    """Classification from every start on a share of the labels, and the linear probe beside it."""

    scale: Scale
    seeds: int
    name: str = "label-efficiency"
    starts: tuple[str, ...] = EFFICIENCY

    def cells(self) -> dict[tuple[str, str, float], list[Downstream]]:
        """The runs of each protocol, start and share of the labels."""
        scale, recipe = self.scale, self.scale.tasks[_TASK]
        found = {}
        for start in self.starts:
            for fraction in scale.fractions:
                labels = None if fraction == 1 else max(1, round(fraction * scale.objects_a_class))
                for protocol in ("finetune", "probe"):
                    found[protocol, start, fraction] = [
                        Downstream(
                            protocol,
                            recipe,
                            None if start == SCRATCH else pretraining(scale, start, seed),
                            labels,
                            seed,
                        )
                        for seed in range(self.seeds)
                    ]
        return found

    def runs(self) -> list[Run]:
        """All cells', and the pre-trainings behind them."""
        cells = [run for runs in self.cells().values() for run in runs]
        return [*(run.pretraining for run in cells if run.pretraining is not None), *cells]

    def needs(self) -> Needs:
        """Frames and labelled objects."""
        return needs_of(self.runs(), self.scale)

    def write(self, place: Place) -> Path:
        """A grid of starts by shares for each protocol."""
        figures: dict[str, dict[str, dict[str, list[float]]]] = {}
        curves: dict[str, dict[str, dict[float, list[float]]]] = {}
        metric = self.scale.tasks[_TASK].task.metric
        for (protocol, start, fraction), runs in self.cells().items():
            results = [result for run in runs if (result := place.result(run)) is not None]
            values, share = [100 * result["test"][metric] for result in results], 100 * fraction
            figures.setdefault(protocol, {}).setdefault(start, {})[f"{share:g} %"] = values
            curves.setdefault(protocol, {}).setdefault(start.replace("-", "_"), {})[share] = values
        shares = [f"{100 * fraction:g} %" for fraction in self.scale.fractions]
        titles = {"finetune": "fine-tuning", "probe": "linear probe on the frozen backbone"}
        grids = [
            Grid(
                f"{titles[protocol].capitalize()}, accuracy by share of the labels",
                ["start", *shares],
                [[start, *(mean_text(row[share]) for share in shares)] for start, row in found.items()],
            )
            for protocol, found in figures.items()
        ]
        notes = [
            f"Fine-tuning, then (second table) the linear probe; accuracy on the test split in %, mean ± standard "
            f"deviation over {self.seeds} seeds, each a new pre-training, a new draw of the labels and a new "
            f"fine-tuning of the same number of steps; 100 % are {self.scale.objects_a_class} objects a class.",
        ]
        sheet = Sheet(f"Label efficiency, classification, scale {self.scale.name}", grids, notes)
        protocols = {"finetune": "Fine-tuning", "probe": "Linear probe"}
        drawn = [LabelCurves(title, "accuracy", "%", curves[key]) for key, title in protocols.items()]
        write_page(place, self.name, Analyses(sheet.title, __version__, {}, label_curves=drawn))
        content = {"figures": figures, **run_facts(self.name, self.scale, self.seeds)}
        return write_sheet(place, self.name, content, sheet)
