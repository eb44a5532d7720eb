"""3DETR, written anew from its paper and the layout of its checkpoints: sequence first, convolutions, a loop over
balls."""

import math
from collections import OrderedDict
from itertools import pairwise

import torch
from peer_networks import farthest
from torch import nn


class Shared(nn.Module):
    """Set abstraction: balls of `size` points about farthest points; the first point in the ball fills up."""

    def __init__(self, count, radius, size, widths):
        super().__init__()
        self.count, self.radius, self.size, self.mlp_module = count, radius, size, nn.Sequential()
        for index, (before, after) in enumerate(pairwise(widths)):
            norm = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(after)))
            layer = OrderedDict(conv=nn.Conv2d(before, after, 1, bias=False), bn=norm, activation=nn.ReLU())
            self.mlp_module.add_module(f"layer{index}", nn.Sequential(layer))

    def forward(self, points, features, skip):
        """points (batch, points, 3), features (batch, channels, points) or None -> the same of fewer points."""
        grouped, centres = [], []
        for index, cloud in enumerate(points):
            own = cloud[torch.from_numpy(farthest(cloud.float().numpy(), self.count, skip))]
            rows = []
            for centre in own:
                inside = ((cloud - centre).square().sum(1) < self.radius**2).nonzero().flatten()[: self.size]
                rows.append(torch.cat([inside, inside[:1].expand(self.size - len(inside))]))
            rows = torch.stack(rows)
            values = ((cloud[rows] - own[:, None]) / self.radius).permute(2, 0, 1)
            if features is not None:
                values = torch.cat([values, features[index][:, rows]])
            grouped.append(values)
            centres.append(own)
        return torch.stack(centres), self.mlp_module(torch.stack(grouped)).amax(3)


class Layer(nn.Module):
    def __init__(self, width, heads, ffn, decoder):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        if decoder:
            self.multihead_attn, self.norm3 = nn.MultiheadAttention(width, heads), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, ffn), nn.Linear(ffn, width)

    def mlp(self, x):
        return self.linear2(self.linear1(x).relu())

    def encode(self, x, mask):
        y = self.norm1(x)
        x = x + self.self_attn(y, y, y, attn_mask=mask)[0]
        return x + self.mlp(self.norm2(x))

    def decode(self, x, places, memory, memory_places):
        y = self.norm1(x)
        x = x + self.self_attn(y + places, y + places, y)[0]
        x = x + self.multihead_attn(self.norm2(x) + places, memory + memory_places, memory)[0]
        return x + self.mlp(self.norm3(x))


class Layers(nn.Module):
    def __init__(self, depth, *sizes):
        super().__init__()
        self.layers = nn.ModuleList(Layer(*sizes) for _ in range(depth))


class Mlp(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Fourier(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.register_buffer("gauss_B", torch.randn(3, width // 2))

    def forward(self, points, lower, edges):
        angles = 2 * math.pi * ((points - lower[:, None]) / edges[:, None]) @ self.gauss_B
        return torch.cat([angles.sin(), angles.cos()], 2)


def normed(before, after, *rest):
    return [nn.Conv1d(before, after, 1, bias=False), nn.BatchNorm1d(after), nn.ReLU(), *rest]


class Detector(nn.Module):
    """`masked`: 3DETR-m. Sizes but for tokens and queries are free."""

    def __init__(self, masked, tokens=48, queries=12, encoder=32, width=64, classes=18):
        super().__init__()
        self.masked, self.queries = masked, queries
        self.pre_encoder = Shared(tokens, 0.2, 64, (3, 64, 128, encoder))
        self.encoder = Layers(3, encoder, 4, 40, False)
        if masked:
            self.encoder.interim_downsampling = Shared(tokens // 2, 0.4, 32, (3 + encoder, 256, 256, encoder))
        hidden = normed(encoder, encoder) * (1 if masked else 0)
        hidden = hidden or [*normed(encoder, encoder), *normed(encoder, encoder)]
        self.encoder_to_decoder_projection = Mlp([*hidden, *normed(encoder, width)])
        self.pos_embedding = Fourier(width)
        self.query_projection = Mlp([nn.Conv1d(width, width, 1), nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU()])
        self.decoder = Layers(2, width, 4, 72, True)
        self.decoder.norm = nn.LayerNorm(width)
        outputs = {"sem_cls_head": classes + 1, "center_head": 3, "size_head": 3}
        outputs |= {"angle_cls_head": 1, "angle_residual_head": 1}
        self.mlp_heads = nn.ModuleDict()
        for name, out in outputs.items():
            layers = [*normed(width, width, nn.Dropout(0.3)), *normed(width, width, nn.Dropout(0.3))]
            self.mlp_heads[name] = Mlp([*layers, nn.Conv1d(width, out, 1)])

    def forward(self, points, skip=False):
        """Logits, centres and sizes of every decoder layer (layers, batch, queries, ...)."""
        lower, edges = points.amin(1), points.amax(1) - points.amin(1)
        where, x = self.pre_encoder(points, None, skip)
        x = x.permute(2, 0, 1)
        for index, layer in enumerate(self.encoder.layers):
            mask = None
            if self.masked:
                reach = (0.4**2, 0.8**2, 1.2**2)[index]  # compared with distances that are not squared
                mask = (torch.cdist(where, where) >= reach).repeat_interleave(4, 0)
            x = layer.encode(x, mask)
            if index == 0 and self.masked:
                where, x = self.encoder.interim_downsampling(where, x.permute(1, 2, 0), skip)
                x = x.permute(2, 0, 1)
        memory = self.encoder_to_decoder_projection(x.permute(1, 2, 0)).permute(2, 0, 1)
        rows = [torch.from_numpy(farthest(cloud.float().numpy(), self.queries, skip)) for cloud in where]
        chosen = torch.stack([cloud[row] for cloud, row in zip(where, rows, strict=True)])
        places = self.query_projection(self.pos_embedding(chosen, lower, edges).mT).permute(2, 0, 1)
        memory_places, x, found = self.pos_embedding(where, lower, edges).transpose(0, 1), torch.zeros_like(places), []
        for layer in self.decoder.layers:
            x = layer.decode(x, places, memory, memory_places)
            features = self.decoder.norm(x).permute(1, 2, 0)
            logits, offset, size = (
                self.mlp_heads[name](features).mT for name in ("sem_cls_head", "center_head", "size_head")
            )
            found.append((logits, chosen + offset.sigmoid() - 0.5, size.sigmoid() * edges[:, None]))
        return [torch.stack(parts) for parts in zip(*found, strict=True)]
