"""Made-up runs for the report's tests: rooms of boxes, a camera in them, and figures that nobody measured."""

import numpy as np

from pointdistill.report.examples import (
    DetectionExample,
    Example,
    PartExample,
    PipelineExample,
    SegmentationExample,
)
from pointdistill.report.schema import (
    Comparison,
    CurvePoint,
    PretrainingPoint,
    PretrainingRun,
    Results,
    Row,
    TaskResult,
)
from pointdistill.world.sens import encode_jpeg

NAMES = ["wall", "floor", "bed", "desk", "chair", "cabinet", "bookshelf", "garbage bin"]
COLOURS = np.array(
    [(174, 199, 232), (152, 223, 138), (255, 187, 120), (247, 182, 210),
     (188, 189, 34), (31, 119, 180), (148, 103, 189), (82, 84, 163)], dtype=np.uint8,
)  # fmt: skip
PAINT = np.array(
    [
        (214, 208, 196),
        (150, 116, 84),
        (70, 96, 160),
        (150, 100, 60),
        (40, 44, 52),
        (205, 196, 176),
        (122, 82, 48),
        (70, 74, 80),
    ]
)
# centre x, y, z and size of furniture in a room of 4.2 x 3.4 x 2.5 m, the class an index into NAMES
FURNITURE = [
    (2, (1.0, 1.2, 0.28), (1.6, 2.0, 0.56)),
    (3, (3.5, 0.9, 0.37), (0.7, 1.4, 0.74)),
    (4, (2.8, 0.9, 0.45), (0.5, 0.5, 0.9)),
    (5, (3.6, 2.9, 0.6), (0.8, 0.6, 1.2)),
    (6, (1.2, 3.2, 0.95), (1.2, 0.3, 1.9)),
    (7, (2.7, 3.1, 0.2), (0.3, 0.3, 0.4)),
]
ROOM = np.array([4.2, 3.4, 2.5])


def surfaces(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """All boxes of the room (centre, size) and their classes; the shell is thin boxes."""
    shell = [
        (1, (2.1, 1.7, -0.02), (4.2, 3.4, 0.04)),
        (0, (-0.02, 1.7, 1.25), (0.04, 3.4, 2.5)),
        (0, (4.22, 1.7, 1.25), (0.04, 3.4, 2.5)),
        (0, (2.1, -0.02, 1.25), (4.2, 0.04, 2.5)),
        (0, (2.1, 3.42, 1.25), (4.2, 0.04, 2.5)),
        (0, (2.1, 1.7, 2.52), (4.2, 3.4, 0.04)),
    ]
    boxes = np.array([[*centre, *size] for _, centre, size in shell + FURNITURE])
    boxes[len(shell) + 2, 0] -= shift
    return boxes, np.array([kind for kind, _, _ in shell + FURNITURE])


def sample(
    boxes: np.ndarray, kinds: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points on the boxes' faces, by area, and their classes."""
    half = boxes[:, 3:] / 2
    areas = np.stack([half[:, 1] * half[:, 2], half[:, 0] * half[:, 2], half[:, 0] * half[:, 1]], axis=1)
    flat = generator.choice(areas.size, count, p=(areas / areas.sum()).ravel())
    box, axis = flat // 3, flat % 3
    place = generator.uniform(-1, 1, (count, 3))
    place[np.arange(count), axis] = generator.choice([-1.0, 1.0], count)
    points = boxes[box, :3] + place * half[box] + generator.normal(0, 0.006, (count, 3))
    return points.astype(np.float32), kinds[box]


def view(
    boxes: np.ndarray, kinds: np.ndarray, width: int = 160, height: int = 120
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, depth (mm) and the cloud in the camera frame, by casting a ray a pixel against each box."""
    eye, target = np.array([3.9, 3.1, 1.7]), np.array([1.3, 0.9, 0.5])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    focal = width * 0.62
    local = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones_like(u)], axis=-1).reshape(-1, 3)
    rays = local @ np.stack([right, down, forward])
    with np.errstate(divide="ignore"):
        near = (boxes[:, None, :3] - boxes[:, None, 3:] / 2 - eye) / rays
        far = (boxes[:, None, :3] + boxes[:, None, 3:] / 2 - eye) / rays
    enter, leave = np.minimum(near, far), np.maximum(near, far)
    first, last = enter.max(axis=-1), leave.min(axis=-1)
    depth = np.where((first < last) & (first > 0.05), first, np.inf)
    hit = depth.argmin(axis=0)
    distance = depth.min(axis=0)
    face = enter[hit, np.arange(len(hit))].argmax(axis=-1)
    shade = np.array([0.82, 0.7, 1.0])[face]
    colour = (PAINT[kinds[hit]] * shade[:, None]).clip(0, 255).astype(np.uint8).reshape(height, width, 3)
    seen = np.isfinite(distance)
    cloud = (local * distance[:, None])[seen].astype(np.float32)
    millimetres = np.where(seen, distance * 1000, 0).astype(np.uint16).reshape(height, width)
    return colour, millimetres, cloud


def pipeline_example(seed: int = 0, captions: tuple[str, str, str] | None = None) -> PipelineExample:
    generator = np.random.default_rng(seed)
    colour, depth, cloud = view(*surfaces(0.2 * seed))
    depth[generator.random(depth.shape) < 0.02] = 0
    cloud = cloud[generator.choice(len(cloud), min(3000, len(cloud)), replace=False)]
    centres = [0]
    distance = np.full(len(cloud), np.inf)
    for _ in range(63):
        distance = np.minimum(distance, ((cloud - cloud[centres[-1]]) ** 2).sum(axis=1))
        centres.append(int(distance.argmax()))
    patches = np.stack([((cloud - cloud[index]) ** 2).sum(axis=1).argsort()[:32] for index in centres])
    truth, teacher, student = captions or (
        "a bedroom with a blue bed next to a brown bookshelf and a black chair at a desk",
        "a bedroom with a blue bed and a brown desk and a chair",
        "a bedroom with a white bed , a desk and a chair near a cabinet",
    )
    prefix = generator.normal(0, 1, (8, 64)).astype(np.float32)
    guess = (0.6 * prefix + generator.normal(0, 0.2, prefix.shape)).astype(np.float32)
    return PipelineExample(
        f"room {seed}, frame {12 + seed}",
        encode_jpeg(colour),
        depth,
        cloud,
        cloud[centres],
        patches,
        truth,
        teacher,
        student,
        prefix,
        guess,
    )


def detection_example(seed: int = 0, count: int = 20000) -> DetectionExample:
    generator = np.random.default_rng(seed)
    boxes, kinds = surfaces(0.2 * seed)
    points, labels = sample(boxes, kinds, count, generator)
    true = np.pad(boxes[6:], ((0, 0), (0, 1))).astype(np.float32)
    names = [NAMES[kind] for kind in kinds[6:]]
    predicted = (true + generator.normal(0, 0.05, true.shape)).astype(np.float32)
    stray = np.array([[2.2, 2.2, 0.5, 0.6, 0.6, 1.0, 0.5], [3.9, 1.9, 1.2, 0.3, 1.0, 0.8, 0]], dtype=np.float32)
    scores = np.concatenate([generator.uniform(0.35, 0.95, len(true)), [0.33, 0.12]]).astype(np.float32)
    shade = 1 + generator.normal(0, 0.05, (count, 1))
    return DetectionExample(
        f"scene{900 + seed:04d}_00",
        points,
        (PAINT[labels] * shade).clip(0, 255).astype(np.uint8),
        true,
        names,
        np.concatenate([predicted, stray]),
        [*names, "chair", "cabinet"],
        scores,
    )


def segmentation_example(seed: int = 0, count: int = 20000) -> SegmentationExample:
    generator = np.random.default_rng(seed)
    points, labels = sample(*surfaces(0.2 * seed), count, generator)
    predicted = labels.copy()
    confused = (
        (labels == 5) & (points[:, 2] > 0.6) | (labels == 4) & (points[:, 0] < 2.7) | (generator.random(count) < 0.04)
    )
    predicted[confused] = generator.choice([0, 6, 3], confused.sum())
    truth = np.where(generator.random(count) < 0.02, -1, labels)
    return SegmentationExample(
        f"scene{900 + seed:04d}_00", points, truth.astype(np.int64), predicted.astype(np.int64), NAMES, COLOURS
    )


def part_example(seed: int = 0) -> PartExample:
    generator = np.random.default_rng(seed)
    legs = [(x, y, 0.22, 0.05, 0.05, 0.44) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    boxes = np.array([*legs, (0, 0, 0.47, 0.5, 0.5, 0.06), (0, 0.23, 0.78, 0.5, 0.05, 0.55)])
    points, labels = sample(boxes, np.array([0, 0, 0, 0, 1, 2]), 2048, generator)
    predicted = np.where(generator.random(2048) < 0.06, generator.integers(0, 3, 2048), labels)
    return PartExample(f"chair {seed + 1}", points, labels.astype(np.int64), predicted, ["leg", "seat", "back"])


def all_examples(scenes: int = 2, points: int = 20000) -> list[Example]:
    made: list[Example] = []
    for seed in range(scenes):
        made += [pipeline_example(seed), detection_example(seed, points)]
        made += [segmentation_example(seed, points), part_example(seed)]
    return made


def _curve(end: float, rate: float, generator: np.random.Generator) -> list[CurvePoint]:
    steps = np.arange(0, 601, 50)
    values = end * (1 - 0.8 * np.exp(-steps / rate)) + generator.normal(0, 0.6, len(steps))
    return [CurvePoint(int(step), round(float(value), 2)) for step, value in zip(steps, values, strict=True)]


def task_result(
    metric: str, ends: dict[str, float], labels: str, seeds: int, generator: np.random.Generator, **more
) -> TaskResult:
    """A task whose figures scatter around `ends` (one an initialisation)."""
    figures = {
        init: [round(end + float(generator.normal(0, 1.1)), 2) for _ in range(seeds)] for init, end in ends.items()
    }
    rows = []
    for init, end in ends.items():
        metrics = {metric: figures[init]}
        if metric == "AP25":
            metrics["AP50"] = [value * 0.45 for value in figures[init]]
        curves = [_curve(end, 120 if init == "distilled" else 190, generator) for _ in range(seeds)]
        rows.append(Row("fine-tuning", labels, init, metrics, curves))
        if init in ("scratch", "distilled"):
            if len(ends) > 2:
                rows.append(Row("fine-tuning", "all", init, {metric: [round(value + 9, 2) for value in figures[init]]}))
            probe = [
                round(end * 0.55 + (9 if init == "distilled" else 0) + float(generator.normal(0, 0.3)), 2)
                for _ in range(seeds)
            ]
            rows.append(Row("linear probe", labels, init, {metric: probe}))
    return TaskResult(
        metric,
        "%",
        f"{labels} of the training split",
        labels,
        list(range(seeds)),
        figures["scratch"],
        figures["distilled"],
        rows,
        **more,
    )


def pretraining_run(method: str, seed: int, generator: np.random.Generator) -> PretrainingRun:
    end = {"distilled": 0.36, "permuted": 0.0}.get(method)
    steps = range(0, 4001, 100)
    curve = []
    for step in steps:
        r2 = (
            None
            if end is None
            else round(end * (1 - float(np.exp(-step / 900))) + float(generator.normal(0, 0.004)), 4)
        )
        loss = 0.02 + 0.1 * float(np.exp(-step / 500)) if r2 is None else 1.0 - 1.05 * r2
        curve.append(PretrainingPoint(step, round(loss + float(generator.normal(0, 0.004)), 4), r2))
    return PretrainingRun(method, seed, 4000, 815.0, curve[-1].r2, curve)


def results(mode="full", seeds: int = 3, controls: bool = False) -> Results:
    generator = np.random.default_rng(7)
    specification = {
        "classification": ("accuracy", 71.0, 81.5, "2 a class", 5.6),
        "semantic_segmentation": ("mIoU", 21.5, 26.0, "10 % of rooms", 3.1),
        "detection": ("AP25", 24.0, 29.5, "25 % of rooms", 2.2),
        "part_segmentation": ("instance mIoU", 61.5, 61.2, "4 a category", 33.0),
    }
    tasks = {}
    for name, (metric, scratch, distilled, labels, floor) in specification.items():
        ends = {"scratch": scratch, "distilled": distilled}
        if controls:
            ends |= {"permuted": scratch + 1.5, "point_mae": (scratch + distilled) / 2}
        gain = distilled - scratch
        test = Comparison("Welch", gain, 0.0004 if gain > 1 else 0.64, gain - 2, gain + 2)
        more = {"significance": {"scratch": test, "permuted": test}, "won": gain > 1} if controls else {}
        note = "no gain: parts of so few shapes are learned as well without." if gain < 1 else ""
        tasks[name] = task_result(metric, ends, labels, seeds, generator, no_learning=floor, note=note, **more)
    methods = ["distilled", "permuted", "point_mae"] if controls else ["distilled"]
    return Results(
        version="0.1.0",
        mode=mode,
        recipe={"pretrain": {"steps": 4000, "optimiser": {"lr": 1e-3, "decay": 0.05}}, "points": 2048},
        host={"cpus": 2, "python": "3.11.2", "torch": "2.13.0+cpu", "platform": "Linux x86_64", "threads": 2},
        seconds={"world": 212.4, "prepare": 41.0, "pretraining": 815.0, "detection": 390.0, "report": 3.2},
        data={"pre-training frames": 5000, "rooms": {"pre-training": 200, "training": 60, "test": 40}},
        teacher={"identity": "small-1", "weights_hash": "9f2c51a07be4", "quality": {"class precision": 0.66}},
        pretraining=[pretraining_run(method, 0, generator) for method in methods],
        tasks=tasks,
    )  # fmt: skip
