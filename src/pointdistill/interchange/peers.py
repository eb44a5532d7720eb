"""Whose checkpoints are read: what their authors' code calls the encoder, and what of a file is left out.

Learnt from Pang-Yatian/Point-MAE, lulutang0608/Point-BERT, haotian-liu/MaskPoint, qizekun/ReCon and RunpeiDong/ACT,
facebookresearch/3detr.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A project whose checkpoints are read.

    Attributes:
        title: the project's own name.
        prefix: what the encoder's tensors begin with in pre-training checkpoints; fine-tuned ones have no prefix.
        left_out: beginnings of names that are not loaded, and what they are; regular expressions.
        normed_residual: its blocks add to the normalised input (`models.blocks.Block`).
        skips_near_origin: its farthest point sampling is PointNet++'s kernel (`geometry.farthest_point_sample`).
        neighbours_by_index: its neighbours are KNN_CUDA's (`geometry.knn`).
    """

    title: str
    prefix: str
    left_out: Mapping[str, str]
    normed_residual: bool = False
    skips_near_origin: bool = True
    neighbours_by_index: bool = True


_MOMENTUM = {
    r"transformer_q\.mask_token": "the mask token",
    r"transformer_k\.": "the momentum encoder",
    r"queue(_ptr)?$": "the contrastive queue",
}
_CLASSIFIER = {r"cls_head_finetune\.": "the classifier"}
_SEGMENTER = {
    r"label_conv(_cls)?\.": "the part segmenter",
    r"propagation_\d(_cls)?\.": "the part segmenter",
    r"(convs|bns)\d(_cls)?\.": "the part segmenter",
}
_DECODER = {
    r"mask_token$": "the mask token",
    r"decoder_pos_embed\.": "the decoder",
    r"(MAE|ACT)_decoder\.": "the decoder",
    r"increase_dim\.": "the decoder",
}

PEERS: dict[str, Peer] = {
    "point-mae": Peer("Point-MAE", "MAE_encoder.", {}),
    "point-bert": Peer(
        "Point-BERT",
        "transformer_q.",
        {
            **_MOMENTUM,
            r"transformer_q\.lm_head\.": "the head over the dVAE's vocabulary",
            r"transformer_q\.cls_head\.": "the contrastive head",
            r"dvae\.": "the dVAE",
            **_CLASSIFIER,
            r"propagation_\d\.": "the part segmenter",
            r"dgcnn_pro_\d\.": "the part segmenter",
            r"(conv|bn)\d\.": "the part segmenter",
        },
    ),
    "maskpoint": Peer(
        "MaskPoint",
        "transformer_q.",
        {
            **_MOMENTUM,
            r"transformer_q\.decoder\.": "the occupancy decoder",
            r"transformer_q\.cls_head\.": "the contrastive head",
            r"transformer_q\.bin_cls_head\.": "the occupancy head",
            **_CLASSIFIER,
        },
        skips_near_origin=False,
        neighbours_by_index=False,
    ),
    "recon": Peer(
        "ReCon",
        "MAE_encoder.",
        {
            r"(MAE_encoder\.)?blocks\.blocks\.\d+\.\w+_contrast\.": "the global stream, which reads patches only",
            r"(MAE_encoder\.)?(cls|img|text)_(token|pos)$": "the global stream, which reads patches only",
            **_DECODER,
            r"(img|text)_(encoder|proj)\.": "the image and text teachers and projections",
            r"cls_proj\.": "the contrastive head",
            **_CLASSIFIER,
            **_SEGMENTER,
        },
        normed_residual=True,
        neighbours_by_index=False,
    ),
    "act": Peer(
        "ACT",
        "ACT_encoder.",
        {
            r"ACT_encoder\.lm_head\.": "the head over the dVAE's vocabulary",
            r"ACT_encoder\.cls_head\.": "the contrastive head",
            r"dvae_tokenizer\.": "the teacher",
            **_DECODER,
            r"proj_head\.": "the projection to the teacher",
            **_CLASSIFIER,
            **_SEGMENTER,
        },
    ),
    "3detr": Peer("3DETR", "", {}),
}
"""By the name that `convert --from` takes."""


def left_out(peer: Peer, names: Iterable[str]) -> dict[str, str]:
    """Which of these names are not loaded, and what they are."""
    found = {}
    for name in names:
        for pattern, what in peer.left_out.items():
            if re.match(pattern, name):
                found[name] = what
                break
    return found
