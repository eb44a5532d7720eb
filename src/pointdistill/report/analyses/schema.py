"""analyses.json: what explains a pre-training, as plain values. Clouds lie beside it (`report.examples`)."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pointdistill.errors import DataError
from pointdistill.files import read_json, write_json
from pointdistill.typed_json import read_typed

FILE = "analyses.json"


@dataclass(frozen=True)
class Reading:
    """How much of held-out targets is predicted: R^2, about the held-out mean; None where targets do not vary.

    Attributes:
        init: where the backbone's weights come from: "scratch", or a method's name.
        how: the method's own prediction, or a ridge regression on the frozen backbone's features.
        total: over all numbers of the targets.
        tokens: of each token of the prefix.
        components: along each principal component of the training targets.
    """

    init: str
    how: Literal["prediction", "ridge"]
    total: float | None
    tokens: list[float | None]
    components: list[float | None]


@dataclass(frozen=True)
class Predictability:
    """How much of a teacher's prefix can be predicted from geometry.

    Attributes:
        train_frames: frames that principal components and regressions were fitted on.
        heldout_frames, heldout_scans: what the figures are of.
        shares: each component's share of the training targets' variance, the largest first.
        readings: by whom, and how well.
    """

    train_frames: int
    heldout_frames: int
    heldout_scans: int
    shares: list[float]
    readings: list[Reading]


@dataclass(frozen=True)
class ConceptFigures:
    """Where the concept tokens look, in figures; means over held-out frames.

    Attributes:
        frames: how many.
        patches: patches a cloud.
        read: of each concept, exp(entropy of its attention): so many patches, read alike, would be as spread out.
        overlap: what two concepts' attentions have in common, the sum of the smaller one of each patch: 1 if all
            concepts look at the same. None for a single concept.
    """

    frames: int
    patches: int
    read: list[float]
    overlap: float | None


@dataclass(frozen=True)
class MappedFeatures:
    """The frozen features of one backbone, laid out in the plane.

    Attributes:
        init: where its weights come from.
        neighbours: accuracy of a vote of the nearest training objects, all dimensions, a share.
        silhouette: mean silhouette of the classes in all dimensions, -1 to 1: above 0 where classes keep to themselves.
        pca: (objects, 2), the first two principal components.
        pca_shares: their shares of the variance.
        tsne: (objects, 2), t-SNE.
    """

    init: str
    neighbours: float
    silhouette: float
    pca: list[tuple[float, float]]
    pca_shares: tuple[float, float]
    tsne: list[tuple[float, float]]


@dataclass(frozen=True)
class FeatureMap:
    """Labelled objects by their frozen features, a backbone beside the other.

    Attributes:
        classes: their names.
        labels: of each object, an index into them.
        perplexity: of t-SNE.
        seed: of t-SNE and of scratch weights.
        features: of each backbone.
    """

    classes: list[str]
    labels: list[int]
    perplexity: float
    seed: int
    features: list[MappedFeatures]


@dataclass(frozen=True)
class LabelCurves:
    """A metric against the share of labels trained on.

    Attributes:
        title: for instance the task.
        metric: its name, and `unit` in what unit.
        figures: initialisation -> labels, in `axis` -> one figure a seed.
        axis: what labels are counted in: per cent of them all, rooms, objects a class.
    """

    title: str
    metric: str
    unit: str
    figures: dict[str, dict[float, list[float]]]
    axis: str = "%"


@dataclass(frozen=True)
class ProtocolFigures:
    """A metric under several protocols, such as a linear probe beside fine-tuning.

    Attributes:
        title, metric, unit: as in `LabelCurves`.
        figures: protocol -> initialisation -> one figure a seed.
    """

    title: str
    metric: str
    unit: str
    figures: dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Caption:
    """A held-out frame in words.

    Attributes:
        frame: its name.
        teacher: read from the teacher's prefix of its picture.
        student: read from the prefix predicted from its points.
    """

    frame: str
    teacher: str
    student: str


@dataclass(frozen=True)
class Analyses:
    """All of a page. What was not asked for is None, or empty.

    Attributes:
        title: the page's.
        version: of pointdistill.
        facts: what was analysed: run, recipe, teacher, stores.
    """

    title: str
    version: str
    facts: dict[str, str] = field(default_factory=dict)
    predictability: Predictability | None = None
    concepts: ConceptFigures | None = None
    features: FeatureMap | None = None
    label_curves: list[LabelCurves] = field(default_factory=list)
    protocols: list[ProtocolFigures] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)


def write_analyses(folder: Path, analyses: Analyses) -> None:
    """Write FOLDER/analyses.json."""
    write_json(folder / FILE, asdict(analyses))


def read_analyses(folder: Path) -> Analyses:
    """Read FOLDER/analyses.json back.

    Raises:
        DataError: it is not there, damaged, or of another version.
    """
    path, remedy = folder / FILE, "Run `pointdistill analyse` again."
    content = read_json(path, remedy)
    try:
        return read_typed(Analyses, content)
    except TypeError as error:
        raise DataError(path, f"cannot be read ({error})", remedy) from error
