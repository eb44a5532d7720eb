"""How well captions, zero-shot labels and features read from bare clouds fit what the frames show.

    python benchmarks/language.py RUN --out FOLDER

RUN is a finished pre-training with the embedded teacher (a quickstart's pretrain/distilled-seed0). Rooms of the
validation seeds, which no pre-training sees, are recorded and prepared in FOLDER; the tables of docs/language.md are
printed. "Wrong cloud": the prediction from a frame of another room; what it scores is owed to what rooms share.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor

from pointdistill.applications.classify import CAPTION, fill, likelihood_scores
from pointdistill.applications.embed import Encoder, embed, load_encoder
from pointdistill.applications.prefix import teacher_of
from pointdistill.distilled import Distilled, load_distilled
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.prepare import prepare_frames
from pointdistill.pretraining import validation_loader
from pointdistill.recipes.quickstart import quickstart
from pointdistill.store import FrameStore
from pointdistill.teachers.quality import class_precision_recall
from pointdistill.teachers.small import SmallTeacher, load_small_teacher
from pointdistill.world.captioned import visible_classes
from pointdistill.world.classes import CLASSES
from pointdistill.world.recall import frame_of
from pointdistill.world.rooms import KINDS
from pointdistill.world.scannet import write_scannet
from pointdistill.world.seeds import SEEDS

NEIGHBOURS = 5


def main(run: Annotated[Path, tyro.conf.Positional], out: Path, rooms: int = 24, workers: int | None = None) -> None:
    """Record, prepare, predict, print.

    Args:
        run: folder of a finished pre-training.
        out: folder for recordings and store; what is there is kept.
        rooms: how many.
        workers: processes; default the usable cores.
    """
    world, distilled = quickstart("full").world, load_distilled(run)
    seeds = SEEDS["val"][:rooms]
    write_scannet(out / "recordings", {"val": seeds}, world.recording, workers=workers)
    store = prepare_frames(out / "recordings", out / "store", load_small_teacher, "val", 1, 4096, workers=workers)
    teacher = teacher_of(distilled)
    assert isinstance(teacher, SmallTeacher)
    seen = [frame_of(out / "recordings", store.scan_of(i), int(store.frames[i])) for i in range(len(store))]
    kinds = np.array([KINDS.index(room.kind) for room, _ in seen])
    classes = [frozenset(visible_classes(frame.nyu40)) for _, frame in seen]
    image = torch.from_numpy(np.array(store.targets)).float()
    cloud = predictions(distilled, store)
    other = wrong(store)
    prefixes = {"image": image, "cloud": cloud, "wrong cloud": cloud[other]}
    mean = distilled.mean_target
    print(f"{len(store)} frames of {len(store.scan_names)} rooms\n")
    captions(teacher, prefixes, mean, classes)
    present = np.array([[name in visible for name in CLASSES] for visible in classes])
    zero_shot(teacher, prefixes, mean, "room", list(KINDS), np.eye(len(KINDS), dtype=bool)[kinds])
    zero_shot(teacher, prefixes, mean, "thing", list(CLASSES), present)
    retrieval(load_encoder(run), store, kinds, present, cloud)


@torch.no_grad()
def predictions(run: Distilled, store: FrameStore) -> Tensor:
    """The student's prefix of each frame, in the store's order."""
    batches = list(validation_loader(run.recipe, store).epoch(0))
    order = torch.cat([batch.index for batch in batches]).argsort()
    return torch.cat([run.method.predict(batch.points) for batch in batches])[order]


def wrong(store: FrameStore) -> np.ndarray:
    """For each frame one of another room, drawn once."""
    generator = np.random.default_rng(0)
    return np.array([generator.choice(np.flatnonzero(store.scans != scan)) for scan in store.scans])


def captions(teacher: SmallTeacher, prefixes: dict[str, Tensor], mean: Tensor, classes: list[frozenset[str]]) -> None:
    print("| caption read from | classes named that are visible | visible classes that are named |\n|---|---:|---:|")
    texts = {name: teacher.caption(prefix) for name, prefix in prefixes.items()}
    texts["the mean prefix"] = teacher.caption(mean[None]) * len(classes)
    for name, said in texts.items():
        precision, recall = class_precision_recall(said, classes)
        print(f"| {name} | {precision:.2f} | {recall:.2f} |")


def zero_shot(
    teacher: SmallTeacher, prefixes: dict[str, Tensor], mean: Tensor, what: str, labels: list[str], right: np.ndarray
) -> None:
    """Accuracy: the best label is one that is right. Frames that show none of the labels are left out."""
    shown = right.any(1)
    texts = fill(labels, CAPTION)
    lengths = torch.tensor([len(text.split()) + 1 for text in texts])
    print(f"\n| {what}, {len(labels)} labels | " + " | ".join(prefixes) + " |\n|---|" + "---:|" * len(prefixes))
    scores = {
        "likelihood over that at the mean prefix": lambda prefix: likelihood_scores(prefix, mean, texts, teacher),
        "likelihood": lambda prefix: teacher.log_likelihood(prefix, texts),
        "likelihood a token": lambda prefix: teacher.log_likelihood(prefix, texts) / lengths,
    }
    for name, score in scores.items():
        best = [score(prefix).argmax(1).numpy()[shown] for prefix in prefixes.values()]
        figures = [right[shown][np.arange(shown.sum()), row].mean() for row in best]
        print(f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
    rates = right[shown].mean(0)
    print(f"| a label at random; always {labels[int(rates.argmax())]} | {rates.mean():.2f}; {rates.max():.2f} | | |")


def retrieval(encoder: Encoder, store: FrameStore, kinds: np.ndarray, present: np.ndarray, prefix: Tensor) -> None:
    """What the nearest frames of other rooms have in common with a frame."""
    torch.manual_seed(0)
    scratch = Encoder(PointTransformer(encoder.backbone.config).eval(), encoder.frame, encoder.points)
    print(
        f"\n| {NEIGHBOURS} nearest of other rooms by | same kind of room | visible classes in common |\n|---|---:|---:|"
    )
    clouds = [store.cloud(i) @ store.pose(i)[:3, :3].T for i in range(len(store))]
    features = {
        "pooled features, distilled": np.stack([embed(cloud, encoder).pooled for cloud in clouds]),
        "pooled features, random weights": np.stack([embed(cloud, scratch).pooled for cloud in clouds]),
        "predicted prefix": prefix.flatten(1).numpy(),
        "nothing": np.random.default_rng(0).standard_normal((len(store), 64)),
    }
    for name, rows in features.items():
        rows = rows - rows.mean(0)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        similarity = np.where(store.scans[:, None] == store.scans[None], -np.inf, rows @ rows.T)
        nearest = np.argsort(-similarity, axis=1)[:, :NEIGHBOURS]
        same = (kinds[nearest] == kinds[:, None]).mean()
        both = (present[nearest] & present[:, None]).sum(-1)
        either = np.maximum((present[nearest] | present[:, None]).sum(-1), 1)
        print(f"| {name} | {same:.2f} | {(both / either).mean():.2f} |")


if __name__ == "__main__":
    tyro.cli(main)
