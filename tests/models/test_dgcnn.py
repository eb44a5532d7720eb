import numpy as np
import torch
from torch import nn

from oracles import points as oracle
from pointdistill.geometry import knn, knn_features
from pointdistill.models.dgcnn import DGCNN, DGCNNConfig, DGCNNSegmentationHead, EdgeConvolution, PointFeatures

TINY = DGCNNConfig(neighbours=5, width=6, embedding=10)


def graph(features, k):
    return [[oracle.neighbours(query, cloud, k) for query in cloud] for cloud in features.detach().numpy()]


def published(network, points, features):
    """DGCNN as published: edge features (x_j - x_i, x_i), 2-D convolutions over (channels, points, edges)."""

    def layer(x, weight, norm):
        x = nn.functional.conv2d(x, weight[:, :, None, None])
        x = nn.functional.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
        return nn.functional.leaky_relu(x, 0.2)

    x, place, outputs = torch.cat([points, features], dim=2), points, []
    for block in network.blocks:
        index = torch.tensor(graph(place, network.config.neighbours))
        other = torch.stack([cloud[rows] for cloud, rows in zip(x, index, strict=True)])
        own = x[:, :, None].expand_as(other)
        edges = layer(torch.cat([other - own, own], dim=3).permute(0, 3, 1, 2), block.first.weight, block.norm)
        for rest in block.rest:
            edges = layer(edges, rest.linear.weight, rest.norm)
        x = place = edges.amax(dim=3).transpose(1, 2)
        outputs.append(x)
    local = torch.cat(outputs, dim=2)
    whole = layer(local.transpose(1, 2)[..., None], network.embed.linear.weight, network.embed.norm).amax(dim=(2, 3))
    return local, whole


def test_equals_the_published_formulation_forward_and_backward():
    torch.manual_seed(0)
    network = DGCNN(DGCNNConfig(neighbours=5, width=6, embedding=10, channels=3)).double()
    points, colours = torch.randn(2, 40, 3, dtype=torch.float64), torch.rand(2, 40, 3, dtype=torch.float64)
    found = network(points, colours)
    results, upstream = [], [torch.randn_like(found.local), torch.randn_like(found.whole)]
    for local, whole in ((found.local, found.whole), published(network, points, colours)):
        network.zero_grad()
        ((local * upstream[0]).sum() + (whole * upstream[1]).sum()).backward()
        results.append([local.detach(), whole.detach(), *(p.grad.clone() for p in network.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_neighbours_by_features_equal_the_oracle_whatever_the_chunks(monkeypatch):
    features = torch.randn(2, 30, 7, dtype=torch.float64) + 100
    assert knn_features(features, 4).tolist() == graph(features, 4)
    cloud = torch.randn(3, 200, 3, dtype=torch.float64)
    assert torch.equal(knn_features(cloud, 9), knn(cloud, cloud, 9))
    monkeypatch.setattr("pointdistill.geometry.neighbours._MATRIX_ELEMENTS", 3 * 200 * 7)
    assert torch.equal(knn_features(cloud, 9), knn(cloud, cloud, 9))


def test_the_head_reads_the_concatenation_of_whole_and_local():
    torch.manual_seed(0)
    head = DGCNNSegmentationHead(18, 10, 4, hidden=(8, 6)).double().eval()
    features = PointFeatures(torch.randn(2, 30, 18).double(), torch.randn(2, 10).double())
    x = torch.cat([features.whole[:, None].expand(-1, 30, -1), features.local], dim=2)
    x = x @ torch.cat([head.whole1.weight, head.local1.weight], dim=1).t()
    for norm, following in ((head.norm1, head.hidden2.linear.weight), (head.hidden2.norm, None)):
        x = nn.functional.leaky_relu(x / np.sqrt(1 + norm.eps), 0.2)  # running statistics are 0 and 1
        x = x if following is None else x @ following.t()
    torch.testing.assert_close(head(features), head.logits(x))


def test_order_of_points_is_nothing_and_the_graph_changes_with_the_features():
    torch.manual_seed(0)
    network = DGCNN(TINY).eval()
    points, order = torch.randn(1, 40, 3), torch.randperm(40)
    found, shuffled = network(points), network(points[:, order])
    torch.testing.assert_close(shuffled.local, found.local[:, order])
    torch.testing.assert_close(shuffled.whole, found.whole)
    assert not torch.equal(knn_features(found.local[..., :6], 5), knn(points, points, 5))


def test_the_defaults_are_the_authors():
    network = DGCNNConfig().build()
    assert isinstance(network.blocks[0], EdgeConvolution)
    assert [(tuple(b.first.weight.shape), len(b.rest)) for b in network.blocks] == [
        ((64, 6), 1),
        ((64, 128), 1),
        ((64, 128), 0),
    ]
    assert tuple(network.embed.linear.weight.shape) == (1024, 192) and network.config.neighbours == 20
