"""The point-cloud backbone (paper section 3.1, eqs. 1-4): patches, mini-PointNet, plain pre-norm transformer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill.errors import choose
from pointdistill.geometry import Patches, group_patches, interpolate, three_nearest
from pointdistill.models.backbone import Backbone, Config
from pointdistill.models.blocks import Block, initialise
from pointdistill.models.patch_embed import ClassToken, PatchEmbed, PositionEmbed

Clouds = (
    Float[Tensor, "batch points 3"]
    | Float[np.ndarray, "batch points 3"]
    | Sequence[Float[Tensor, "_ 3"] | Float[np.ndarray, "_ 3"]]
)
"""A batch of clouds of one size, or clouds of any sizes one after the other."""


@dataclass(frozen=True)
class BackboneConfig(Config):
    """The backbone's sizes; the defaults are the paper's (Table 8).

    Attributes:
        width: token width d; divisible by `heads` and by 3.
        depth: number of transformer blocks.
        heads: attention heads (eq. 13 prints 12 indices, the text and Table 8 say 6).
        groups: patches a cloud, g in eq. 1, when a caller names no other number.
        group_size: points a patch, k in eq. 2, when a caller names no other number.
        drop_path: stochastic depth of the last block; it grows linearly from 0 (Point-MAE).
        patch_hidden: first channels of the mini-PointNet; 0 is width / 3. Point-MAE's code and its descendants have 128
            at every width.
        patch_pooled: last channels of the mini-PointNet, with a linear layer from there to the width; 0 is none.
        class_token: a class token of the backbone's own is in front of the patches' (Point-BERT). It is seen by all
            tokens and left out of what is returned; a caller that prepends takes its place.
        normed_residual: see `Block` (ReCon).
        skip_near_origin: see `farthest_point_sample`; for comparisons with Point-MAE's own code.
        neighbours_by_index: see `knn`; for the same.
    """

    width: int = 384
    depth: int = 12
    heads: int = 6
    groups: int = 64
    group_size: int = 32
    drop_path: float = 0.1
    patch_hidden: int = 0
    patch_pooled: int = 0
    class_token: bool = False
    normed_residual: bool = False
    skip_near_origin: bool = False
    neighbours_by_index: bool = False

    def build(self) -> "PointTransformer":
        return PointTransformer(self)


@dataclass(frozen=True)
class Features:
    """What the backbone says of a batch of clouds.

    Attributes:
        tokens: output of the last block after the final LayerNorm, prepended tokens first.
        centres: patch centres in the frame of the input cloud (without prepended tokens).
        layers: outputs of the blocks that were asked for, before the final LayerNorm.
    """

    tokens: Float[Tensor, "batch tokens width"]
    centres: Float[Tensor, "batch groups 3"]
    layers: tuple[Float[Tensor, "batch tokens width"], ...] = ()

    @property
    def pooled(self) -> Float[Tensor, "batch twice_width"]:
        """Mean and maximum over the patches' tokens, side by side; computed when it is asked for."""
        tokens = self._of_patches()
        return torch.cat([tokens.mean(1), tokens.max(1).values], dim=1)

    def at(
        self, points: Float[Tensor, "batch queries 3"] | Float[np.ndarray, "batch queries 3"]
    ) -> Float[Tensor, "batch queries width"]:
        """Features at any points: those of the three nearest patches, weighted by inverse squared distance.

        Differentiable in the features.

        Args:
            points: in the frame of the clouds that were encoded, as many clouds of them.

        Source: PointNet++, section 3.4 (`geometry.three_nearest`).

        >>> clouds = torch.rand(2, 500, 3)
        >>> features = create_backbone("vit_nano")(clouds)
        >>> features.pooled.shape, features.at(clouds).shape
        (torch.Size([2, 192]), torch.Size([2, 500, 96]))
        """
        queries = torch.as_tensor(points, dtype=self.centres.dtype, device=self.centres.device)
        return interpolate(self._of_patches(), *three_nearest(queries, self.centres))

    def _of_patches(self) -> Float[Tensor, "batch groups width"]:
        return self.tokens[:, self.tokens.shape[1] - self.centres.shape[1] :]


@dataclass(frozen=True)
class Trace:
    """What goes into and comes out of each block that was run, for modules that read along (eqs. 5-8).

    Attributes:
        inputs: F_in of each block, positions added; where the run stopped early, of the next block too.
        outputs: F_out of each block.
    """

    inputs: list[Float[Tensor, "batch tokens width"]]
    outputs: list[Float[Tensor, "batch tokens width"]]


class PointTransformer(Backbone):
    """A standard transformer over point patches; the position embedding is added to the input of every block."""

    def __init__(self, config: BackboneConfig):
        super().__init__()
        if config.width % config.heads or not (config.patch_hidden or config.width % 3 == 0):
            raise ValueError(f"width {config.width} must be divisible by heads {config.heads} and by 3")
        self.config = config
        self.width = config.width
        self.patch_embed = PatchEmbed(config.width, config.patch_hidden, config.patch_pooled)
        self.position_embed = PositionEmbed(config.width)
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(config.width, config.heads, rate, config.normed_residual) for rate in rates)
        self.norm = nn.LayerNorm(config.width)
        self.position_embed.apply(initialise)
        self.blocks.apply(initialise)
        self.class_token = ClassToken(config.width) if config.class_token else None

    def patches(self, points: Clouds, groups: int | None = None, group_size: int | None = None) -> Patches:
        """Eqs. 1-2, in the way of the configuration. Of clouds of any sizes each is cut by itself: so many patches of
        so many points come of all.

        Raises:
            ValueError: fewer points than patches or than points a patch.
        """
        config = self.config
        if not isinstance(points, Tensor):
            return self._patches_of_each(points, groups, group_size)
        if points.ndim != 3 or points.shape[2] != 3:
            raise ValueError(
                f"points of shape {tuple(points.shape)}: give (batch, points, 3), points[None] of one cloud"
            )
        return group_patches(
            points,
            groups or config.groups,
            group_size or config.group_size,
            skip_near_origin=config.skip_near_origin,
            by_index=config.neighbours_by_index,
        )

    def _patches_of_each(
        self, clouds: Float[np.ndarray, "batch points 3"] | Sequence, groups: int | None, group_size: int | None
    ) -> Patches:
        weight = self.norm.weight
        if isinstance(clouds, np.ndarray):
            return self.patches(torch.tensor(clouds, dtype=weight.dtype, device=weight.device), groups, group_size)
        if not len(clouds):
            raise ValueError("no clouds: give one or more")
        cut = []
        for number, cloud in enumerate(clouds):
            one = cloud if isinstance(cloud, Tensor) else torch.tensor(cloud, dtype=weight.dtype)
            try:
                cut.append(self.patches(one.to(weight.device)[None], groups, group_size))
            except ValueError as error:
                raise ValueError(f"cloud {number}: {error}") from None
        return Patches(*(torch.cat(parts) for parts in zip(*cut, strict=True)))

    def tokenise(
        self, points: Clouds, groups: int | None = None, group_size: int | None = None
    ) -> tuple[
        Float[Tensor, "batch groups width"], Float[Tensor, "batch groups width"], Float[Tensor, "batch groups 3"]
    ]:
        """Eqs. 1-3: tokens F_0, the embedding of their positions, and their centres.

        Raises:
            ValueError: fewer points than patches or than points a patch.
        """
        patches = self.patches(points, groups, group_size)
        return self.patch_embed(patches.patches), self.position_embed(patches.centres), patches.centres

    def trace(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens width"],
        noise: Float[Tensor, "batch branches"] | None = None,
        depth: int | None = None,
    ) -> Trace:
        """Eq. 4, keeping what each block reads and writes.

        Args:
            tokens: F_0.
            positions: added to the input of every block.
            noise: uniform numbers for stochastic depth, two a block and sample; None draws them.
            depth: run only so many blocks.
        """
        inputs, outputs = [], []
        for index, block in enumerate(self.blocks[:depth]):
            inputs.append(tokens + positions)
            tokens = block(inputs[-1], None if noise is None else noise[:, 2 * index : 2 * index + 2])
            outputs.append(tokens)
        if len(outputs) < len(self.blocks):
            inputs.append(tokens + positions)
        return Trace(inputs, outputs)

    def encode(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens width"],
        noise: Float[Tensor, "batch branches"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """What all blocks and the final LayerNorm make of tokens; arguments as `trace`'s."""
        return self.norm(self.trace(tokens, positions, noise).outputs[-1])

    def forward(
        self,
        points: Clouds,
        group_count: int | None = None,
        group_size: int | None = None,
        layers: tuple[int, ...] = (),
        prepend: tuple[Float[Tensor, "batch extra width"], Float[Tensor, "batch extra width"]] | None = None,
    ) -> Features:
        """Encode clouds.

        Args:
            points: clouds, centred and scaled to the unit sphere (`applications.inputs.unit_clouds`); tensors, or
                arrays, which go to the weights' device. A list of clouds of different sizes needs no filling up: each
                is cut into its patches by itself, and what is said of it is what would be said of it alone, up to
                rounding.
            group_count: patches a cloud; default the configuration's.
            group_size: points a patch; default the configuration's.
            layers: 1-based numbers of blocks whose outputs are wanted.
            prepend: extra tokens and their position embeddings, for instance a class token.

        Raises:
            ValueError: fewer points than patches or than points a patch.
        """
        tokens, positions, centres = self.tokenise(points, group_count, group_size)
        own = 0
        if prepend is None and self.class_token is not None:
            prepend, own = self.class_token(tokens.shape[0]), 1
        if prepend is not None:
            tokens = torch.cat([prepend[0], tokens], dim=1)
            positions = torch.cat([prepend[1], positions], dim=1)
        outputs = self.trace(tokens, positions).outputs
        wanted = tuple(outputs[layer - 1][:, own:] for layer in layers)
        return Features(self.norm(outputs[-1][:, own:]), centres, wanted)

    if TYPE_CHECKING:  # nn.Module's own call says nothing of what it takes and gives

        def __call__(
            self,
            points: Clouds,
            group_count: int | None = None,
            group_size: int | None = None,
            layers: tuple[int, ...] = (),
            prepend: tuple[Tensor, Tensor] | None = None,
        ) -> Features: ...


BACKBONES = {
    "vit_s": BackboneConfig(),
    "vit_ti": BackboneConfig(width=192, depth=12, heads=3),
    "vit_xs": BackboneConfig(width=192, depth=6, heads=3),
    "vit_nano": BackboneConfig(width=96, depth=3, heads=4, group_size=16),
}
"""Named sizes: `vit_s` is the paper's, `vit_nano` the quickstart's."""


def create_backbone(name: str = "vit_s", pretrained: str | Path | None = None, **overrides: object) -> PointTransformer:
    """A backbone by name, with random weights or those of a checkpoint.

    Args:
        name: one of `BACKBONES`.
        pretrained: a `backbone.safetensors` file (or the folder that holds one), as pre-training writes it.
        overrides: fields of `BackboneConfig` to change, for instance `depth=6`.

    Raises:
        ValueError: unknown name or field.
        CheckpointError: the file is damaged or holds another architecture.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}. {choose(name, BACKBONES)}")
    unknown = set(overrides) - set(asdict(BACKBONES[name]))
    if unknown:
        raise ValueError(f"unknown backbone settings {sorted(unknown)}: choose from {sorted(asdict(BACKBONES[name]))}")
    backbone = PointTransformer(replace(BACKBONES[name], **overrides))  # type: ignore[arg-type]
    if pretrained is not None:
        from pointdistill.models.checkpoints import load_backbone_weights

        load_backbone_weights(backbone, Path(pretrained))
    return backbone
