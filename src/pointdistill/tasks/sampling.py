"""Drawing samples and points for fine-tuning: pure functions of (seed, step or epoch, sample index)."""

import numpy as np
from jaxtyping import Float, Int

from pointdistill.seeding import numpy_generator
from pointdistill.tasks.base import Sample


def step_samples(seed: int, step: int, batch_size: int, size: int) -> list[Sample]:
    """The samples of one training step, out of an endless row of epochs, each a fresh permutation of the split.

    A batch may reach over the end of an epoch, so that small labelled sets need no special case.

    Args:
        step: the step, from 0.
        size: the number of samples in the split.
    """
    numbers = range(step * batch_size, (step + 1) * batch_size)
    orders = {
        epoch: numpy_generator(seed, "order", epoch).permutation(size)
        for epoch in {number // size for number in numbers}
    }
    return [Sample(number // size, int(orders[number // size][number % size])) for number in numbers]


def choose(generator: np.random.Generator, available: int, count: int) -> Int[np.ndarray, " count"]:
    """`count` of `available` indices at random: all distinct where there are enough, else each at least once."""
    if available >= count:
        return (
            generator.permutation(available)[:count]
            if 2 * count > available
            else _distinct(generator, available, count)
        )
    return np.concatenate([generator.permutation(available), generator.integers(0, available, count - available)])


def _distinct(generator: np.random.Generator, available: int, count: int) -> Int[np.ndarray, " count"]:
    return generator.choice(available, count, replace=False, shuffle=True)


def unit_sphere(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """The cloud shifted to its mean and divided by its radius (the largest distance from the mean)."""
    shifted = points - points.mean(0)
    radius = float(np.sqrt(np.einsum("ij,ij->i", shifted, shifted).max()))
    return shifted / np.float32(radius if radius > 0 else 1.0)
