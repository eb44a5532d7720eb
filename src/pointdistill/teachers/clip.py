"""CLIP's image encoder (Radford et al., 2021) as teacher: its image feature (paper eq. 9), or its patch tokens.

The network is transformers' (extra `[teacher]`), read from a folder or hub id; the pre-processing is our own, equal to
transformers' `CLIPImageProcessorPil` at its defaults, and needs no torchvision.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pointdistill.errors import DataError, PointdistillError
from pointdistill.teachers.base import FrozenModule, hash_tensors
from pointdistill.teachers.pixels import Preprocessing
from pointdistill.teachers.pretrained import load_network, load_settings, transformers

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of each colour over CLIP's training images, in [0, 1]."""
VIT_B32 = "vit-768x12x12-patch32-224px-quick_gelu-512"
"""`ClipVision.architecture` of ViT-B/32, as openai/clip-vit-base-patch32 describes itself."""


def clip_preprocessing(side: int) -> Preprocessing:
    """CLIP's own pre-processing for images of `side` x `side`."""
    return Preprocessing(side, side, MEAN, STD)


class ClipVision(FrozenModule):
    """CLIP's vision transformer and its projection into the space that images and captions share.

    Args:
        model: a transformers `CLIPVisionModelWithProjection`; frozen here for good.
    """

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.preprocessing = clip_preprocessing(model.config.image_size)
        self.freeze()

    @property
    def architecture(self) -> str:
        """Everything that shapes the encoder beside its numbers: width x layers x heads, patch, image, activation and
        the width of its feature."""
        config = self.model.config
        network = f"vit-{config.hidden_size}x{config.num_hidden_layers}x{config.num_attention_heads}"
        return f"{network}-patch{config.patch_size}-{config.image_size}px-{config.hidden_act}-{config.projection_dim}"

    @property
    def feature_width(self) -> int:
        """d_clip of eq. 9; 512 for ViT-B/32."""
        return self.model.config.projection_dim

    @property
    def grid(self) -> int:
        """Patches along a side of the crop; 7 for ViT-B/32."""
        return self.model.config.image_size // self.model.config.patch_size

    @torch.no_grad()
    def image_features(self, images: list[Image.Image]) -> Float[Tensor, "batch feature"]:
        """I = CLIP(x) of eq. 9, projected, not normalised, float32."""
        return self.model(pixel_values=self._pixels(images)).image_embeds

    @torch.no_grad()
    def patch_tokens(self, images: list[Image.Image]) -> Float[Tensor, "batch patches feature"]:
        """The output at each patch, row by row, taken through the last LayerNorm and the projection as CLIP takes the
        class token."""
        hidden = self.model.vision_model(pixel_values=self._pixels(images)).last_hidden_state[:, 1:]
        return self.model.visual_projection(self.model.vision_model.post_layernorm(hidden))

    def _pixels(self, images: list[Image.Image]) -> Tensor:
        return self.preprocessing(images).to(self.model.visual_projection.weight.device)


class ClipText(FrozenModule):
    """CLIP's text transformer, its projection and its tokenizer.

    Args:
        model: a transformers `CLIPTextModelWithProjection`; frozen here for good.
        tokenizer: its tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any):
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.freeze()

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "batch feature"]:
        """Projected, not normalised, float32; longer texts than CLIP reads are cut."""
        longest = self.model.config.max_position_embeddings
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        return self.model(**tokens.to(self.model.text_projection.weight.device)).text_embeds


class ClipFeature(FrozenModule):
    """CLIP's image feature alone as target, (1, d_clip): the paper's ablation without caption model (Table 5).

    Args:
        clip: the image encoder.
        text: loads the text encoder beside it, for those who compare features with texts.
    """

    def __init__(self, clip: ClipVision, text: Callable[[], "ClipText"] | None = None):
        super().__init__()
        self.clip = clip
        self.freeze()
        self._load_text = text
        self._text: list[ClipText] = []  # a list, so that it becomes no part of this module
        self.identity = f"clip-feature-{clip.architecture}"
        self.weights_hash = hash_tensors(clip.state_dict())

    @property
    def target_shape(self) -> tuple[int, int]:
        return 1, self.clip.feature_width

    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """The image feature, not normalised, float32."""
        return self.clip.image_features(images)[:, None]

    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "batch feature"]:
        """Features of texts in the same space, not normalised. CLIP's text encoder is read when first asked.

        Raises:
            PointdistillError: this teacher was made without one.
        """
        if not self._text:
            if self._load_text is None:
                raise PointdistillError(f"the teacher {self.identity} was made without CLIP's text encoder")
            self._text.append(self._load_text())
        return self._text[0].text_features(texts)


class ClipPatches(FrozenModule):
    """CLIP's patch tokens as target, (49, d_clip) for ViT-B/32, row by row over the centre crop: what direct local
    alignment needs (Table 5). `clip.preprocessing.crop(size).cells(pixels, clip.grid)` says which token saw a pixel."""

    def __init__(self, clip: ClipVision):
        super().__init__()
        self.clip = clip
        self.freeze()
        self.identity = f"clip-patches-{clip.architecture}"
        self.weights_hash = hash_tensors(clip.state_dict())

    @property
    def target_shape(self) -> tuple[int, int]:
        return self.clip.grid**2, self.clip.feature_width

    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """The patch tokens, not normalised, float32."""
        return self.clip.patch_tokens(images)


def load_clip(model: str) -> ClipVision:
    """CLIP's image encoder from a folder in transformers' layout, or a hub id (openai/clip-vit-base-patch32).

    Checkpoints of the whole CLIP and of its vision part with projection are both read; text tensors are left alone.

    Raises:
        MissingPackage: transformers is not installed.
        DataError: no such folder, no CLIP in it, or the hub cannot be reached.
        CheckpointError: tensors are missing.
    """
    library = transformers()
    whole = load_settings(library.AutoConfig, model, "a CLIP configuration")
    if whole.model_type == "clip":
        config, config.projection_dim = whole.vision_config, whole.projection_dim
    elif whole.model_type == "clip_vision_model":
        config = whole
    else:
        raise DataError(model, f"a {whole.model_type} model, not CLIP", "Name a CLIP, or use hf: for other models.")
    network, _ = load_network(library.CLIPVisionModelWithProjection, model, "CLIP's image encoder", config=config)
    return ClipVision(network)


def load_clip_text(model: str) -> ClipText:
    """CLIP's text encoder and tokenizer, from a checkpoint of the whole CLIP; raises as `load_clip` does."""
    library = transformers()
    whole = load_settings(library.AutoConfig, model, "a CLIP configuration")
    if whole.model_type != "clip":
        raise DataError(model, f"a {whole.model_type} model without CLIP's text encoder", "Name a whole CLIP.")
    config, config.projection_dim = whole.text_config, whole.projection_dim
    network, _ = load_network(library.CLIPTextModelWithProjection, model, "CLIP's text encoder", config=config)
    return ClipText(network, load_settings(library.AutoTokenizer, model, "CLIP's tokenizer"))


def load_clip_feature(model: str) -> ClipFeature:
    """CLIP's image feature as teacher; see `load_clip`. Its text encoder is read when texts are asked about."""
    return ClipFeature(load_clip(model), partial(load_clip_text, model))


def load_clip_patches(model: str) -> ClipPatches:
    """CLIP's patch tokens as teacher; see `load_clip`."""
    return ClipPatches(load_clip(model))
