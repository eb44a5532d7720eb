"""Controls: what a pre-training must beat for its gain to come from what the teacher says about each frame."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Batches
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore


class PermutedTargets:
    """A loader whose clouds come with the targets of other frames, by one fixed permutation: same clouds, same
    targets, same optimisation, no information.

    Args:
        loader: the loader to wrap.
        store: its store.
        seed: of the permutation.
    """

    def __init__(self, loader: Batches, store: FrameStore, seed: int):
        self.loader = loader
        self.store = store
        # A cyclic shift along a random order leaves no frame with its own target.
        order = numpy_generator(seed, "permuted targets").permutation(len(store))
        self.partner = order.copy()
        self.partner[order] = order[(np.arange(len(store)) + 1) % len(store)]

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[FrameBatch]:
        """The wrapped loader's epoch with permuted targets."""
        for batch in self.loader.epoch(number, start_step):
            targets = self.store.targets[self.partner[batch.index.numpy()]]
            yield replace(batch, targets=torch.as_tensor(targets).float())
