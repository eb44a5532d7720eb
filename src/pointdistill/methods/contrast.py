"""What contrastive methods share: losses over pairs of features, a network's momentum copy, a queue of negatives.

Features come from this process alone; losses see those of all processes, so that a step does not depend on how many
there are: each process gives the mean over its own rows, which the loop weighs by its share of the batch.
"""

from copy import deepcopy
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.methods.base import Draw
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform

GALLERY = 64
"""Frames at most among which a held-out frame is looked for."""


def encode(
    backbone: PointTransformer,
    points: Float[Tensor, "batch points 3"],
    noise: Float[Tensor, "batch branches"] | None = None,
) -> Float[Tensor, "batch groups width"]:
    """A backbone's final tokens.

    Args:
        backbone: the encoder.
        points: clouds.
        noise: uniform numbers for stochastic depth, two a block; without them there is none in evaluation.
    """
    tokens, positions, _ = backbone.tokenise(points)
    return backbone.encode(tokens, positions, noise)


def view_noise(draw: Draw, backbone: PointTransformer, view: int) -> Float[Tensor, "batch branches"]:
    """Numbers for the stochastic depth of a view's clouds, 0 or 1."""
    purpose = ("drop path", "second drop path")[view]
    return torch.from_numpy(sample_uniform(draw.seed, purpose, draw.epoch, draw.index, 2 * len(backbone.blocks)))


def info_nce(
    query: Float[Tensor, "batch *rows width"],
    key: Float[Tensor, "batch *rows width"],
    negatives: Float[Tensor, "negatives width"] | None = None,
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """InfoNCE (van den Oord et al., 2018) on cosines: the mean of -log(exp(q k / t) / sum over all keys), as a
    cross-entropy whose right class is the query's own key.

    Args:
        query: features, of any length. With further axes (several points of each cloud, say) every row is a query.
        key: the positive of each query, of any length.
        negatives: wrong keys of unit length, for instance a `MomentumQueue`'s; None takes the keys of all other rows of
            the whole batch (no symmetrical half: call it again the other way round).
        temperature: t.
    """
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    if negatives is not None:
        query, key = query.flatten(0, -2), key.flatten(0, -2)
        logits = torch.cat([(query * key).sum(-1, keepdim=True), query @ negatives.T], dim=-1)
        return F.cross_entropy(logits / temperature, torch.zeros(len(query), dtype=torch.long, device=query.device))
    keys = distributed.all_rows(key)
    right = torch.arange(keys.shape[:-1].numel(), device=key.device).view(keys.shape[:-1])[distributed.own_rows()]
    return F.cross_entropy(query.flatten(0, -2) @ keys.flatten(0, -2).T / temperature, right.flatten())


def nt_xent(
    first: Float[Tensor, "batch width"], second: Float[Tensor, "batch width"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """NT-Xent (SimCLR, Chen et al., 2020, eq. 1): of the whole batch's 2 n features, each must find its partner among
    the 2 n - 1 others; the mean over both sides.

    Args:
        first, second: features of the same samples, of any length.
        temperature: what cosines are divided by.
    """
    pairs = F.normalize(torch.stack([first, second], dim=1), dim=-1)
    features = distributed.all_rows(pairs).flatten(0, 1)
    own = torch.arange(len(features), device=features.device).view(-1, 2)[distributed.own_rows()]
    cosines = (pairs.flatten(0, 1) @ features.T / temperature).scatter(1, own.reshape(-1, 1), float("-inf"))
    return F.cross_entropy(cosines, own.flip(1).flatten())


class MomentumCopy(nn.Module):
    """A network that follows another one slowly, without gradients (MoCo, He et al., CVPR 2020, eq. 2).

    Weights alone follow. Running statistics are of what the copy itself sees: in training it normalises by its own
    batch.

    Args:
        network: what is copied.
        momentum: share of its own weights that it keeps at a step.
    """

    network: Any

    def __init__(self, network: nn.Module, momentum: float):
        super().__init__()
        self.network = deepcopy(network).requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def follow(self, *networks: nn.Module) -> None:
        """A step towards the weights of the network, given whole or as its parts in their order: before the forward
        pass, and in training alone."""
        weights = chain.from_iterable(network.parameters() for network in networks)
        for own, other in zip(self.network.parameters(), weights, strict=True):
            own.lerp_(other, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, *inputs: Tensor | None) -> Any:
        """What the copy says."""
        return self.network(*inputs)


class MomentumQueue(nn.Module):
    """The last so many keys, of the batches of all processes: negatives of later queries (MoCo).

    It begins with random directions, is part of the checkpoint, and is the same in every process.

    Args:
        size: keys.
        width: of a key.
    """

    keys: Float[Tensor, "size width"]
    """Unit length."""
    next: Int[Tensor, ""]
    """The oldest key's place, where the next one goes."""

    def __init__(self, size: int, width: int):
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=-1))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Float[Tensor, "batch width"]) -> None:
        """Put a batch's keys, of any length, in the place of the oldest.

        What was handed out as `keys` before stays as it was: a backward pass still to come reads it."""
        new = distributed.all_rows(F.normalize(keys.detach().to(self.keys.dtype), dim=-1))[-len(self.keys) :]
        places = (self.next + torch.arange(len(new), device=new.device)) % len(self.keys)
        self.keys = self.keys.index_copy(0, places, new)
        self.next = (self.next + len(new)) % len(self.keys)


class Retrieval:
    """Held-out accuracy of finding each frame's other feature, by the largest cosine, among those of up to `GALLERY`
    frames that lie beside it in the store.

    Frames are put in order and cut into galleries of equal size when all are known: the figure does not depend on
    batches or on how many processes share them.
    """

    def __init__(self):
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(
        self,
        index: Int[Tensor, "batch"],
        query: Float[Tensor, "batch width"],
        key: Float[Tensor, "batch width"],
    ) -> None:
        """A batch's frames with the features to find and to be found."""
        self.found.append((index.cpu(), query.float().cpu(), key.float().cpu()))

    def accuracy(self) -> float:
        """The share of frames found, over those of all processes."""
        batches = [batch for of_process in distributed.gathered(self.found) for batch in of_process]
        index, query, key = (torch.cat(parts) for parts in zip(*batches, strict=True))
        order = index.argsort()
        galleries = -(-len(order) // GALLERY)
        hits = 0
        for frames in order.tensor_split(galleries):
            cosines = F.normalize(query[frames], dim=-1) @ F.normalize(key[frames], dim=-1).T
            hits += int((cosines.argmax(1) == torch.arange(len(frames))).sum())
        return hits / len(order)
