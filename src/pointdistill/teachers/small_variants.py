"""What the embedded teacher's construction gives beside its prefix: the image feature, features of places, and the
same networks with random weights. In small what CLIP's feature and patch tokens are to the paper (Table 5)."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pointdistill.models.clipcap import MlpMapper
from pointdistill.seeding import numpy_generator
from pointdistill.teachers.base import FrozenModule, hash_tensors
from pointdistill.teachers.image_encoder import ImageEncoder, to_network_range
from pointdistill.teachers.networks import TeacherConfig
from pointdistill.teachers.pixels import Preprocessing
from pointdistill.teachers.small import load_pixels, load_small_teacher

_HALF = (0.5, 0.5, 0.5)
PATCH, GRID = 16, 4
"""Pixels of a cell's side, and cells in a row of the map: half the network's own stride of 32. A change in one of them
is answered most by that cell; of 8 x 8 at a quarter, by a neighbour as often as not (docs/teacher.md)."""
PREPROCESSING = Preprocessing(PATCH * GRID, PATCH * GRID, _HALF, _HALF)
"""As CLIP's images are cut: the shorter side resized, here to 64 pixels (the encoder learned from 60), the middle
square; values in [-1, 1]."""
_NOISE_IMAGES = 256


class SmallFeature(FrozenModule):
    """The embedded teacher's image feature as target (1, 128): its "w/o caption model" (Table 5).

    Args:
        encoder: its trained image encoder; frozen here for good.
        config: its sizes.
    """

    identity = "pointdistill-small-feature-1"

    def __init__(self, encoder: ImageEncoder, config: TeacherConfig):
        super().__init__()
        self.encoder, self.config = encoder, config
        self.freeze()
        self.weights_hash = hash_tensors(encoder.state_dict())

    @property
    def target_shape(self) -> tuple[int, int]:
        return 1, self.config.feature_width

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """I of eq. 9 of the whole view, not normalised, float32."""
        return _features(self.encoder, images, self.config)[:, None]


class SmallPatches(FrozenModule):
    """The embedded teacher's features of places as target (16, 128), row by row over the centre crop: its direct local
    alignment (Table 5). `preprocessing.crop(size).cells(pixels, 4)` says which cell saw a pixel.

    As CLIP's patch tokens they are what the image feature is made of, through the same projection
    (`ImageEncoder.dense_features`), and a cell's sees more than the cell: the encoder's receptive field is 183 pixels.

    Args:
        encoder: its trained image encoder; frozen here for good.
    """

    identity = f"pointdistill-small-patches-{GRID}x{GRID}-1"

    def __init__(self, encoder: ImageEncoder):
        super().__init__()
        self.encoder, self.preprocessing = encoder, PREPROCESSING
        self.freeze()
        self.weights_hash = hash_tensors(encoder.state_dict())

    @property
    def target_shape(self) -> tuple[int, int]:
        return GRID**2, self.encoder.project.out_features

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """The cells' features, not normalised, float32."""
        pixels = self.preprocessing(images).to(self.encoder.project.weight.device)
        # The encoder's cells are centred on every 16th pixel from the first on. Eight pixels of grey before the image
        # move the second and all after it to the middles of the patches; the first is the grey's.
        padded = functional.pad(pixels, (PATCH // 2, 0, PATCH // 2, 0))
        return self.encoder.dense_features(padded, PATCH)[:, 1:, 1:].flatten(1, 2)


class RandomTeacher(FrozenModule):
    """Image encoder and mapper of the embedded teacher with random weights: what a student of it learns is no 2D
    knowledge but the images' statistics, seen through a fixed random function.

    Weights are torch's own initialisation. Batch normalisation divides by the statistics of random images (1/f noise
    in colour), as a trained encoder does by those of its training images: without that, the activations of a network
    of random weights all but vanish and all images look alike to it.

    Args:
        seed: of weights and of the random images.
        config: sizes; the embedded teacher's.
    """

    def __init__(self, seed: int = 0, config: TeacherConfig | None = None):
        super().__init__()
        self.config = config or TeacherConfig()
        self.identity = f"pointdistill-small-random-seed{seed}-1"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = ImageEncoder(self.config.channels, self.config.feature_width)
            self.mapper = MlpMapper(
                self.config.feature_width,
                self.config.prefix_length,
                self.config.language_width,
                self.config.mapper_hidden,
            )
        # Before the normalisation, which follows from them up to rounding: it may differ between machines.
        self.weights_hash = hash_tensors({**self.encoder.state_dict(), **self.mapper.state_dict()})
        _normalise(self.encoder, noise_images(seed, self.config.image_size, _NOISE_IMAGES))
        self.freeze()

    @property
    def target_shape(self) -> tuple[int, int]:
        return self.config.prefix_length, self.config.language_width

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """A prefix of the embedded teacher's shape, float32."""
        return self.mapper(_features(self.encoder, images, self.config))


def noise_images(seed: int, size: tuple[int, int], count: int) -> Float[Tensor, "batch 3 height width"]:
    """Colour noise whose amplitude falls as 1/f, as photographs' does; each image and colour of mean 0 and deviation
    0.5, then clipped to the encoder's range.

    Args:
        size: width and height.
    """
    width, height = size
    noise = numpy_generator(seed, "teacher", "noise images").standard_normal((count, 3, height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width) * width)
    spectrum = np.fft.rfft2(noise) / np.maximum(frequency, 1)
    spectrum[..., 0, 0] = 0
    images = np.fft.irfft2(spectrum, s=(height, width))
    images /= 2 * images.std(axis=(2, 3), keepdims=True)
    return torch.from_numpy(images.clip(-1, 1).astype(np.float32))


@torch.no_grad()
def _normalise(encoder: ImageEncoder, images: Float[Tensor, "batch 3 height width"]) -> None:
    """Give every batch normalisation the statistics of these images."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain averages, here of a single batch
    encoder.train()(images)


def _features(
    encoder: ImageEncoder, images: list[Image.Image], config: TeacherConfig
) -> Float[Tensor, "batch feature"]:
    """Of whole views, whatever their proportions."""
    pixels = np.stack([load_pixels(image, config.image_size) for image in images])
    return encoder(to_network_range(torch.from_numpy(pixels).to(encoder.project.weight.device)))


def load_small_feature(path: str | Path | None = None) -> SmallFeature:
    """The image feature of the teacher in folder `path`, or of the embedded one; raises as `load_small_teacher`."""
    teacher = load_small_teacher(path)
    return SmallFeature(teacher.networks.image_encoder, teacher.config)


def load_small_patches(path: str | Path | None = None) -> SmallPatches:
    """Features of places of the teacher in folder `path`, or of the embedded one; raises as `load_small_teacher`."""
    return SmallPatches(load_small_teacher(path).networks.image_encoder)
