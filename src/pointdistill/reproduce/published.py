"""What the paper prints in Tables 1 to 7, 9 and 10, and which of its rows are trained here: data, no code.

Rows that are not trained here stand with the figure that the paper prints; it takes most of them from the works it
names. "Ours" marks rows that the paper does not have.
"""

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["detection", "semantic_segmentation", "classification", "part_segmentation"]
SCRATCH = "scratch"
SCANNET, SHAPENET = "ScanNetV2", "ShapeNet"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        label: as printed.
        published: the printed figures in %, one a column; None where none is printed.
        start: what the backbone starts from where the row is trained here: "scratch", or a pre-training by its name
            (`Scale.pretraining`); None: not trained here.
        network: another network than the paper's backbone, by the name of its downstream recipe (`Scale.network`).
        data: what pre-training saw, as printed.
        ours: the paper has no such row.
        note: what a reader must know about the printed figure or the row.
    """

    label: str
    published: tuple[float | None, ...] = ()
    start: str | None = None
    network: str | None = None
    data: str = ""
    ours: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of downstream figures.

    Attributes:
        name: table1, table2, ...
        title: what it is.
        task: which downstream task.
        columns: keys of the task's figures, the main one first; all in %.
        rows: as printed, ours after those they belong to.
        reference: label of the row that others are compared with.
        claims: pairs (better, worse) of labels that the paper states or implies; each is tested.
        voted: the printed figures are votes over augmented draws.
        source: where it stands.
    """

    name: str
    title: str
    task: TaskName
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    reference: str
    claims: tuple[tuple[str, str], ...]
    voted: bool = False
    source: str = ""

    @property
    def trained(self) -> tuple[Row, ...]:
        """The rows that are trained here."""
        return tuple(row for row in self.rows if row.start is not None)

    def row(self, label: str) -> Row:
        """The row of this label."""
        return next(row for row in self.rows if row.label == label)

    @property
    def metric(self) -> str:
        """The main figure of a fine-tuning, which knows no votes."""
        return "accuracy" if self.task == "classification" else self.columns[0]


_ON_VOTENET = "printed for a VoteNet backbone; here the method is on the paper's transformer"

TABLE_1 = Table(
    name="table1",
    title="Object detection on ScanNetV2",
    task="detection",
    columns=("ap25", "ap50"),
    rows=(
        Row("VoteNet", (58.6, 33.5)),
        Row("STRL", (59.5, 38.4)),
        Row("Implicit Autoencoder", (61.5, 39.8)),
        Row("RandomRooms", (61.3, 36.2)),
        Row("PointContrast", (59.2, 38.0), "point-contrast", data=SCANNET, note=_ON_VOTENET),
        Row("DepthContrast", (61.3, None), "depth-contrast", data=SCANNET, note=_ON_VOTENET),
        Row("3DETR", (61.1, 40.2), SCRATCH, network="3detr", note="3DETR's own encoder, from scratch"),
        Row("From scratch", (None, None), SCRATCH, ours=True, note="the paper's backbone from random weights"),
        Row("Point-BERT", (61.0, 38.3), "point-bert", data=SCANNET),
        Row("Point-MAE", (62.1, 41.2), "point-mae", data=SCANNET),
        Row("Distillation", (63.4, 42.2), "distill", data=SCANNET),
    ),
    reference="Distillation",
    claims=(
        ("Distillation", "From scratch"),
        ("Distillation", "Point-MAE"),
        ("Distillation", "Point-BERT"),
        ("Distillation", "PointContrast"),
        ("Distillation", "DepthContrast"),
        ("Point-MAE", "From scratch"),
    ),
    source="Table 1",
)

TABLE_2 = Table(
    name="table2",
    title="Semantic segmentation on ScanNetV2",
    task="semantic_segmentation",
    columns=("miou",),
    rows=(
        Row("PointNet++", (33.9,), note="of the hidden test split, as its paper prints it"),
        Row("DGCNN", (44.6,), SCRATCH, network="dgcnn"),
        Row("Transformer-DGCNN", (37.0,), SCRATCH, note="the paper's backbone from random weights"),
        Row("Point-MAE", (45.4,), "point-mae", data=SCANNET),
        Row("CrossPoint", (None,), "cross-point", data=SCANNET, ours=True),
        Row("Distillation", (46.4,), "distill", data=SCANNET),
    ),
    reference="Distillation",
    claims=(
        ("Distillation", "Transformer-DGCNN"),
        ("Distillation", "Point-MAE"),
        ("Distillation", "CrossPoint"),
        ("Point-MAE", "Transformer-DGCNN"),
        ("DGCNN", "Transformer-DGCNN"),
    ),
    source="Table 2",
)

TABLE_3 = Table(
    name="table3",
    title="Object classification on ModelNet40",
    task="classification",
    columns=("vote10", "accuracy", "best", "max_of_n"),
    rows=(
        Row("PointNet", (89.2,)),
        Row("PointNet++", (90.7,)),
        Row("PointCNN", (92.5,)),
        Row("KPConv", (92.9,)),
        Row("DGCNN", (92.9,)),
        Row("RSCNN", (92.9,)),
        Row("Transformer", (92.1,), SCRATCH),
        Row("Transformer-OcCo", (93.0,), "shapes/occo", data=SHAPENET),
        Row("Point-BERT", (93.2,), "shapes/point-bert", data=SHAPENET),
        Row("Point-MAE, ShapeNet", (93.8,), "shapes/point-mae", data=SHAPENET),
        Row("MaskPoint, ShapeNet", (93.8,), "shapes/mask-point", data=SHAPENET),
        Row("Point-MAE, ScanNetV2", (92.5,), "point-mae", data=SCANNET),
        Row("MaskPoint, ScanNetV2", (92.7,), "mask-point", data=SCANNET),
        Row("Distillation", (93.0,), "distill", data=SCANNET),
    ),
    reference="Distillation",
    claims=(
        ("Distillation", "Transformer"),
        ("Distillation", "Point-MAE, ScanNetV2"),
        ("Distillation", "MaskPoint, ScanNetV2"),
        ("Point-MAE, ShapeNet", "Distillation"),
        ("MaskPoint, ShapeNet", "Distillation"),
    ),
    voted=True,
    source="Table 3",
)

TABLE_4 = Table(
    name="table4",
    title="Part segmentation on ShapeNetPart",
    task="part_segmentation",
    columns=("instance_miou", "class_miou"),
    rows=(
        Row("PointNet", (83.7,)),
        Row("PointNet++", (85.1,)),
        Row("DGCNN", (85.2,)),
        Row("Transformer", (85.1,), SCRATCH),
        Row("Point-BERT", (85.6,), "shapes/point-bert", data=SHAPENET),
        Row("Point-MAE, ShapeNet", (86.1,), "shapes/point-mae", data=SHAPENET),
        Row("Point-MAE, ScanNetV2", (85.9,), "point-mae", data=SCANNET),
        Row("Distillation", (85.9,), "distill", data=SCANNET),
    ),
    reference="Distillation",
    claims=(("Distillation", "Transformer"), ("Point-MAE, ShapeNet", "Distillation")),
    source="Table 4",
)

_FAIR = "mean and maximum of the tokens: the fair opponent, on which claims about concepts rest"

TABLE_5 = Table(
    name="table5",
    title="Ablation of the components, classification without voting",
    task="classification",
    columns=("accuracy", "best"),
    rows=(
        Row("From scratch", (92.38,), SCRATCH),
        Row(
            "w/o concept extraction",
            (92.42,),
            "tokens",
            data=SCANNET,
            note="the tokens flattened in the order of farthest points: an easy opponent",
        ),
        Row("w/o concept extraction, pooled", (None,), "pooled", data=SCANNET, ours=True, note=_FAIR),
        Row("w/o caption model", (92.18,), "no-captions", data=SCANNET, note="the target is the image feature"),
        Row(
            "Direct local alignment",
            (91.65,),
            "local",
            data=SCANNET,
            note="to CLIP's 7 x 7 patch tokens; at the small scale to the embedded teacher's 4 x 4 places",
        ),
        Row("Distillation", (92.71,), "distill", data=SCANNET),
        Row(
            "Distillation, random teacher",
            (None,),
            "random-teacher",
            data=SCANNET,
            ours=True,
            note="a teacher of random weights: the control for the claim that 2D knowledge is transferred",
        ),
    ),
    reference="Distillation",
    claims=(
        ("Distillation", "w/o concept extraction"),
        ("Distillation", "w/o concept extraction, pooled"),
        ("Distillation", "From scratch"),
        ("Distillation", "w/o caption model"),
        ("Distillation", "Direct local alignment"),
        ("Distillation", "Distillation, random teacher"),
        ("From scratch", "w/o caption model"),
        ("w/o caption model", "Direct local alignment"),
    ),
    source="Table 5",
)

TABLE_6 = Table(
    name="table6",
    title="Reconstruction beside distillation, classification without voting",
    task="classification",
    columns=("accuracy", "best"),
    rows=(
        Row("Only reconstruction", (92.42,), "reconstruction-output", data=SCANNET, note="masked after the encoder"),
        Row(
            "Only reconstruction, masked input",
            (None,),
            "reconstruction-input",
            data=SCANNET,
            ours=True,
            note="Point-MAE's form with the same decoder",
        ),
        Row("Only distillation", (92.71,), "distill", data=SCANNET),
        Row("Reconstruction + distillation", (92.42,), "both-output", data=SCANNET),
        Row(
            "Reconstruction + distillation, masked input",
            (None,),
            "both-input",
            data=SCANNET,
            ours=True,
            note="Point-MAE's form with the same decoder",
        ),
        Row("From scratch", (92.38,), SCRATCH, ours=True, note="Table 5's row"),
    ),
    reference="Only distillation",
    claims=(
        ("Only distillation", "Only reconstruction"),
        ("Only distillation", "Only reconstruction, masked input"),
        ("Only distillation", "Reconstruction + distillation"),
        ("Only distillation", "Reconstruction + distillation, masked input"),
    ),
    source="Table 6",
)

TABLE_10 = Table(
    name="table10",
    title="Points drawn of a frame while pre-training, classification without voting",
    task="classification",
    columns=("accuracy", "best"),
    rows=(
        Row("1024 points", (92.02,), "distill@quarter", data=SCANNET),
        Row("4096 points", (92.71,), "distill", data=SCANNET),
    ),
    reference="4096 points",
    claims=(("4096 points", "1024 points"),),
    source="Table 10",
)

VARIANTS = Table(
    name="variants",
    title="Variants of the distillation that the paper does not print, classification without voting",
    task="classification",
    columns=("accuracy", "best"),
    rows=(
        Row("From scratch", (), SCRATCH, ours=True),
        Row("Distillation", (), "distill", data=SCANNET, ours=True),
        Row(
            "Untied cross-attention", (), "untied", data=SCANNET, ours=True, note="parameters of its own in every layer"
        ),
        Row("Mixed projector", (), "mix", data=SCANNET, ours=True, note="tokens mixed first: few parameters"),
        Row(
            "ImageNet teacher",
            (),
            "imagenet",
            data=SCANNET,
            ours=True,
            note="the pooled features of EfficientNet-Lite0: photographs' knowledge, which no caption says",
        ),
        Row("Random teacher", (), "random-teacher", data=SCANNET, ours=True, note="the control: knows nothing"),
    ),
    reference="Distillation",
    claims=(
        ("Distillation", "From scratch"),
        ("Distillation", "Untied cross-attention"),
        ("Distillation", "Mixed projector"),
        ("Distillation", "Random teacher"),
        ("ImageNet teacher", "Random teacher"),
        ("ImageNet teacher", "From scratch"),
    ),
    source="Ours",
)

TABLES = {table.name: table for table in (TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6, TABLE_10, VARIANTS)}
"""Tables of downstream figures, by name. Tables 7 to 9 are of other kinds: `reproduce.others`."""

EFFICIENCY = (
    SCRATCH,
    "point-contrast",
    "depth-contrast",
    "cross-point",
    "point-bert",
    "mask-point",
    "point-mae",
    "distill",
)
"""What label-efficiency curves are drawn of."""

TABLE_9 = {
    "Point-MAE": "48.6 81.2 88.0 90.6 66.9 50.9 40.0 43.8 12.7 55.1 70.7 53.8 55.4 59.7 99.6 68.3 84.1 47.2",
    "Distillation": "45.4 80.0 87.6 87.8 63.8 49.9 40.0 50.6 12.4 57.6 72.8 60.4 61.0 67.2 99.2 74.8 84.2 46.6",
}
"""Table 9, AP25 of each class in the order of `TABLE_9_CLASSES`."""
TABLE_9_CLASSES: tuple[str, ...] = (
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "desk",
    "curtain",
    "refrigerator",
    "shower curtain",
    "toilet",
    "sink",
    "bathtub",
    "garbage bin",
)
