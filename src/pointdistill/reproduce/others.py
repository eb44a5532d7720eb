"""Tables that are no downstream figures of rows: 7 (reconstruction losses), 8 (settings), 9 (classes one by one)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointdistill.metrics.significance import mean_std
from pointdistill.recipes.paper import paper
from pointdistill.recipes.recipe import as_json
from pointdistill.reconstruction import PUBLISHED
from pointdistill.reproduce.published import TABLE_1, TABLE_9, TABLE_9_CLASSES
from pointdistill.reproduce.results import run_facts
from pointdistill.reproduce.runs import Comparison, Place, Pretraining, Run, pretraining, row_runs
from pointdistill.reproduce.scales import DISTILL, Scale
from pointdistill.reproduce.stores import Needs
from pointdistill.reproduce.targets import needs_of, write_sheet
from pointdistill.reproduce.text import Grid, Sheet, mean_text, number_text

_RECONSTRUCTION = "reconstruction-output"
_ROWS = {
    "nothing": "No training",
    "reconstruction": "Only reconstruction",
    "distillation": "Only distillation",
}


@dataclass(frozen=True)
class ReconstructionTable:
    """Table 7 (`reconstruction.table_7`), once a seed."""

    scale: Scale
    seeds: int
    name: str = "table7"

    def comparisons(self) -> list[Comparison]:
        """One a seed."""
        scale = self.scale
        return [
            Comparison(pretraining(scale, _RECONSTRUCTION, seed), pretraining(scale, DISTILL, seed))
            for seed in range(self.seeds)
        ]

    def runs(self) -> list[Run]:
        """Both pre-trainings and what compares them."""
        return [run for one in self.comparisons() for run in (one.reconstruction, one.distillation, one)]

    def needs(self) -> Needs:
        """The frames."""
        return needs_of(self.runs(), self.scale)

    def write(self, place: Place) -> Path:
        """Both columns beside the printed one."""
        results = [place.result(run) for run in self.comparisons()]
        tables = [result["rows"] for result in results if result is not None]
        columns = {
            key: {row: [table[row][key] for table in tables] for row in _ROWS} for key in ("chamfer", "new_decoder")
        }
        rows = [
            [label, f"{PUBLISHED[row]:g}", *(_scientific(columns[key][row]) for key in columns)]
            for row, label in _ROWS.items()
        ]
        headings = ["training", "paper", "ours", "ours, new decoder"]
        sheet = Sheet(
            f"Table 7: reconstruction loss after training by different losses, scale {self.scale.name}",
            [Grid("", headings, rows)],
            [
                f"Mean ± standard deviation over {self.seeds} seeds, each new pre-trainings; l2 Chamfer distance of "
                "hidden patches in squared radii of the cloud. The paper does not say its units, nor its decoder's "
                "scale.",
                "Ours: the decoder is learned with the encoder under 'Only reconstruction', and at its random start, "
                "never updated, in the other rows. New decoder (not in the paper): one trained on each frozen encoder.",
                *(f"Seed {seed}: {result['verdict']}." for seed, result in enumerate(results) if result is not None),
            ],
        )
        content = {"columns": columns, "published": PUBLISHED, **run_facts(self.name, self.scale, self.seeds)}
        return write_sheet(place, self.name, content, sheet)


@dataclass(frozen=True)
class Settings:
    """Table 8: what pre-training was set to, the paper's beside the scale's."""

    scale: Scale
    seeds: int
    name: str = "table8"

    def runs(self) -> list[Run]:
        """None."""
        return []

    def needs(self) -> Needs:
        """Nothing."""
        return Needs(frozenset(), False, frozenset())

    def write(self, place: Place) -> Path:
        """Every setting of both recipes."""
        theirs, ours = (dict(_leaves(as_json(recipe))) for recipe in (paper(), self.scale.base))
        rows = [
            [name, _plain(theirs.get(name)), _plain(ours.get(name)), "" if theirs.get(name) == ours.get(name) else "*"]
            for name in {**theirs, **ours}
        ]
        notes = [
            "Paper: recipes.paper.paper, Table 8 and, where it is silent, the decisions of docs/paper.md.",
            f"*: differs at scale {self.scale.name}; docs/paper.md says why.",
        ]
        sheet = Sheet(
            f"Table 8: settings of the pre-training, scale {self.scale.name}",
            [Grid("", ["setting", "paper", self.scale.name, ""], rows)],
            notes,
        )
        content = {"paper": theirs, "ours": ours, **run_facts(self.name, self.scale, self.seeds)}
        return write_sheet(place, self.name, content, sheet)


@dataclass(frozen=True)
class PerClass:
    """Table 9: AP25 of each class, Point-MAE and distillation, from Table 1's runs."""

    scale: Scale
    seeds: int
    name: str = "table9"

    def _runs(self, label: str) -> tuple[tuple[Pretraining, ...], tuple[Run, ...]]:
        found = row_runs(TABLE_1, TABLE_1.row(label), self.scale, self.seeds)
        return found.pretrainings, found.finetunings

    def runs(self) -> list[Run]:
        """Those of two rows of Table 1."""
        return [run for label in TABLE_9 for part in self._runs(label) for run in part]

    def needs(self) -> Needs:
        """As Table 1's."""
        return needs_of(self.runs(), self.scale)

    def write(self, place: Place) -> Path:
        """Each class with both methods, printed and ours."""
        figures = {}
        for label in TABLE_9:
            results = [place.result(run) for run in self._runs(label)[1]]
            tested = [result["test"]["ap25_by_class"] for result in results if result is not None]
            figures[label] = {
                name: [100 * one[name] for one in tested if one.get(name) is not None]
                for name in dict.fromkeys(name for one in tested for name in one)
            }
        printed: dict[str, dict[str, float]] = {
            label: dict(zip(TABLE_9_CLASSES, map(float, text.split()), strict=True)) for label, text in TABLE_9.items()
        }
        names = list(dict.fromkeys([*TABLE_9_CLASSES, *(name for found in figures.values() for name in found)]))
        rows = [
            [
                name,
                *(number_text(printed[label].get(name)) for label in TABLE_9),
                *(mean_text(figures[label].get(name)) for label in TABLE_9),
                _gap(figures, name),
            ]
            for name in names
        ]
        headings = [
            "class",
            *(f"paper, {label}" for label in TABLE_9),
            *(f"ours, {label}" for label in TABLE_9),
            "diff.",
        ]
        notes = [
            f"AP25 in %, mean ± standard deviation over {self.seeds} seeds. Diff.: ours, distillation minus Point-MAE. "
            "Eighteen classes are eighteen comparisons: single differences are not tested.",
        ]
        sheet = Sheet(
            f"Table 9: AP25 by class on ScanNetV2, scale {self.scale.name}", [Grid("", headings, rows)], notes
        )
        content = {"published": printed, "figures": figures, **run_facts(self.name, self.scale, self.seeds)}
        return write_sheet(place, self.name, content, sheet)


def _gap(figures: dict[str, dict[str, list[float]]], name: str) -> str:
    means = [mean_std(figures[label][name]).mean if figures[label].get(name) else None for label in TABLE_9]
    return "" if None in means else f"{means[1] - means[0]:+.1f}"  # type: ignore[operator]


def _scientific(values: list[float]) -> str:
    mean, std = mean_std(values)
    return f"{mean:.3e}" if len(values) < 2 else f"{mean:.3e} ± {std:.1e}"


def _leaves(content: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in content.items():
        where = f"{path}.{name}".lstrip(".")
        found += _leaves(value, where) if isinstance(value, dict) else [(where, value)]
    return found


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
