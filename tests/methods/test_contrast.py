"""Losses against their definitions, written out sum by sum; what a momentum copy and a queue keep."""

import numpy as np
import pytest
import torch
from torch import nn

from pointdistill.methods.contrast import GALLERY, MomentumCopy, MomentumQueue, Retrieval, info_nce, nt_xent


def features(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.double)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_nt_xent_is_simclrs_equation():
    first, second = features(5, 7), 3 * features(5, 8)[:, :7]
    z = unit(np.concatenate([first.numpy(), second.numpy()]))
    losses = []
    for i in range(10):
        others = [np.exp(z[i] @ z[k] / 0.1) for k in range(10) if k != i]
        losses.append(-np.log(np.exp(z[i] @ z[(i + 5) % 10] / 0.1) / sum(others)))
    assert nt_xent(first, second, 0.1).item() == pytest.approx(np.mean(losses), rel=1e-9)


def test_info_nce_among_the_batch_and_against_given_negatives():
    query, key, other = features(4, 3, 6), features(4, 3, 7)[..., :6], unit(features(9, 6).numpy())
    q, k = unit(query.numpy().reshape(12, 6)), unit(key.numpy().reshape(12, 6))
    among, against = [], []
    for i in range(12):
        right = np.exp(q[i] @ k[i] / 0.2)
        among.append(-np.log(right / sum(np.exp(q[i] @ k[j] / 0.2) for j in range(12))))
        against.append(-np.log(right / (right + sum(np.exp(q[i] @ negative / 0.2) for negative in other))))
    assert info_nce(query, key, temperature=0.2).item() == pytest.approx(np.mean(among), rel=1e-9)
    found = info_nce(query, key, torch.from_numpy(other), temperature=0.2)
    assert found.item() == pytest.approx(np.mean(against), rel=1e-9)


def test_momentum_copy_follows_without_gradients():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    copy = MomentumCopy(network, 0.9)
    assert all(torch.equal(a, b) for a, b in zip(copy.network.parameters(), network.parameters(), strict=True))
    before = [weight.detach().clone() for weight in copy.network.parameters()]
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    copy.follow(*network)
    for own, old in zip(copy.network.parameters(), before, strict=True):
        torch.testing.assert_close(own, old + 0.1)
        assert not own.requires_grad
    assert not copy(torch.ones(1, 3, requires_grad=True)).requires_grad


def test_the_queue_holds_the_last_keys_in_a_ring():
    torch.manual_seed(0)
    queue, expected = MomentumQueue(7, 4), None
    expected = queue.keys.clone()
    torch.testing.assert_close(expected.norm(dim=-1), torch.ones(7))
    place = 0
    for size in (3, 3, 2, 3):  # 7 is no multiple of these
        handed, keys = queue.keys, 5 * torch.randn(size, 4)
        kept = handed.clone()
        queue.push(keys)
        assert torch.equal(handed, kept)
        for key in keys:
            expected[place % 7] = key / key.norm()
            place += 1
        torch.testing.assert_close(queue.keys, expected)
    assert queue.next.item() == 11 % 7
    assert set(queue.state_dict()) == {"keys", "next"}


def test_retrieval_looks_among_the_frames_beside_each_one():
    """Keys that name a frame's place in its own gallery: right there, whatever the order of the batches."""
    count = 2 * GALLERY + 2  # three galleries, of 44, 43 and 43
    index = torch.arange(count)
    place = torch.cat([torch.arange(44), torch.arange(43), torch.arange(43)])
    keys = torch.eye(44)[place]
    wrong = keys.clone()
    wrong[[5, 50]] = keys[[6, 51]]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    found = Retrieval()
    for chosen in order.split(10):
        found.add(index[chosen], wrong[chosen], 2 * keys[chosen])
    assert found.accuracy() == pytest.approx(1 - 2 / count)
