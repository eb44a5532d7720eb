"""A discrete variational autoencoder of point patches, Point-BERT's tokenizer (Yu et al., CVPR 2022, section 3.2).

It is trained before the backbone. Code: https://github.com/lulutang0608/Point-BERT (models/dvae.py, tools/runner.py).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointdistill import distributed
from pointdistill.batch import FrameBatch
from pointdistill.geometry import Patches, chamfer_l1, group_patches, knn
from pointdistill.losses import Losses
from pointdistill.methods.base import Draw, TargetStatistics
from pointdistill.models.folding import FoldingDecoder
from pointdistill.models.patch_embed import PatchEmbed
from pointdistill.models.patch_graph import PatchGraph
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.seeding import torch_generator


@dataclass(frozen=True)
class DVAEConfig:
    """Settings of the tokenizer; the defaults are Point-BERT's.

    Its schedules count 100,000 of the some 196,500 steps that 300 epochs of ShapeNet-55 have; here they are shares of
    the training, whatever its length.

    Attributes:
        tokens: entries of the codebook.
        token_width: width of an entry, of the patches' features and of the decoder's.
        graph_width: see `PatchGraph`.
        neighbours: edges a patch, to the nearest centres; one of them leads to itself.
        temperature: of the Gumbel-softmax, at the start and at the end of its cosine.
        cooled_at: when that end is reached.
        kl_weight: of the divergence, at the end of its cosine from 0.
        kl_between: when this cosine begins and ends.
    """

    learns_from_teacher: ClassVar[bool] = False
    views: ClassVar[int] = 1

    tokens: int = 8192
    token_width: int = 256
    graph_width: int = 128
    neighbours: int = 4
    temperature: tuple[float, float] = (1.0, 0.0625)
    cooled_at: float = 0.51
    kl_weight: float = 0.1
    kl_between: tuple[float, float] = (0.05, 0.56)

    def build(self, backbone: PointTransformer, targets: TargetStatistics | None = None) -> "DVAE":
        """The tokenizer of patches as this backbone cuts them."""
        return DVAE(self, backbone.config)


class DVAE(nn.Module):
    """Patches -> mini-PointNet -> graph -> logits over the codebook -> Gumbel-softmax -> graph -> points.

    Loss: l1 Chamfer distance of the coarse and of all points of each patch, plus the weighted divergence
    KL(uniform || mean over a cloud's patches of their token probabilities): the official code's direction, where the
    paper writes the other one.

    Deviations: the Gumbel noise of a frame has a generator of its own (on a GPU it is the GPU's). Layers are
    initialised as this package's are. Validation takes each patch's likeliest token, not a hard sample. The clouds are
    augmented as the recipe's are, as those will be whose tokens the backbone learns to tell; there they are not.

    Args:
        config: settings.
        sizes: how clouds are cut.

    Raises:
        ValueError: the points a patch are no multiple of 4.
    """

    backbone = None

    def __init__(self, config: DVAEConfig, sizes: BackboneConfig):
        super().__init__()
        self.config, self.sizes = config, sizes
        width = config.token_width
        self.encoder = PatchEmbed(width, hidden=width // 2)
        self.to_tokens = PatchGraph(width, config.tokens, config.graph_width)
        self.codebook = nn.Parameter(torch.randn(config.tokens, width))
        self.from_tokens = PatchGraph(width, width, config.graph_width)
        self.decoder = FoldingDecoder(width, sizes.group_size)

    def patches(self, points: Float[Tensor, "batch points 3"]) -> Patches:
        """Clouds cut as the backbone cuts them."""
        sizes = self.sizes
        return group_patches(
            points,
            sizes.groups,
            sizes.group_size,
            skip_near_origin=sizes.skip_near_origin,
            by_index=sizes.neighbours_by_index,
        )

    def graph(self, centres: Float[Tensor, "batch groups 3"]) -> Int[Tensor, "batch groups edges"]:
        """Each patch's nearest patches."""
        return knn(centres, centres, self.config.neighbours)

    def logits(self, patches: Patches) -> Float[Tensor, "batch groups tokens"]:
        """How likely each entry of the codebook is for each patch."""
        return self.to_tokens(self.encoder(patches.patches), self.graph(patches.centres))

    def tokenise(self, patches: Patches) -> Int[Tensor, "batch groups"]:
        """The likeliest entry for each patch."""
        return self.logits(patches).argmax(-1)

    def decode(
        self, chosen: Float[Tensor, "batch groups tokens"], centres: Float[Tensor, "batch groups 3"]
    ) -> tuple[Float[Tensor, "patches coarse 3"], Float[Tensor, "patches points 3"]]:
        """Coarse and all points of each patch, cloud after cloud, from shares of the codebook's entries."""
        return self.decoder(self.from_tokens(chosen @ self.codebook, self.graph(centres)).flatten(0, 1))

    def forward(self, batch: FrameBatch, draw: Draw) -> Losses:
        """Reconstruction and divergence of a batch."""
        config, patches = self.config, self.patches(batch.points)
        logits = self.logits(patches)
        noise = gumbel_noise(draw, self.sizes.groups, config.tokens, batch.points.device)
        temperature = cosine(*config.temperature, draw.progress / config.cooled_at)
        coarse, fine = self.decode(((logits + noise) / temperature).softmax(-1), patches.centres)
        true = patches.patches.flatten(0, 1)
        of_coarse, of_fine = chamfer_l1(coarse, true).mean(), chamfer_l1(fine, true).mean()
        divergence = divergence_from_uniform(logits).mean()
        begin, end = config.kl_between
        weight = cosine(0.0, config.kl_weight, (draw.progress - begin) / (end - begin))
        total = of_coarse + of_fine + weight * divergence
        return Losses(total, {"chamfer": of_fine, "chamfer_coarse": of_coarse, "divergence": divergence})

    @torch.no_grad()
    def validate(self, batches: Iterable[FrameBatch]) -> dict[str, float]:
        """Held-out l1 Chamfer distance of each patch decoded from its likeliest token, in units of the cloud; and how
        many tokens are in use, as the perplexity of their frequencies over all patches (1: a single one)."""
        uses = torch.zeros(self.config.tokens + 2, dtype=torch.float64, device=self.codebook.device)
        count = self.config.tokens
        for batch in batches:
            patches = self.patches(batch.points)
            tokens = self.tokenise(patches)
            _, fine = self.decode(F.one_hot(tokens, count).to(self.codebook.dtype), patches.centres)
            distance = chamfer_l1(fine, patches.patches.flatten(0, 1)).double()
            uses[:-2] += torch.bincount(tokens.flatten(), minlength=count)
            uses[-2:] += torch.stack([distance.sum(), distance.new_tensor(len(distance))])
        uses = distributed.summed(uses)
        shares = uses[:-2] / uses[-1]
        return {
            "chamfer": (uses[-2] / uses[-1]).item(),
            "perplexity": torch.special.entr(shares).sum().exp().item(),
        }


def gumbel_noise(draw: Draw, groups: int, tokens: int, device: torch.device) -> Float[Tensor, "batch groups tokens"]:
    """Standard Gumbel numbers, those of a frame by a generator of its own (half a million a frame at the paper's sizes:
    too many for `seeding.sample_uniform`)."""
    noise = torch.empty(len(draw.index), groups, tokens, device=device)
    for row, index in zip(noise, draw.index.tolist(), strict=True):
        row.exponential_(generator=torch_generator(draw.seed, "gumbel", draw.epoch, index, device=device))
    return noise.log_().neg_()


def divergence_from_uniform(logits: Float[Tensor, "batch groups tokens"]) -> Float[Tensor, "batch"]:
    """KL(uniform || q) of each cloud, q the mean of its patches' token probabilities, in nats."""
    groups, tokens = logits.shape[1:]
    mean = logits.log_softmax(-1).logsumexp(1) - math.log(groups)
    return -mean.mean(-1) - math.log(tokens)


def cosine(start: float, end: float, progress: float) -> float:
    """From `start` at 0 to `end` at 1 along half a cosine, and level on both sides."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
