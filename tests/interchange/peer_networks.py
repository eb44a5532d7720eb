"""The networks of Point-MAE and its descendants, written anew from what their papers and checkpoints say: the names of
the tensors are theirs. Slow and plain: all distances, one loop a centre."""

import argparse
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def farthest(cloud, count, skip=False):
    """PointNet++'s kernel: float32, from point 0; with `skip` points near the origin take no part."""
    distance = np.full(len(cloud), 1e10, np.float32)
    taking_part = (cloud * cloud).sum(1).astype(np.float64) > 1e-3 if skip else np.full(len(cloud), True)
    chosen = [0]
    while len(chosen) < count:
        difference = cloud - cloud[chosen[-1]]
        distance = np.minimum(distance, (difference * difference).sum(1))
        candidates = np.flatnonzero(taking_part)
        chosen.append(int(candidates[distance[candidates].argmax()]) if len(candidates) else 0)
    return np.array(chosen)


def nearest(cloud, centres, size):
    """The nearest points of each centre; of equally near ones the earlier first."""
    difference = centres[:, None] - cloud[None]
    return np.argsort((difference * difference).sum(2), axis=1, kind="stable")[:, :size]


def grouped(points, count, size, skip=False):
    """Index of the centres and of their neighbours, for each cloud."""
    centres, neighbours = [], []
    for cloud in points.float().numpy():
        centres.append(farthest(cloud, count, skip))
        neighbours.append(nearest(cloud, cloud[centres[-1]], size))
    return torch.from_numpy(np.stack(centres)), torch.from_numpy(np.stack(neighbours))


def cut(points, count, size, skip=False):
    """Patches about their centres, and the centres."""
    index, neighbours = grouped(points, count, size, skip)
    centres = torch.stack([cloud[rows] for cloud, rows in zip(points, index, strict=True)])
    patches = torch.stack([cloud[rows] for cloud, rows in zip(points, neighbours, strict=True)])
    return patches - centres[:, :, None], centres


class MiniPointNet(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first_conv = nn.Sequential(nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, 256, 1))
        self.second_conv = nn.Sequential(
            nn.Conv1d(512, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, channels, 1)
        )

    def forward(self, patches):
        x = self.first_conv(patches.flatten(0, 1).mT)
        x = self.second_conv(torch.cat([x.amax(2, keepdim=True).expand_as(x), x], 1))
        return x.amax(2).unflatten(0, patches.shape[:2])


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class CrossAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.q, self.kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)


class ReConBlock(Block):
    """Patches are normalised before the residual connection; three global tokens read them, and never write."""

    def __init__(self, width, heads):
        super().__init__(width, heads)
        self.norm1_contrast, self.norm2_contrast = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp_contrast, self.attn_contrast = Mlp(width), CrossAttention(width)

    def forward(self, x):
        x = self.norm1(x)
        x = self.norm2(x + self.attn(x))
        return x + self.mlp(x)


class Stack(nn.Module):
    def __init__(self, width, depth, heads, block=Block):
        super().__init__()
        self.blocks = nn.ModuleList(block(width, heads) for _ in range(depth))

    def forward(self, x, positions):
        outputs = []
        for block in self.blocks:
            x = block(x + positions)
            outputs.append(x)
        return outputs


def positions(width):
    return nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))


def token(width):
    return nn.Parameter(torch.randn(1, 1, width))


class Encoder(nn.Module):
    """The encoder of all of them: `pooled` channels and a linear layer, a class token, or ReCon's blocks."""

    def __init__(self, width=128, depth=2, heads=2, pooled=None, class_token=False, block=Block):
        super().__init__()
        self.encoder = MiniPointNet(pooled or width)
        if pooled:
            self.reduce_dim = nn.Linear(pooled, width)
        self.pos_embed, self.norm = positions(width), nn.LayerNorm(width)
        self.blocks = Stack(width, depth, heads, block)
        if class_token:
            self.cls_token, self.cls_pos = token(width), token(width)

    def layers(self, patches, centres):
        x, where = self.encoder(patches), self.pos_embed(centres)
        x = self.reduce_dim(x) if hasattr(self, "reduce_dim") else x
        if hasattr(self, "cls_token"):
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
            where = torch.cat([self.cls_pos.expand(len(x), -1, -1), where], 1)
        return self.blocks(x, where)

    def forward(self, patches, centres):
        return self.norm(self.layers(patches, centres)[-1])


class Decoder(Stack):
    def __init__(self, width, depth, heads):
        super().__init__(width, depth, heads)
        self.norm = nn.LayerNorm(width)


class MaskedAutoencoder(nn.Module):
    """Point-MAE's pre-training."""

    def __init__(self, width=128, depth=2, heads=2, decoder_depth=2, size=8):
        super().__init__()
        self.MAE_encoder, self.MAE_decoder = Encoder(width, depth, heads), Decoder(width, decoder_depth, heads)
        self.mask_token, self.decoder_pos_embed = token(width), positions(width)
        self.increase_dim = nn.Sequential(nn.Conv1d(width, 3 * size, 1))

    def loss(self, patches, centres, hidden):
        """Mean l2 Chamfer distance of the hidden patches; `hidden` is a mask (batch, groups) of equally many a row."""
        batch = len(patches)
        rows = lambda values, mask: values[mask].unflatten(0, (batch, -1))  # noqa: E731
        seen = self.MAE_encoder(rows(patches, ~hidden), rows(centres, ~hidden))
        masks = self.mask_token.expand(batch, int(hidden[0].sum()), -1)
        where = self.decoder_pos_embed(torch.cat([rows(centres, ~hidden), rows(centres, hidden)], 1))
        x = self.MAE_decoder(torch.cat([seen, masks], 1), where)[-1]
        x = self.increase_dim(self.MAE_decoder.norm(x)[:, seen.shape[1] :].mT).mT
        distances = (x.reshape(-1, patches.shape[2], 1, 3) - patches[hidden][:, None]).square().sum(-1)
        return distances.amin(2).mean() + distances.amin(1).mean()


class Classifier(Encoder):
    """Point-MAE's fine-tuned classifier."""

    def __init__(self, classes=40, **sizes):
        super().__init__(class_token=True, **sizes)
        width = self.norm.weight.shape[0]
        layers = []
        for before in (2 * width, 256):
            layers += [nn.Linear(before, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5)]
        self.cls_head_finetune = nn.Sequential(*layers, nn.Linear(256, classes))

    def logits(self, patches, centres):
        x = self(patches, centres)
        return self.cls_head_finetune(torch.cat([x[:, 0], x[:, 1:].amax(1)], -1))


class Propagation(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.mlp_convs = nn.ModuleList([nn.Conv1d(width, outputs[0], 1), nn.Conv1d(outputs[0], outputs[1], 1)])
        self.mlp_bns = nn.ModuleList(nn.BatchNorm1d(out) for out in outputs)

    def forward(self, points, centres, features):
        distances = (points[:, :, None] - centres[:, None]).square().sum(-1)
        near, index = distances.sort(dim=-1, stable=True)
        inverse = 1 / (near[..., :3] + 1e-8)
        weights = inverse / inverse.sum(-1, keepdim=True)
        read = torch.stack([cloud[rows] for cloud, rows in zip(features, index[..., :3], strict=True)])
        x = torch.cat([points, (read * weights[..., None]).sum(2)], -1).mT
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = F.relu(norm(conv(x)))
        return x


class Segmenter(Encoder):
    """Point-MAE's fine-tuned part segmenter; it reads blocks 4, 8 and 12."""

    def __init__(self, width=64, heads=1):
        super().__init__(width, 12, heads)
        self.label_conv = nn.Sequential(nn.Conv1d(16, 64, 1, bias=False), nn.BatchNorm1d(64), nn.LeakyReLU(0.2))
        self.propagation_0 = Propagation(3 * width + 3, (4 * width, 1024))
        self.convs1, self.bns1 = nn.Conv1d(1024 + 6 * width + 64, 512, 1), nn.BatchNorm1d(512)
        self.convs2, self.bns2 = nn.Conv1d(512, 256, 1), nn.BatchNorm1d(256)
        self.convs3 = nn.Conv1d(256, 50, 1)

    def log_shares(self, points, patches, centres, category):
        layers = self.layers(patches, centres)
        stacked = torch.cat([self.norm(layers[i]) for i in (3, 7, 11)], -1)
        label = self.label_conv(F.one_hot(category, 16)[..., None].to(points.dtype))
        whole = torch.cat([stacked.amax(1)[..., None], stacked.mean(1)[..., None], label], 1)
        x = torch.cat([self.propagation_0(points, centres, stacked), whole.expand(-1, -1, points.shape[1])], 1)
        x = F.relu(self.bns2(self.convs2(F.relu(self.bns1(self.convs1(x))))))
        return self.convs3(x).log_softmax(1).mT


def shuffled(network, seed=0):
    """Every tensor random, so that no two could be exchanged unseen."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
        elif value.is_floating_point():
            value.normal_(0, 0.2 if value.ndim == 1 else value[0].numel() ** -0.5, generator=generator)
            if value.ndim == 1 and name.endswith("weight"):
                value += 1
        else:
            value += 300
    return network.eval()


def checkpoint(tensors):
    """A training checkpoint as these projects write it, with settings and numpy's numbers among the rest."""
    parameters = [name for name, value in tensors.items() if value.is_floating_point()]
    moments = {0: {"step": 7, "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}}
    return {
        "base_model": OrderedDict((f"module.{name}", value) for name, value in tensors.items()),
        "optimizer": {"state": moments, "param_groups": [{"lr": np.float64(1e-3), "params": [0, len(parameters)]}]},
        "epoch": 300,
        "metrics": {"acc": np.float64(91.25)},
        "best_metrics": {"acc": torch.tensor(93.8), "per_class": np.linspace(0, 1, 40)},
        "args": argparse.Namespace(config="cfgs/pretrain.yaml", seed=0),
    }
