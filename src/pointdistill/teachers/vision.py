"""Any vision model of transformers as teacher (extra `[teacher]`): DINOv2, SigLIP, ViT, ConvNeXt, ..."""

import hashlib
import json
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pointdistill.errors import DataError
from pointdistill.teachers.base import FrozenModule, hash_tensors
from pointdistill.teachers.pretrained import load_network, load_settings, transformers

_PIXEL_SETTINGS = (
    "crop_size",
    "do_center_crop",
    "do_convert_rgb",
    "do_normalize",
    "do_rescale",
    "do_resize",
    "image_mean",
    "image_std",
    "resample",
    "rescale_factor",
    "size",
)
_WITHOUT_EFFECT = {"_name_or_path", "architectures", "dtype", "id2label", "label2id", "transformers_version"}


class VisionModel(FrozenModule):
    """A frozen vision network; its tokens, or its pooled output, are the target, float32.

    Tokens are the last hidden state without those in front of the patches (class token, registers), row by row, or the
    cells of a convolutional network's last map. Its own image processor prepares the images, in pillow.

    Args:
        model: a transformers vision model; frozen here for good.
        processor: its image processor.
        pooled: take `pooler_output`, (1, width).

    Raises:
        DataError: the model has no such output.
    """

    def __init__(self, model: Any, processor: Any, pooled: bool):
        super().__init__()
        self.model, self.processor, self.pooled = model, processor, pooled
        self.freeze()
        kind = f"hf-{model.config.model_type}-{'pooled' if pooled else 'tokens'}"
        self.identity = f"{kind}-{_settings_hash(model.config, processor)}"
        self.weights_hash = hash_tensors(model.state_dict())
        tokens, width = self.targets([Image.new("RGB", (64, 48))]).shape[1:]
        self.target_shape = (int(tokens), int(width))

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """Tokens or pooled output of each image."""
        colour = [image if image.mode == "RGB" else image.convert("RGB") for image in images]
        pixels = self.processor(images=colour, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(next(self.model.parameters()).device)
        output = self.model(pixel_values=pixels)
        if self.pooled:
            return self._output(output, "pooler_output").flatten(1)[:, None]
        hidden = self._output(output, "last_hidden_state")
        if hidden.ndim == 4:
            return hidden.flatten(2).transpose(1, 2)
        patch = getattr(self.model.config, "patch_size", None) or pixels.shape[-1]
        patches = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch) if isinstance(patch, int) else 0
        # Hierarchical networks have fewer tokens than patches: nothing stands in front of those.
        return hidden[:, max(hidden.shape[1] - patches, 0) if patches > 1 else 0 :]

    def _output(self, output: Any, name: str) -> Tensor:
        if getattr(output, name, None) is None:
            remedy = "Name another model, or hf: in place of hf-pooled:." if self.pooled else "Name another model."
            raise DataError(self.model.config.model_type, f"the model gives no {name}", remedy)
        return output[name].float()


def load_vision(model: str, pooled: bool = False) -> VisionModel:
    """A vision model with its image processor from a folder or hub id (facebook/dinov2-small).

    Of a model that reads texts too (SigLIP, CLIP), the vision part is taken.

    Raises:
        MissingPackage: transformers is not installed.
        DataError: no such folder, no vision model or no image processor in it, or the hub cannot be reached.
        CheckpointError: tensors are missing.
    """
    library = transformers()
    processor = load_settings(library.AutoImageProcessor, model, "an image processor", backend="pil")
    # Checkpoints of classifiers have no pooling layer: without it the tokens are still theirs.
    network, no_pooler = load_network(library.AutoModel, model, "a vision model", r"pooler\..*")
    if no_pooler:
        network.pooler = None
    network = getattr(network, "vision_model", network)
    if getattr(network, "main_input_name", None) != "pixel_values":
        raise DataError(model, f"a {network.config.model_type} model, which reads no images", "Name a vision model.")
    return VisionModel(network, processor, pooled)


def _settings_hash(config: Any, processor: Any) -> str:
    """Of what decides the targets beside the weights: the network's own settings and those of the pixels."""
    network = {key: value for key, value in config.to_diff_dict().items() if key not in _WITHOUT_EFFECT}
    given = processor.to_dict()
    pixels = {key: given[key] for key in _PIXEL_SETTINGS if given.get(key) is not None}
    content = json.dumps([network, pixels], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
