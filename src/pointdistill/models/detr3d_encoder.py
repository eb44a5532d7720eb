"""3DETR's own encoder (Misra et al., ICCV 2021): set abstraction to tokens, then plain or masked transformer blocks."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from pointdistill.geometry import squared_distances
from pointdistill.models.backbone import Backbone, Config
from pointdistill.models.point_transformer import Features
from pointdistill.models.set_abstraction import SetAbstraction


@dataclass(frozen=True)
class SceneTransformerConfig(Config):
    """Sizes of 3DETR's encoder; the defaults are those of its ScanNet model.

    Attributes:
        width, depth, heads, ffn, dropout: of the blocks.
        tokens: points that set abstraction chooses in a scene.
        radius, ball_size: of its balls, metres; points a ball.
        masks: for each block how far tokens see, metres; then the first block is followed by a second set abstraction
            to half the tokens. None: all see all, and all stay.
        skip_near_origin: see `farthest_point_sample`; for comparisons with 3DETR's own code.
    """

    width: int = 256
    depth: int = 3
    heads: int = 4
    ffn: int = 128
    dropout: float = 0.1
    tokens: int = 2048
    radius: float = 0.2
    ball_size: int = 64
    masks: tuple[float, ...] | None = None
    skip_near_origin: bool = False

    def build(self) -> "SceneTransformer":
        return SceneTransformer(self)


DETR3D = SceneTransformerConfig()
"""3DETR's encoder for ScanNet."""

DETR3D_M = SceneTransformerConfig(dropout=0.3, masks=(0.16, 0.64, 1.44))
"""3DETR-m's. Its code squares the paper's radii (0.4, 0.8, 1.2) and compares them with distances that are not squared;
published weights were trained so, and these are the radii that it means."""


class EncoderBlock(nn.Module):
    """Pre-norm self-attention without positions, and a ReLU feed-forward."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.ReLU(), nn.Dropout(dropout), nn.Linear(ffn, width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"], hidden: Bool[Tensor, "batch tokens tokens"] | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """Args: hidden: which tokens (last) each token does not see."""
        if hidden is not None:
            hidden = hidden.repeat_interleave(self.attention.num_heads, 0)
        x = self.norm1(tokens)
        tokens = tokens + self.dropout(self.attention(x, x, x, attn_mask=hidden, need_weights=False)[0])
        return tokens + self.dropout(self.ffn(self.norm2(tokens)))


class SceneTransformer(Backbone):
    """Tokens of scenes in metres. Positions enter through the set abstraction alone.

    Raises:
        ValueError: as many masks as blocks are needed, where there are any.
    """

    def __init__(self, config: SceneTransformerConfig):
        super().__init__()
        if config.masks is not None and len(config.masks) != config.depth:
            raise ValueError(f"{len(config.masks)} masks for {config.depth} blocks")
        self.config, self.width, width = config, config.width, config.width
        skip = config.skip_near_origin
        self.tokenise = SetAbstraction(
            config.tokens, width, radius=config.radius, size=config.ball_size, skip_near_origin=skip
        )
        self.blocks = nn.ModuleList(
            EncoderBlock(width, config.heads, config.ffn, config.dropout) for _ in range(config.depth)
        )
        self.halve = None
        if config.masks is not None:
            self.halve = SetAbstraction(config.tokens // 2, width, width, 2 * config.radius, 32, (256, 256), skip)
        for parameter in self.blocks.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, points: Float[Tensor, "batch points 3"]) -> Features:
        """Tokens and their centres, for scenes in metres.

        Raises:
            ValueError: a scene has fewer points than tokens.
        """
        centres, tokens, _ = self.tokenise(points)
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, self._hidden(centres, index))
            if index == 0 and self.halve is not None:
                centres, tokens, _ = self.halve(centres, tokens)
        return Features(tokens, centres)

    def _hidden(self, centres: Float[Tensor, "batch tokens 3"], block: int) -> Tensor | None:
        masks = self.config.masks
        return None if masks is None else squared_distances(centres, centres) >= masks[block] ** 2
