"""Point-BERT (Yu et al., CVPR 2022): which token a frozen dVAE gave each hidden patch, and contrast of class features.

Code: https://github.com/lulutang0608/Point-BERT (models/Point_BERT.py, cfgs/Mixup_models/Point-BERT.yaml).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import Patches, gather
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.methods.contrast import MomentumCopy, MomentumQueue
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.models.blocks import initialise
from pointdistill.models.patch_embed import ClassToken
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.seeding import sample_uniform

_NONE = -100
"""The token of a patch that is not asked for."""


@dataclass(frozen=True)
class PointBERTConfig:
    """Settings of the method; the defaults are Point-BERT's.

    Attributes:
        tokenizer: the dVAE, trained before on the same frames (`recipes.recipe.PretrainRecipe.first`).
        mask_ratio: least and largest share of patches hidden, a block around one of them.
        contrast_width: of the features that are contrasted.
        momentum: of the key encoder.
        contrast_temperature: of the contrast.
        queue: keys of earlier batches that are kept as negatives.
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 1

    tokenizer: DVAEConfig = field(default_factory=DVAEConfig)
    mask_ratio: tuple[float, float] = (0.25, 0.45)
    contrast_width: int = 512
    momentum: float = 0.999
    contrast_temperature: float = 0.07
    queue: int = 16384

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "PointBERT":
        """The method around a backbone, with a tokenizer of random weights: to be filled with trained ones, of which
        `PointBERT.start_from_tokenizer` then lets the encoders begin."""
        return PointBERT(self, backbone)


class Mixture(NamedTuple):
    """Clouds of which some patches are another cloud's: Point Patch Mixup."""

    embedded: Float[Tensor, "batch groups width"]
    centres: Float[Tensor, "batch groups 3"]
    tokens: Int[Tensor, "batch groups"]
    own: Float[Tensor, "batch"]
    """How likely a patch was to stay: the weight of the cloud's own key."""


class MaskedEncoder(nn.Module):
    """A backbone behind a class token, some patches' tokens replaced, and the head over its class feature.

    Args:
        backbone: whose own class token is taken where it has one; else the token belongs to the method alone, and is
            lost with it.
        contrast_width: of the head.
    """

    def __init__(self, backbone: PointTransformer, contrast_width: int):
        super().__init__()
        width = backbone.width
        self.backbone = backbone
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.own_class_token = ClassToken(width) if backbone.class_token is None else None
        self.contrast = nn.Sequential(
            nn.Linear(width, contrast_width), nn.GELU(), nn.Linear(contrast_width, contrast_width)
        )
        self.contrast.apply(initialise)

    def forward(
        self,
        embedded: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        hidden: Bool[Tensor, "batch groups"],
        noise: Float[Tensor, "batch branches"],
    ) -> tuple[Float[Tensor, "batch contrast"], Float[Tensor, "batch groups width"]]:
        """The class feature on the unit sphere, and the encoder's outputs for all patches.

        Args:
            embedded: what the backbone's mini-PointNet makes of the patches.
            centres: where these are.
            hidden: which of them are.
            noise: for the stochastic depth.
        """
        backbone = self.backbone
        class_token = backbone.class_token or self.own_class_token
        assert class_token is not None
        token, place = class_token(len(embedded))
        tokens = torch.where(hidden[..., None], self.mask_token, embedded)
        positions = torch.cat([place, backbone.position_embed(centres)], dim=1)
        outputs = backbone.encode(torch.cat([token, tokens], dim=1), positions, noise)
        return F.normalize(self.contrast(outputs[:, 0]), dim=1), outputs[:, 1:]


class PointBERT(nn.Module):
    """Masked point modelling and MoCo's contrast between a cloud, mixed with another one, and the keys of both.

    Losses, all of weight 1 (the published configuration): cross-entropy of hidden patches' tokens, of the clouds and of
    the mixed clouds; contrast of the mixed clouds' class features with the keys of the batch and the queue, their own
    key's term weighted by the share of their own patches and the partner's by the rest. The key encoder follows the
    query encoder by momentum; like it, it sees clouds with a block hidden, in training mode. The mini-PointNets begin
    with the tokenizer's weights. Gradients reach all of the query encoder and the head over the tokens, nothing else.

    Deviations: numbers are keyed by frame; the partner of a batch's i-th frame is its i-th from the end, as there. A
    patch is embedded once, and mixed clouds take it as it is: the same, but that BatchNorm counts each patch once. The
    code's plain contrast of unmixed clouds and its random replacement of tokens, both switched off in its
    configuration, do not exist here. The tokenizer is in evaluation mode, where there its BatchNorm goes on with each
    batch's statistics. Where the backbone's mini-PointNet has other widths than the tokenizer's
    (`BackboneConfig.patch_pooled` 0), only those of its layers begin with the tokenizer's weights that fit.

    A sample's contrast depends on its batch. Processes that share one gather embedded patches and keys: all see the
    partners and keys that one process would.

    Args:
        config: settings.
        backbone: the student, with `BackboneConfig.class_token` as Point-BERT's is.
    """

    def __init__(self, config: PointBERTConfig, backbone: PointTransformer):
        super().__init__()
        self.config = config
        self.query = MaskedEncoder(backbone, config.contrast_width)
        self.vocabulary = nn.Linear(backbone.width, config.tokenizer.tokens)
        self.vocabulary.apply(initialise)
        self.tokenizer = config.tokenizer.build(backbone).requires_grad_(False)
        self.key = MomentumCopy(self.query, config.momentum)
        self.queue = MomentumQueue(config.queue, config.contrast_width)

    @property
    def backbone(self) -> PointTransformer:
        """The query encoder's."""
        return self.query.backbone

    @torch.no_grad()
    def start_from_tokenizer(self) -> None:
        """Begin with the tokenizer's mini-PointNet, in both encoders, as far as its layers have the same sizes."""
        learned = self.tokenizer.encoder.state_dict()
        for encoder in (self.query, self.key.network):
            own = encoder.backbone.patch_embed.state_dict()
            fitting = {name: value for name, value in learned.items() if value.shape == own[name].shape}
            encoder.backbone.patch_embed.load_state_dict(own | fitting)

    def train(self, mode: bool = True) -> "PointBERT":
        """As every module's, but for the tokenizer, which stays as it is."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Losses of a batch. In training mode the key encoder takes a step and the queue takes the batch's keys."""
        patches = self.backbone.patches(batch.points)
        with torch.no_grad():
            tokens = self.tokenizer.tokenise(patches)
        embedded = self.backbone.patch_embed(patches.patches)
        mixed = self._mixture(embedded, patches.centres, tokens, draw)
        hidden, noise = self._masking("query", patches.centres, draw)
        _, outputs = self.query(embedded, patches.centres, hidden, noise)
        told, accuracy = self._told(outputs, tokens, hidden)
        hidden, noise = self._masking("mixed", mixed.centres, draw)
        features, outputs = self.query(mixed.embedded, mixed.centres, hidden, noise)
        told_mixed, _ = self._told(outputs, mixed.tokens, hidden)
        keys = self._keys(patches, draw)
        contrast = self._contrast(features, keys, mixed.own)
        if self.training:
            self.queue.push(keys)
        parts = {"tokens": told, "tokens_mixed": told_mixed, "contrast": contrast, "accuracy": accuracy}
        return Losses(told + told_mixed + contrast, parts)

    def _masking(
        self, purpose: str, centres: Float[Tensor, "batch groups 3"], draw: Draw
    ) -> tuple[Bool[Tensor, "batch groups"], Float[Tensor, "batch branches"]]:
        """Which patches a pass hides, and the numbers for its stochastic depth."""
        count = 2 + 2 * self.backbone.config.depth
        numbers = sample_uniform(draw.seed, f"point_bert {purpose}", draw.epoch, draw.index, count)
        noise = torch.from_numpy(numbers).to(centres.device, non_blocking=True)
        return block_mask(centres, noise[:, :2], self.config.mask_ratio), noise[:, 2:]

    def _mixture(
        self,
        embedded: Float[Tensor, "batch groups width"],
        centres: Float[Tensor, "batch groups 3"],
        tokens: Int[Tensor, "batch groups"],
        draw: Draw,
    ) -> Mixture:
        """Each patch its own cloud's with the probability `own`, else the one of the same number of its partner's."""
        numbers = sample_uniform(draw.seed, "point_bert mix", draw.epoch, draw.index, 1 + centres.shape[1])
        noise = torch.from_numpy(numbers).to(centres.device, non_blocking=True)
        own, stays = noise[:, 0], noise[:, 1:] < noise[:, :1]
        return Mixture(
            torch.where(stays[..., None], embedded, partners(embedded)),
            torch.where(stays[..., None], centres, partners(centres)),
            torch.where(stays, tokens, partners(tokens)),
            own,
        )

    def _told(
        self,
        outputs: Float[Tensor, "batch groups width"],
        tokens: Int[Tensor, "batch groups"],
        hidden: Bool[Tensor, "batch groups"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Mean cross-entropy of all hidden patches' tokens in the batch, and the share of them that are told right."""
        entropy, right = self._told_in_all(outputs, tokens, hidden)
        each = distributed.even_share(hidden.sum(), len(outputs))
        return entropy / each, right / each

    def _told_in_all(
        self,
        outputs: Float[Tensor, "batch groups width"],
        tokens: Int[Tensor, "batch groups"],
        hidden: Bool[Tensor, "batch groups"],
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Summed cross-entropy of hidden patches' tokens, and how many are told right. As many patches of each cloud
        are looked at as can be hidden, so that shapes do not depend on the draw."""
        most = min(hidden.shape[1], math.ceil(self.config.mask_ratio[1] * hidden.shape[1]))
        first = (~hidden).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
        true = tokens.masked_fill(~hidden, _NONE).gather(1, first).flatten()
        logits = self.vocabulary(gather(outputs, first)).flatten(0, 1)
        return F.cross_entropy(logits, true, ignore_index=_NONE, reduction="sum"), (logits.argmax(1) == true).sum()

    @torch.no_grad()
    def _keys(self, patches: Patches, draw: Draw) -> Float[Tensor, "batch contrast"]:
        """The class features by the key encoder, which first follows the query encoder."""
        if self.training:
            self.key.follow(self.query)
        hidden, noise = self._masking("key", patches.centres, draw)
        embedded = self.key.network.backbone.patch_embed(patches.patches)
        return self.key(embedded, patches.centres, hidden, noise)[0].float()

    def _contrast(
        self,
        features: Float[Tensor, "batch contrast"],
        keys: Float[Tensor, "batch contrast"],
        own: Float[Tensor, "batch"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy to the cloud's own key and to its partner's, weighted by whose patches there are."""
        keys = distributed.all_rows(keys)
        logits = features @ torch.cat([keys, self.queue.keys]).t() / self.config.contrast_temperature
        place = torch.arange(len(keys), device=keys.device)[distributed.own_rows()]
        to_own = F.cross_entropy(logits, place, reduction="none")
        to_partner = F.cross_entropy(logits, len(keys) - 1 - place, reduction="none")
        return (own * to_own + (1 - own) * to_partner).mean()

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out figures of hidden patches' tokens, with masks that are the same at each call: their mean
        `cross_entropy` in nats, and the `accuracy`, the share that is told right."""
        sums = torch.zeros(3, dtype=torch.float64, device=self.queue.keys.device)
        for batch in batches:
            patches = self.backbone.patches(batch.points)
            hidden, noise = self._masking("query", patches.centres, Draw(0, 0, batch.index.cpu().numpy()))
            _, outputs = self.query(self.backbone.patch_embed(patches.patches), patches.centres, hidden, noise)
            entropy, right = self._told_in_all(outputs, self.tokenizer.tokenise(patches), hidden)
            sums += torch.stack([entropy.double(), right.double(), hidden.sum().double()])
        entropy, right, count = distributed.summed(sums).tolist()
        return {"cross_entropy": entropy / count, "accuracy": right / count}


def block_mask(
    centres: Float[Tensor, "batch groups 3"], noise: Float[Tensor, "batch 2"], ratio: tuple[float, float]
) -> Bool[Tensor, "batch groups"]:
    """Hide a patch and those nearest to it, a share of all that is uniform between the two of `ratio`, rounded down.

    Args:
        centres: of the patches.
        noise: uniform numbers: which patch is in the middle, and the share.
        ratio: least and largest share.
    """
    groups = centres.shape[1]
    middle = (noise[:, :1] * groups).long().clamp_max(groups - 1)
    count = ((ratio[0] + noise[:, 1:] * (ratio[1] - ratio[0])) * groups).long()
    offsets = centres - centres.gather(1, middle[..., None].expand(-1, -1, 3))
    nearness = offsets.square().sum(-1).argsort(dim=1, stable=True).argsort(dim=1)
    return nearness < count


def partners(values: Tensor) -> Tensor:
    """The values of each sample's partner in the whole batch: of its i-th sample the i-th from the end."""
    return distributed.all_rows(values).flip(0)[distributed.own_rows()]
