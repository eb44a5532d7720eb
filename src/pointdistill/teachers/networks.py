"""The parts of the small teacher and their sizes, before they are frozen."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from pointdistill.models.clipcap import MlpMapper
from pointdistill.teachers.image_encoder import ImageEncoder
from pointdistill.teachers.language_model import CaptionLanguageModel
from pointdistill.teachers.text_encoder import TextEncoder


@dataclass(frozen=True)
class TeacherConfig:
    """Sizes of the small teacher.

    Attributes:
        image_size: width and height, in pixels, that every image is resized to.
        channels: of the image encoder's stem and residual stages.
        feature_width: width of CLIP's shared space, d_clip of eq. 9.
        caption_length: tokens of a caption, the end token included; longer captions are cut.
        prefix_length: number of prefix vectors, l of eq. 10.
        language_width: width of the language model and of each prefix vector, d_cap of eq. 10.
        mapper_hidden: width between the mapper's two layers.
    """

    image_size: tuple[int, int] = (80, 60)
    channels: tuple[int, ...] = (16, 32, 64, 128, 192)
    feature_width: int = 128
    caption_length: int = 28
    text_width: int = 96
    text_depth: int = 2
    text_heads: int = 4
    prefix_length: int = 8
    language_width: int = 64
    language_depth: int = 2
    language_heads: int = 4
    mapper_hidden: int = 256


class TeacherNetworks(nn.Module):
    """Image encoder and text encoder (CLIP), caption language model and mapper (ClipCap).

    Args:
        config: the sizes.
        vocabulary: number of tokens.
    """

    def __init__(self, config: TeacherConfig, vocabulary: int):
        super().__init__()
        self.image_encoder = ImageEncoder(config.channels, config.feature_width)
        self.text_encoder = TextEncoder(
            vocabulary,
            config.caption_length,
            config.text_width,
            config.text_depth,
            config.text_heads,
            config.feature_width,
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.language_model = CaptionLanguageModel(
            vocabulary,
            config.caption_length,
            config.prefix_length,
            config.language_width,
            config.language_depth,
            config.language_heads,
        )
        self.mapper = MlpMapper(config.feature_width, config.prefix_length, config.language_width, config.mapper_hidden)
