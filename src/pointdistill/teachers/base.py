"""What a teacher is: a frozen 2D model that says, for each image, what the point cloud of the same view should say."""

from typing import Protocol, runtime_checkable

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
