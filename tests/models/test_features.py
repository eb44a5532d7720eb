"""What a backbone says of clouds: pooled, at any point, and of clouds of any sizes."""

import numpy as np
import pytest
import torch

from oracles import points as oracle
from pointdistill.models.point_transformer import create_backbone


def clouds(*sizes):
    generator = np.random.default_rng(3)
    return [generator.uniform(-0.5, 0.5, (size, 3)).astype(np.float32) for size in sizes]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "class token"])
def backbone(request):
    torch.manual_seed(1)
    return create_backbone("vit_nano", groups=8, group_size=8, class_token=request.param).eval()


@torch.no_grad()
def test_pooled_is_mean_and_maximum_over_the_patches(backbone):
    batch = torch.from_numpy(np.stack(clouds(50, 50)))
    features = backbone(batch)
    assert features.pooled.shape == (2, 192)
    torch.testing.assert_close(features.pooled[:, :96], features.tokens.mean(1))
    assert torch.equal(features.pooled[:, 96:], features.tokens.max(1).values)
    extra = torch.full((2, 1, 96), 5.0)
    with_more = backbone(batch, prepend=(extra, extra))
    assert with_more.tokens.shape == (2, 9, 96)
    assert torch.equal(with_more.pooled[:, 96:], with_more.tokens[:, 1:].max(1).values)


@torch.no_grad()
def test_features_at_points_are_the_oracles(backbone):
    cloud = torch.from_numpy(np.stack(clouds(60, 60))).double()
    features = backbone.double()(cloud)
    found = features.at(cloud)
    assert found.shape == (2, 60, 96)
    for number in range(2):
        centres, tokens = features.centres[number].numpy(), features.tokens[number].numpy()
        wanted = np.stack([oracle.interpolated(query, centres, tokens) for query in cloud[number].numpy()])
        np.testing.assert_allclose(found[number].numpy(), wanted, rtol=1e-6, atol=1e-6)
    assert torch.equal(features.at(cloud.numpy()), found)
    torch.testing.assert_close(features.at(features.centres), features.tokens, rtol=1e-4, atol=1e-4)
    backbone.float()


@torch.no_grad()
def test_clouds_of_any_sizes_are_as_each_alone(backbone):
    given = clouds(40, 9, 300)
    together = backbone(given)
    assert together.tokens.shape == (3, 8, 96)
    for number, cloud in enumerate(given):
        alone = backbone(torch.from_numpy(cloud)[None])
        torch.testing.assert_close(together.tokens[number], alone.tokens[0], rtol=1e-5, atol=1e-5)
        assert torch.equal(together.centres[number], alone.centres[0])
    mixed = backbone([torch.from_numpy(given[0]), given[1].astype(np.float64), given[2]])
    torch.testing.assert_close(mixed.tokens, together.tokens)
    same = np.stack([given[0], given[0]])
    assert torch.equal(backbone(same).tokens, backbone(torch.from_numpy(same)).tokens)


def test_gradients_reach_the_weights_from_clouds_of_any_sizes(backbone):
    backbone.zero_grad()
    backbone(clouds(40, 20)).at(np.stack(clouds(5, 5))).sum().backward()
    assert backbone.patch_embed.local1.weight.grad.abs().sum() > 0
    backbone.zero_grad()


def test_the_cloud_that_cannot_be_cut_is_named(backbone):
    with pytest.raises(ValueError, match=r"cloud 1: cannot choose 8 points from clouds of 7 points"):
        backbone(clouds(20, 7))
    with pytest.raises(ValueError, match="no clouds"):
        backbone([])
