"""CLIP with ClipCap's mapper (paper section 3.3, eqs. 9-11) from their published checkpoints.

ClipCap (Mokady et al., 2021) publishes plain state dicts: the mapper below `clip_project.`, GPT-2 below `gpt.`. Those
for Conceptual Captions and COCO (conceptual_weights.pt, coco_weights.pt) hold an MLP on the raw ViT-B/32 feature; the
transformer mapper, published for COCO alone, was made for RN50x4 features, which a teacher class of your own must give
(`load_mapper` reads it for you).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pointdistill.errors import CheckpointError, PointdistillError
from pointdistill.io.pth import other_names, read_state_dict, require_tensors
from pointdistill.models.clipcap import MlpMapper, TransformerMapper
from pointdistill.teachers.base import FrozenModule, hash_tensors
from pointdistill.teachers.clip import VIT_B32, ClipVision, load_clip
from pointdistill.teachers.gpt2 import CaptionGpt2, load_caption_gpt2

MAPPER, LANGUAGE = "clip_project.", "gpt."
_EMBEDDING = "gpt.transformer.wte.weight"
_GPT2_WIDTH = 768
_WHAT = "a ClipCap mapper"
_REMEDY = "Name a checkpoint as ClipCap's authors publish them (conceptual_weights.pt, coco_weights.pt)."


class ClipCapTeacher(FrozenModule):
    """The paper's teacher: CLIP's image feature through ClipCap's mapper; a `Captioner` too, given its language model.

    Its identity names the construction: `clipcap-NAME` for ViT-B/32 and a mapper of 512 -> 3840 -> 10 x 768, NAME being
    the checkpoint's file name without `_weights.pt`; sizes follow where they are others. Which numbers are in it only
    `weights_hash` tells: sha256 over CLIP's image encoder and the mapper (the language model makes no targets).

    Args:
        clip: the image encoder.
        mapper: its parameters in the published layout.
        name: what the mapper was trained on, or another name for its checkpoint.
        language: the GPT-2 that came with the mapper, where captions are asked for.
    """

    def __init__(self, clip: ClipVision, mapper: MlpMapper, name: str, language: CaptionGpt2 | None = None):
        super().__init__()
        self.clip, self.mapper, self.language = clip, mapper, language
        self.freeze()
        hidden = mapper.model[0].out_features
        sizes = f"mlp-{mapper.feature_width}-{hidden}-{mapper.prefix_length}x{mapper.width}"
        published = (clip.architecture, sizes) == (VIT_B32, "mlp-512-3840-10x768")
        self.identity = f"clipcap-{name}" if published else f"clipcap-{name}-{clip.architecture}-{sizes}"
        self.weights_hash = hash_tensors(
            {
                **{f"clip.{key}": value for key, value in clip.state_dict().items()},
                **{f"mapper.{key}": value for key, value in mapper.state_dict().items()},
            }
        )

    @property
    def target_shape(self) -> tuple[int, int]:
        """(prefix vectors, width of each): (10, 768) for the published mappers."""
        return self.mapper.prefix_length, self.mapper.width

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """The semantic prefix P of eq. 10, float32, of the raw (not normalised) image feature."""
        return self.mapper(self.clip.image_features(images))

    def caption(self, prefix: Float[Tensor, "batch prefix dim"], beams: int = 1) -> list[str]:
        """What GPT-2 writes after each prefix: greedily, or the best of so many beams (ClipCap's notebooks take 5)."""
        return self._spoken().caption(prefix, beams)

    def log_likelihood(
        self, prefix: Float[Tensor, "batch prefix dim"], texts: Sequence[str]
    ) -> Float[Tensor, "batch texts"]:
        """log p(text | prefix) in nats, as `teachers.base.Captioner` says."""
        return self._spoken().log_likelihood(prefix, texts)

    def _spoken(self) -> CaptionGpt2:
        if self.language is None:
            raise PointdistillError(
                f"the teacher {self.identity} was loaded without its language model. For captions also name a GPT-2 "
                "tokenizer: clipcap:WEIGHTS@CLIP@GPT2"
            )
        return self.language


def load_clipcap(weights: str | Path, clip: str, tokenizer: str | None = None) -> ClipCapTeacher:
    """CLIP and ClipCap as teacher.

    Args:
        weights: ClipCap's checkpoint with an MLP mapper.
        clip: CLIP, as `clip.load_clip` takes it.
        tokenizer: GPT-2's tokenizer, a folder or hub id; only for captions. Without it GPT-2 is not read.

    Raises:
        MissingPackage: transformers is not installed.
        DataError: a file or folder that is not there or not readable.
        CheckpointError: keys missing or too many, a transformer mapper, or a CLIP whose feature has another width.
    """
    tensors = read_state_dict(weights, _REMEDY)
    mapper = _mapper(Path(weights), tensors)
    if not isinstance(mapper, MlpMapper):
        problem = f"a transformer mapper of {mapper.feature_width} wide features, which are not CLIP ViT-B/32's"
        remedy = "Write a teacher class that gives its mapper the features it was trained on (docs/teacher.md)."
        raise CheckpointError(weights, problem, remedy)
    encoder = load_clip(clip)
    if encoder.feature_width != mapper.feature_width:
        problem = f"its mapper reads features {mapper.feature_width} wide, {clip} gives {encoder.feature_width}"
        raise CheckpointError(weights, problem, "Name the CLIP it was trained with (ViT-B/32).")
    language = None
    if tokenizer is not None:
        spoken = {key.removeprefix(LANGUAGE): value for key, value in tensors.items() if key.startswith(LANGUAGE)}
        language = load_caption_gpt2(Path(weights), spoken, tokenizer)
    return ClipCapTeacher(encoder, mapper, Path(weights).stem.removesuffix("_weights"), language)


def load_mapper(weights: str | Path) -> MlpMapper | TransformerMapper:
    """The mapper of a ClipCap checkpoint, in evaluation mode; all its sizes are read from its tensors.

    The width of a prefix vector is GPT-2's embedding width in the same file, 768 where GPT-2 was left out.

    Raises:
        DataError: no such file.
        CheckpointError: not a file of tensors alone, or keys missing or too many.
    """
    return _mapper(Path(weights), read_state_dict(weights, _REMEDY))


def _mapper(path: Path, tensors: Mapping[str, Tensor]) -> MlpMapper | TransformerMapper:
    rest = {key: value for key, value in tensors.items() if not key.startswith(LANGUAGE)}
    with torch.device("meta"):
        mapper = _shaped_like(path, rest, tensors[_EMBEDDING].shape[1] if _EMBEDDING in tensors else _GPT2_WIDTH)
    expected = {MAPPER + key: value.shape for key, value in mapper.state_dict().items()}
    require_tensors(path, {key: value.shape for key, value in rest.items()}, expected, _WHAT, _REMEDY)
    state = {key.removeprefix(MAPPER): value.float().clone() for key, value in rest.items()}
    mapper.load_state_dict(state, assign=True)
    return mapper.eval()


def _shaped_like(path: Path, tensors: Mapping[str, Tensor], width: int) -> MlpMapper | TransformerMapper:
    """A mapper of the sizes that the tensors say; MLP if nothing speaks for the other."""

    def size(name: str, dimension: int) -> int:
        if tensors[MAPPER + name].ndim <= dimension:
            raise CheckpointError(path, f"{MAPPER}{name} is no matrix", _REMEDY)
        return tensors[MAPPER + name].shape[dimension]

    try:
        if MAPPER + "linear.weight" not in tensors:
            feature, hidden, prefix = size("model.0.weight", 1), size("model.0.weight", 0), size("model.2.weight", 0)
            if prefix % width:
                problem = f"a prefix of {prefix} numbers does not divide into vectors of {width}"
                raise CheckpointError(path, problem, _REMEDY)
            return MlpMapper(feature, prefix // width, width, hidden)
        prefix, width = size("prefix_const", 0), size("prefix_const", 1)
        clip_length, hidden = size("linear.weight", 0) // width, size("transformer.layers.0.mlp.fc1.weight", 0)
        layers = {found[1] for key in tensors if (found := re.match(rf"{MAPPER}transformer\.layers\.(\d+)\.", key))}
        return TransformerMapper(size("linear.weight", 1), prefix, width, clip_length, depth=len(layers), hidden=hidden)
    except KeyError as error:
        need = {f"{MAPPER}model.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")} | {error.args[0]}
        raise other_names(path, need - {*tensors}, {*tensors} - need, _WHAT, _REMEDY) from None
