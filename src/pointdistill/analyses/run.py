"""`pointdistill analyse`: all analyses of a finished pre-training, as analyses.json, examples/ and analyses.html."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pointdistill import __version__, targets
from pointdistill.analyses.captions import captions, neighbours_examples, reader_of
from pointdistill.analyses.concept_attention import attention_examples, concept_figures
from pointdistill.analyses.detections import detection_examples
from pointdistill.analyses.feature_maps import feature_map
from pointdistill.analyses.predictability import predictability
from pointdistill.analyses.sampling import sampling_examples
from pointdistill.analyses.subject import Subject
from pointdistill.console import answer, progress, say
from pointdistill.errors import DataError
from pointdistill.files import exclusive
from pointdistill.labelled import kind_of, open_splits
from pointdistill.report.analyses import Analyses, FeatureMap, write_analyses_page
from pointdistill.report.analyses.schema import write_analyses
from pointdistill.report.examples import Example, save_examples
from pointdistill.store import NO_TEACHER, FrameStore

Say = Callable[[str], None]
STEPS = 6


@dataclass(frozen=True)
class Analysis:
    """What is analysed, and on what.

    Attributes:
        run: folder of a finished pre-training.
        data: store of the frames it was trained on.
        heldout: store of frames of other scans, with the same teacher's targets.
        out: folder for everything that is written.
        objects: store of labelled objects, for features by class; None leaves these out.
        detector: folder of a fine-tuning for detection, and
        scenes: store of labelled scenes, for detected boxes; None leaves these out.
        teacher: how `prepare --teacher` names the run's, for captions; None takes the embedded one, if it is that.
    """

    run: Path
    data: Path
    heldout: Path
    out: Path
    objects: Path | None = None
    detector: Path | None = None
    scenes: Path | None = None
    teacher: str | None = None


def run_analysis(asked: Analysis, say: Say = lambda step: None) -> Analyses:
    """Compute and write everything; analyses.html last.

    Args:
        asked: what of.
        say: is told which step begins.

    Raises:
        CheckpointError: no finished pre-training, or no finished fine-tuning.
        DataError: a store that is not there or of another kind, or without the targets of the run's teacher.
        RecipeError: a named teacher is not the run's, or has no language model.
        MissingPackage: features by class without scikit-learn.
    """
    subject = Subject.read(asked.run)
    train, heldout = (open_frames(path, subject.run["teacher"]) for path in (asked.data, asked.heldout))
    if asked.objects is not None and kind_of(asked.objects) != "objects":
        raise DataError(asked.objects, f"is a store of {kind_of(asked.objects)}", "Name one of labelled objects.")
    with exclusive(asked.out):
        say("boxes")  # first: a detector or a store that cannot be read should be told of at once
        examples = [*_boxes(asked)]
        say("prefix")
        prefix = predictability(subject, train, heldout)
        say("concepts")
        concepts = concept_figures(subject, heldout)
        examples += attention_examples(subject, heldout)
        say("words and neighbours")
        reader = reader_of(subject, asked.run, asked.teacher)
        words = captions(subject, heldout, reader)
        examples += neighbours_examples(subject, heldout, reader)
        say("features")
        features = _features(subject, asked.objects)
        say("draws of points")
        examples += _samples(subject, heldout)
        title = f"What a pre-training by {subject.recipe.name} has learned"
        facts = _facts(asked, subject, train, heldout)
        analyses = Analyses(title, __version__, facts, prefix, concepts, features, captions=words)
        save_examples(asked.out, examples)
        write_analyses(asked.out, analyses)
        write_analyses_page(asked.out)
    return analyses


def open_frames(path: Path, teacher: dict[str, Any]) -> FrameStore:
    """A store of frames with a teacher's targets; of any one teacher's if the run had none.

    Raises:
        DataError: no such store, no such targets, or shapes, which no teacher has seen.
    """
    if teacher["identity"] == NO_TEACHER["identity"]:
        store = FrameStore.open(path)
    else:
        store = FrameStore.open(path, targets.folder_of(path, teacher).name)
    if not store.has_targets:
        raise DataError(path, "holds shapes without a teacher's targets", "Name a store of frames.")
    return store


def _boxes(asked: Analysis) -> list[Example]:
    if asked.detector is None or asked.scenes is None:
        return []
    return [*detection_examples(asked.detector, asked.scenes)]


def _features(subject: Subject, objects: Path | None) -> FeatureMap | None:
    return None if objects is None else feature_map(subject, open_splits(objects, ("train", "train", "test")))


def _samples(subject: Subject, heldout: FrameStore) -> list[Example]:
    """The recipe's number of points and a quarter of it: 4,096 and 1,024 at the paper's sizes."""
    drawn = subject.recipe.frames.points
    return [*sampling_examples(heldout, (drawn, drawn // 4))]


def _facts(asked: Analysis, subject: Subject, train: FrameStore, heldout: FrameStore) -> dict[str, str]:
    shared = {*train.scan_names} & {*heldout.scan_names}
    unseen = "held out" if not shared else f"NOT held out: {len(shared)} of the scans are among those trained on"
    return {
        "recipe": subject.recipe.name,
        "pre-training seed": str(subject.recipe.engine.seed),
        "run": subject.run["identity"][:16],
        "teacher": train.teacher["identity"],
        "training frames": f"{len(train):,} of {len(train.scan_names):,} scans, {train.manifest['source']}",
        "held-out frames": f"{len(heldout):,} of {len(heldout.scan_names):,} scans, {heldout.manifest['source']}",
        "the latter are": unseen,
    }


def run_analysis_command(
    run: Path,
    data: Path,
    heldout: Path,
    objects: Path | None,
    detector: Path | None,
    scenes: Path | None,
    out: Path | None,
    teacher: str | None = None,
) -> dict[str, Any]:
    """`pointdistill analyse RUN`: a line of R^2 and where the page is; the content of analyses.json with the folder."""
    asked = Analysis(run, data, heldout, out or run / "analyses", objects, detector, scenes, teacher)
    with progress() as bars:
        task = bars.add_task("analysing", total=STEPS, note="")
        begun = iter(range(STEPS))
        analyses = run_analysis(asked, lambda step: bars.update(task, completed=next(begun), note=step))
        bars.update(task, completed=STEPS, note="")
    assert analyses.predictability is not None
    for one in analyses.predictability.readings:
        answer(f"held-out R² by {one.init}, {one.how}: {_figure(one.total)}")
    say(f"{asked.out / 'analyses.html'}: the page; beside it analyses.json")
    return {"out": asked.out, **asdict(analyses)}


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
