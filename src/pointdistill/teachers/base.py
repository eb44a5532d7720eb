"""What a teacher is: a frozen 2D model that says, for each image, what the point cloud of the same view should say."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn


@runtime_checkable
class Teacher(Protocol):
    """A frozen image -> target function. Anything with these four members can teach.

    A store of targets is only valid for one `identity` and `weights_hash`: the first names the construction, the second
    the numbers in it.
    """

    @property
    def identity(self) -> str:
        """Name of the construction and its version, stable between runs and machines."""
        ...

    @property
    def weights_hash(self) -> str:
        """Hexadecimal sha256 of the weights."""
        ...

    @property
    def target_shape(self) -> tuple[int, int]:
        """(tokens, width) of one image's target."""
        ...

    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """One target an image, float32, without gradients."""
        ...


@runtime_checkable
class Captioner(Protocol):
    """Reads a semantic prefix as language: what a captioning teacher has beside its targets (paper eq. 11).

    Prefixes are targets, (tokens, width) each: the teacher's own of an image, or a student's prediction from a cloud.
    """

    def caption(self, prefix: Float[Tensor, "batch prefix dim"]) -> list[str]:
        """One caption a prefix, greedily: the most probable token at each step."""
        ...

    def log_likelihood(
        self, prefix: Float[Tensor, "batch prefix dim"], texts: Sequence[str]
    ) -> Float[Tensor, "batch texts"]:
        """log p(text | prefix) in nats of every text after every prefix.

        The sum over the text's tokens, the end of the caption included, so that it is the logarithm of a probability of
        whole captions. Longer texts are less likely by themselves: compare texts at one prefix with what each scores
        at a prefix that says nothing, or texts of one length.
        """
        ...


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hexadecimal sha256 of named tensors: names, types, shapes and bytes, in the order of the names.

    A teacher's `weights_hash` is that of whatever decides its targets, for instance of its `state_dict()`.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class FrozenModule(nn.Module):
    """A module that is always in evaluation mode and whose parameters never ask for gradients.

    `train()` and `requires_grad_()` keep it so; a training loop that walks over all its modules cannot thaw it.
    Call `freeze()` once the sub-modules are in place.
    """

    def freeze(self) -> "FrozenModule":
        for parameter in self.parameters():
            parameter.requires_grad = False
        return self.train(False)

    def train(self, mode: bool = True) -> "FrozenModule":
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "FrozenModule":
        return super().requires_grad_(False)
