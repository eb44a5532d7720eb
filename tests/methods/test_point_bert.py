"""Point-BERT: masks, mixtures, the contrast and the queue against slow forms; what learns and what follows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.methods.base import Draw
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.methods.point_bert import PointBERTConfig, block_mask, partners
from pointdistill.seeding import sample_uniform

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
CONFIG = PointBERTConfig(DVAEConfig(tokens=16, token_width=8, graph_width=4), contrast_width=6, queue=10)


def method(config=CONFIG, **overrides):
    torch.manual_seed(0)
    return config.build(create_backbone("vit_nano", **TINY, **overrides))


def batch(size=4, first=0):
    points = torch.randn(size, 64, 3, generator=torch.Generator().manual_seed(first))
    return FrameBatch(points, torch.zeros(size, 2, 3), torch.arange(size) + first)


def draw(data, epoch=0):
    return Draw(0, epoch, data.index.numpy())


def test_blocks_are_the_nearest_patches_of_a_random_one():
    generator = torch.Generator().manual_seed(0)
    centres, noise = (torch.rand(200, 20, size, generator=generator) for size in (3, 1))
    noise = noise[:, :2, 0]
    hidden = block_mask(centres, noise, (0.25, 0.45))
    for cloud, (place, share), found in zip(centres.numpy(), noise.numpy(), hidden.numpy(), strict=True):
        middle = cloud[int(place * 20)]
        nearest = sorted(range(20), key=lambda patch: ((cloud[patch] - middle) ** 2).sum())
        assert set(np.flatnonzero(found)) == set(nearest[: int((0.25 + 0.2 * share) * 20)])
    assert set(hidden.sum(1).tolist()) == {5, 6, 7, 8}


def test_total_by_hand_with_clouds_mixed_patch_by_patch():
    """All three losses, one sample and one patch at a time."""
    model, data = method().eval(), batch()
    losses, asked = model(data, draw(data)), draw(data)
    patches = model.backbone.patches(data.points)
    tokens = model.tokenizer.tokenise(patches)
    embedded = model.backbone.patch_embed(patches.patches)
    numbers = {name: sample_uniform(0, f"point_bert {name}", 0, asked.index, 6) for name in ("query", "mixed", "key")}
    mixing = sample_uniform(0, "point_bert mix", 0, asked.index, 9)
    mixed, centres, labels = embedded.clone(), patches.centres.clone(), tokens.clone()
    for cloud in range(4):
        for patch in range(8):
            if mixing[cloud, 1 + patch] >= mixing[cloud, 0]:
                for values, source in ((mixed, embedded), (centres, patches.centres), (labels, tokens)):
                    values[cloud, patch] = source[3 - cloud, patch]

    def told(features, places, true, name, encoder=model.query):
        hidden = block_mask(places, torch.from_numpy(numbers[name][:, :2]), CONFIG.mask_ratio)
        classes, outputs = encoder(features, places, hidden, torch.zeros(4, 4))
        shares = model.vocabulary(outputs).softmax(-1)
        all_hidden = [(cloud, patch) for cloud in range(4) for patch in range(8) if hidden[cloud, patch]]
        return classes, -np.mean([shares[c, p, true[c, p]].log().item() for c, p in all_hidden])

    _, of_clouds = told(embedded, patches.centres, tokens, "query")
    classes, of_mixed = told(mixed, centres, labels, "mixed")
    keys, _ = told(embedded, patches.centres, tokens, "key", model.key)
    contrast = []
    for cloud in range(4):
        similar = np.exp([(classes[cloud] @ key).item() / 0.07 for key in (*keys, *model.queue.keys)])
        own = mixing[cloud, 0]
        contrast.append(
            -own * np.log(similar[cloud] / similar.sum()) - (1 - own) * np.log(similar[3 - cloud] / similar.sum())
        )
    parts = {name: value.item() for name, value in losses.parts.items()}
    assert parts["tokens"] == pytest.approx(of_clouds, rel=1e-5)
    assert parts["tokens_mixed"] == pytest.approx(of_mixed, rel=1e-5)
    assert parts["contrast"] == pytest.approx(np.mean(contrast), rel=1e-5)
    assert losses.total.item() == pytest.approx(of_clouds + of_mixed + np.mean(contrast), rel=1e-5)
    assert torch.equal(partners(tokens), tokens[[3, 2, 1, 0]])


def test_hidden_patches_are_not_seen():
    model = method().eval()
    data = batch(1)
    patches = model.backbone.patches(data.points)
    hidden = torch.tensor([[True] * 3 + [False] * 5])
    embedded = model.backbone.patch_embed(patches.patches)
    other = torch.where(hidden[..., None], torch.randn_like(embedded), embedded)
    for found, again in zip(
        model.query(embedded, patches.centres, hidden, torch.zeros(1, 4)),
        model.query(other, patches.centres, hidden, torch.zeros(1, 4)),
        strict=True,
    ):
        assert torch.equal(found, again)


@pytest.mark.parametrize("class_token", [False, True])
def test_gradients_reach_the_query_encoder_and_nothing_else(class_token):
    model, data = method(class_token=class_token).train(), batch()
    model(data, draw(data)).total.backward()
    own = "own_class_token" if not class_token else "backbone.class_token"
    assert any(name.startswith(f"query.{own}.") for name, _ in model.named_parameters())
    before_norm = {f"query.backbone.patch_embed.{layer}.bias" for layer in ("local1", "local2", "merge")}
    for name, parameter in model.named_parameters():
        learns = name.startswith(("query.", "vocabulary."))
        assert parameter.requires_grad == learns, name
        assert not learns or name in before_norm or parameter.grad.abs().max() > 0, name


def test_keys_follow_by_momentum_and_the_queue_drops_the_oldest():
    model = method(replace(CONFIG, momentum=0.9)).train()
    tokenizer = {name: value.clone() for name, value in model.tokenizer.state_dict().items()}
    with torch.no_grad():
        for parameter in model.query.parameters():
            parameter.add_(1.0)
    before = {name: value.clone() for name, value in model.key.named_parameters()}
    queue, taken = model.queue.keys.clone(), []
    push = model.queue.push
    model.queue.push = lambda keys: (taken.append(keys), push(keys))
    for step in range(3):
        data = batch(first=4 * step)
        model(data, draw(data))
        if step == 0:
            for name, value in model.key.named_parameters():
                torch.testing.assert_close(value, before[name] + 0.1)
    keys = torch.cat(taken)
    torch.testing.assert_close(model.queue.keys, torch.cat([keys[10:12], keys[2:10]]))
    assert model.queue.next == 2
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(12))
    assert not torch.equal(model.queue.keys, queue)
    assert all(torch.equal(value, tokenizer[name]) for name, value in model.tokenizer.state_dict().items())
    model.eval()
    frozen = {name: value.clone() for name, value in model.state_dict().items()}
    model(batch(), draw(batch()))
    figures = model.validate([batch(), batch(first=4)])
    assert figures == model.validate([batch(), batch(first=4)]) and set(figures) == {"cross_entropy", "accuracy"}
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items())


def test_encoders_begin_with_the_tokenizers_mini_pointnet_as_far_as_it_fits():
    whole = method(patch_hidden=4, patch_pooled=8)
    whole.start_from_tokenizer()
    part = method(patch_hidden=4)
    out = part.backbone.patch_embed.out.weight.clone()
    part.start_from_tokenizer()
    for model in (whole, part):
        learned = model.tokenizer.encoder
        for encoder in (model.query.backbone.patch_embed, model.key.network.backbone.patch_embed):
            assert torch.equal(encoder.merge.weight, learned.merge.weight)
            assert torch.equal(encoder.out.weight, learned.out.weight if model is whole else out)


def test_training_tells_the_tokens():
    model, data = method().train(), batch()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), 5e-3)
    losses = []
    for epoch in range(30):
        parts = model(data, draw(data, epoch))
        optimizer.zero_grad()
        parts.total.backward()
        optimizer.step()
        losses.append(parts.parts["tokens"].item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
