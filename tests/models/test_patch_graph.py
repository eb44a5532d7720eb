"""The dVAE's networks against their published forms: convolutions over edges, one concatenation a folded point."""

import pytest
import torch
from torch import nn

from oracles import points as oracle
from pointdistill.models.folding import FoldingDecoder
from pointdistill.models.patch_graph import PatchGraph


def published_graph(network, features, index):
    """Edge features (x_j - x_i, x_i), convolutions without bias, GroupNorm over channels and edges, maximum."""

    def layer(x, weight, norm):
        x = nn.functional.conv2d(x, weight[:, :, None, None])
        batch, channels = x.shape[:2]
        of_groups = x.reshape(batch, 4, -1)
        mean, variance = of_groups.mean(2, keepdim=True), of_groups.var(2, correction=0, keepdim=True)
        x = ((of_groups - mean) / (variance + norm.eps).sqrt()).reshape(x.shape)
        return nn.functional.leaky_relu(
            x * norm.weight.view(1, channels, 1, 1) + norm.bias.view(1, channels, 1, 1), 0.2
        )

    x, outputs = features @ network.enter.weight.t() + network.enter.bias, []
    for block in network.layers:
        other = torch.stack([cloud[rows] for cloud, rows in zip(x, index, strict=True)])
        own = x[:, :, None].expand_as(other)
        edges = torch.cat([other - own, own], dim=3).permute(0, 3, 1, 2)
        x = layer(edges, block.first.weight, block.norm).amax(dim=3).transpose(1, 2)
        outputs.append(x)
    every = torch.cat(outputs, dim=2).transpose(1, 2)[..., None]
    return layer(every, network.leave.weight, network.norm)[..., 0].transpose(1, 2)


def test_the_graph_equals_the_published_formulation_forward_and_backward():
    torch.manual_seed(0)
    network = PatchGraph(6, 12, width=4).double()
    for norm in (network.norm, *(layer.norm for layer in network.layers)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    features, centres = torch.randn(2, 9, 6).double(), torch.randn(2, 9, 3).double()
    index = torch.tensor([[oracle.neighbours(query, cloud, 4) for query in cloud] for cloud in centres.numpy()])
    upstream, results = torch.randn(2, 9, 12).double(), []
    for found in (network(features, index), published_graph(network, features, index)):
        network.zero_grad()
        (found * upstream).sum().backward()
        results.append([found.detach(), *(p.grad.clone() for p in network.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_the_defaults_are_point_berts():
    network = PatchGraph(256, 8192)
    assert [tuple(layer.first.weight.shape) for layer in network.layers] == [
        (256, 256),
        (512, 512),
        (512, 1024),
        (1024, 1024),
    ]
    assert tuple(network.leave.weight.shape) == (8192, 2304) and network.norm.num_groups == 4
    decoder = FoldingDecoder(256, 32)
    shapes = [tuple(layer.weight.shape) for layer in decoder.coarse if isinstance(layer, nn.Linear)]
    assert shapes == [(1024, 256), (1024, 1024), (24, 1024)]
    folds = (decoder.fold1, decoder.fold2.linear, decoder.fold3)
    assert [tuple(layer.weight.shape) for layer in folds] == [(512, 261), (512, 512), (3, 512)]


def test_folding_equals_one_mlp_on_the_concatenation_of_feature_place_and_coarse_point():
    torch.manual_seed(0)
    decoder = FoldingDecoder(5, 8).double().eval()
    nn.init.normal_(decoder.norm1.running_mean)
    nn.init.uniform_(decoder.fold2.norm.running_var, 0.5, 2)
    features = torch.randn(3, 5).double()
    coarse, fine = decoder(features)
    assert coarse.shape == (3, 2, 3) and fine.shape == (3, 8, 3)
    square = [(-0.05, -0.05), (0.05, -0.05), (-0.05, 0.05), (0.05, 0.05)]
    for patch in range(3):
        torch.testing.assert_close(coarse[patch].flatten(), decoder.coarse(features[patch]))
        for point in range(8):
            near = coarse[patch, point // 4]
            x = torch.cat([features[patch], torch.tensor(square[point % 4]).double(), near])
            for linear, norm in ((decoder.fold1, decoder.norm1), (decoder.fold2.linear, decoder.fold2.norm)):
                x = (linear(x) - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
                x = x.clamp_min(0)  # scale and shift are 1 and 0
            torch.testing.assert_close(fine[patch, point], near + decoder.fold3(x), rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="patches of 6 points cannot be folded"):
        FoldingDecoder(5, 6)
