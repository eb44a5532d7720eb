"""Randomness keyed by what it is for, never by who draws it: the same (seed, keys) gives the same numbers in any
process, worker or resumed run."""

import zlib

import numpy as np
import torch

Key = int | str


def _entropy(seed: int, keys: tuple[Key, ...]) -> list[int]:
    return [seed, *(zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys)]


def numpy_generator(seed: int, *keys: Key) -> np.random.Generator:
    """A numpy generator for this seed and these keys, for instance (seed, "augment", epoch, sample)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(_entropy(seed, keys))))


def torch_generator(seed: int, *keys: Key, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for this seed and these keys."""
    state = np.random.SeedSequence(_entropy(seed, keys)).generate_state(1, np.uint64)[0]
    generator = torch.Generator(device=device)
    generator.manual_seed(int(state) & (2**63 - 1))
    return generator


def sample_uniform(seed: int, purpose: str, epoch: int, index: np.ndarray, count: int) -> np.ndarray:
    """`count` uniform numbers in [0, 1) for each sample index, whatever batch, order or process the samples are in.

    Args:
        seed: the run's seed.
        purpose: what the numbers are for, for instance "drop path".
        epoch: the epoch.
        index: (batch,) sample indices in the store.
        count: how many numbers a sample.

    Returns:
        (batch, count) float32.
    """
    key = np.random.SeedSequence(_entropy(seed, (purpose, epoch))).generate_state(1, np.uint64)[0]
    counter = np.asarray(index, np.uint64)[:, None] * np.uint64(count) + np.arange(count, dtype=np.uint64)
    with np.errstate(over="ignore"):  # splitmix64, a counter-based generator: wrapping multiplication is the point
        x = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(40)).astype(np.float32) / np.float32(2**24)).astype(np.float32)
