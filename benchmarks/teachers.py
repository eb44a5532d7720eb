"""Milliseconds a frame of 2D teachers on one core: pre-processing and network, without decoding the jpeg.

`python benchmarks/teachers.py` times what needs no download: the embedded teacher, `imagenet` and, of the paper's sizes
but with random numbers, CLIP ViT-B/32 with ClipCap's MLP mapper. Name others as `pointdistill prepare --teacher` does:
`python benchmarks/teachers.py --teachers hf:facebook/dinov2-small`. Of the two times, that of the processor is the one
to compare where other work shares the machine.
"""

import os
import time
from collections.abc import Sequence

import numpy as np
import torch
import tyro
from PIL import Image

from pointdistill.models.clipcap import MlpMapper
from pointdistill.teachers.base import Teacher
from pointdistill.teachers.clip import ClipVision
from pointdistill.teachers.clipcap import ClipCapTeacher
from pointdistill.teachers.named import teacher_factory
from pointdistill.teachers.pretrained import transformers

RANDOM = "clipcap-random"


def random_clipcap() -> ClipCapTeacher:
    """CLIP ViT-B/32 and the Conceptual Captions mapper in size; the numbers are random."""
    library = transformers()
    network = library.CLIPVisionModelWithProjection(library.CLIPVisionConfig())
    return ClipCapTeacher(ClipVision(network), MlpMapper(512, 10, 768), "random")


def milliseconds(teacher: Teacher, images: list[Image.Image], rounds: int) -> np.ndarray:
    """Of one image, by the clock and by the processor (rounds, 2), after a round to warm up."""
    found = []
    with torch.inference_mode():
        for _ in range(rounds + 1):
            began = time.perf_counter(), time.process_time()
            teacher.targets(images)
            found.append(np.subtract((time.perf_counter(), time.process_time()), began) * 1000 / len(images))
    return np.array(found[1:])


def main(
    teachers: Sequence[str] = ("embedded", "imagenet", RANDOM),
    size: tuple[int, int] = (1296, 968),
    batch: int = 16,
    rounds: int = 5,
):
    """Print a line a teacher.

    Args:
        teachers: specs of `prepare --teacher`; beside them `embedded`, and `clipcap-random` for the paper's sizes.
        size: width and height of the frames; ScanNet's colour images are 1296 x 968.
        batch: images given at once, as in `prepare`.
        rounds: batches timed.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    images = [Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), np.uint8)) for _ in range(batch)]
    for name in teachers:
        spec = None if name == "embedded" else name
        teacher = random_clipcap() if name == RANDOM else teacher_factory(spec)()
        clock, processor = milliseconds(teacher, images, rounds).T
        details = f"median of {rounds} batches of {batch}, {processor.min():.1f} to {processor.max():.1f}"
        print(
            f"{name}: {np.median(processor):.1f} ms of a core a frame of {size[0]} x {size[1]} ({details}; "
            f"by the clock {np.median(clock):.1f}); targets {teacher.target_shape}"
        )


if __name__ == "__main__":
    tyro.cli(main)
