"""With a peer's weights our modules give what the peer's code gives: files in the published layouts, read by the
command, against networks written from these layouts."""

import json

import peer_networks as theirs
import pytest
import torch
from torch.testing import assert_close

from pointdistill import cli
from pointdistill.datasets.axes import to_z_up
from pointdistill.interchange import from_peer, read_peer, to_peer
from pointdistill.interchange.peers import PEERS
from pointdistill.models.checkpoints import load_backbone, save_backbone
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.tasks.classification import Classification, ClassificationModel, ClassNames
from pointdistill.tasks.part_segmentation import PartSegmentationModel
from pointdistill.tasks.saved import load_task_model
from pointdistill.tensors import load_tensors


def clouds(batch=2, points=300, seed=0):
    return torch.randn(batch, points, 3, generator=torch.Generator().manual_seed(seed)) * 0.4


def prefixed(prefix, network):
    return {prefix + name: value for name, value in network.state_dict().items()}


def convert(tmp_path, peer, tensors, *options):
    """What the command makes of a file: the folder, which the file's tensors alone decide."""
    torch.save(theirs.checkpoint(tensors), tmp_path / "published.pth")
    out = tmp_path / "converted"
    cli.main(["convert", "--from", peer, str(tmp_path / "published.pth"), str(out), *options])
    return out


ROUNDED_ONCE = 1e-6
"""Where a bias went into a running mean, which is float32 in the file."""


def equal(ours, expected, tolerance=1e-9):
    """Up to rounding in double precision, which the weights' float32 has no part in."""
    assert_close(ours, expected, rtol=tolerance, atol=tolerance)


def test_point_mae_pretraining(tmp_path, capsys):
    network = theirs.shuffled(theirs.MaskedAutoencoder())
    out = convert(tmp_path, "point-mae", network.state_dict(), "--groups", "20")
    said = capsys.readouterr().out
    assert "2 blocks of width 128, 2 heads, 20 patches of 8 points" in said and "decoder of 2 blocks" in said
    points = clouds()
    patches, centres = theirs.cut(points, 20, 8)
    backbone = load_backbone(out).eval()
    found = backbone.patches(points)
    assert torch.equal(found.patches, patches) and torch.equal(found.centres, centres)
    with torch.no_grad():
        assert_close(backbone(points).tokens, network.MAE_encoder(patches, centres), rtol=1e-4, atol=1e-5)

    module = from_peer("point-mae", network.state_dict(), groups=20).double()
    written, _ = load_tensors(out / "method.safetensors")
    assert all(torch.equal(written[name], value.to(written[name].dtype)) for name, value in module.state_dict().items())
    noise = torch.rand(2, 20 + 2 * 4, generator=torch.Generator().manual_seed(1))
    hidden = torch.zeros(2, 20, dtype=torch.bool).scatter(1, noise[:, :20].argsort(1)[:, :12], True)
    patches, centres = theirs.cut(points.double(), 20, 8)
    with torch.no_grad():
        equal(module.reconstruction(points.double(), noise), network.double().loss(patches, centres, hidden))
    card = json.loads((out / "backbone.json").read_text())
    assert card["peer"] == "point-mae" and card["file"] == "published.pth" and len(card["sha256"]) == 64


def test_point_mae_classifier(tmp_path):
    network = theirs.shuffled(theirs.Classifier(classes=15))
    out = convert(tmp_path, "point-mae", network.state_dict())
    saved, points = load_task_model(out), clouds().double()
    model = saved.model.double()
    assert isinstance(saved.task, Classification) and saved.task.group_count == 128
    assert isinstance(saved.facts, ClassNames) and saved.facts.classes[:2] == ("bag", "bin")
    assert saved.card["peer"] == "point-mae"
    patches, centres = theirs.cut(points, 128, 32)
    with torch.no_grad():
        equal(model(points), network.double().logits(patches, centres), ROUNDED_ONCE)


def test_point_mae_part_segmenter(tmp_path):
    network = theirs.shuffled(theirs.Segmenter())
    out = convert(tmp_path, "point-mae", network.state_dict(), "--groups", "40")
    points, category = clouds().double(), torch.tensor([4, 15])
    patches, centres = theirs.cut(points, 40, 32)
    with torch.no_grad():
        ours = load_task_model(out).model.double()(points, category).log_softmax(-1)
        equal(ours, network.double().log_shares(points, patches, centres, category), ROUNDED_ONCE)
    whole = from_peer("point-mae", network.float().state_dict())
    assert isinstance(whole, PartSegmentationModel) and whole.group_count == 128
    assert whole.allowed.sum() == 50 and whole.allowed[4].nonzero().flatten().tolist() == [12, 13, 14, 15]


def published(peer, fine_tuned):
    """A small network of the peer, and the tensors of a file that holds it among all that is left out."""
    extra = {"cls_head_finetune.0.weight": torch.zeros(256, 256), "cls_head_finetune.3.bias": torch.zeros(40)}
    if peer in ("point-bert", "maskpoint"):
        network = theirs.shuffled(theirs.Encoder(pooled=256, class_token=True))
        names = ["transformer_q.mask_token", "transformer_q.cls_head.0.weight", "queue", "queue_ptr"]
        names += {
            "point-bert": ["transformer_q.lm_head.weight", "dvae.encoder.first_conv.0.weight"],
            "maskpoint": ["transformer_q.decoder.blocks.0.attn.q_proj.weight", "transformer_q.bin_cls_head.0.bias"],
        }[peer]
        pre_training = prefixed("transformer_q.", network) | prefixed("transformer_k.", theirs.Encoder(pooled=256))
    elif peer == "recon":
        network = theirs.shuffled(theirs.Encoder(block=theirs.ReConBlock))
        tokens = [f"{kind}_{part}" for kind in ("cls", "img", "text") for part in ("token", "pos")]
        extra |= {name: torch.zeros(1, 1, 128) for name in tokens}
        names = ["mask_token", "decoder_pos_embed.0.weight", "MAE_decoder.norm.bias", "increase_dim.0.weight"]
        names += ["img_encoder.model.norm.weight", "img_proj.weight", "text_encoder.model.proj", "text_proj.bias"]
        names += [f"MAE_encoder.{name}" for name in tokens]
        pre_training = prefixed("MAE_encoder.", network)
    else:
        network = theirs.shuffled(theirs.Encoder(class_token=True))
        names = ["ACT_encoder.lm_head.weight", "ACT_encoder.cls_head.2.bias", "dvae_tokenizer.visual_embed.norm.weight"]
        names += ["mask_token", "decoder_pos_embed.2.bias", "ACT_decoder.blocks.0.norm1.weight", "proj_head.weight"]
        pre_training = prefixed("ACT_encoder.", network)
    if fine_tuned:
        return network, network.state_dict() | extra
    return network, pre_training | {name: torch.zeros(2) for name in names}


@pytest.mark.parametrize("fine_tuned", [False, True], ids=["pre-trained", "fine-tuned"])
@pytest.mark.parametrize("peer", ["point-bert", "maskpoint", "recon", "act"])
def test_encoders(tmp_path, capsys, peer, fine_tuned):
    network, tensors = published(peer, fine_tuned)
    out = convert(tmp_path, peer, tensors, "--groups", "20")
    assert "left out: " in capsys.readouterr().out
    imported, prefix = read_peer(peer, tensors), "" if fine_tuned else PEERS[peer].prefix
    assert set(imported.loaded) == {prefix + name for name in network.state_dict() if "_contrast" not in name}
    assert {*imported.loaded, *imported.left_out} == set(tensors)
    points, backbone = clouds().double(), load_backbone(out).eval().double()
    patches, centres = theirs.cut(points, 20, 32)
    expected = network.double()(patches, centres)
    with torch.no_grad():
        equal(backbone(points).tokens, expected[:, -20:])
        if backbone.class_token is not None:  # which fine-tuning goes on with
            prepend = ClassificationModel(backbone, 5, Classification(group_count=20)).class_token(2)
            equal(backbone(points, prepend=prepend).tokens, expected)
    assert (backbone.class_token is None) == (peer == "recon")


def test_an_act_classifier_is_loaded_whole():
    network = theirs.shuffled(theirs.Classifier())
    imported = read_peer("act", network.state_dict())
    assert isinstance(imported.module, ClassificationModel) and not imported.left_out
    points = clouds().double()
    patches, centres = theirs.cut(points, 64, 32)
    with torch.no_grad():
        equal(imported.module.double()(points), network.double().logits(patches, centres), ROUNDED_ONCE)


def test_published_sizes_are_the_papers_backbone():
    network = theirs.Encoder(384, 12, 6)
    assert from_peer("point-mae", prefixed("MAE_encoder.", network)).config == BackboneConfig()


def test_quirks_choose_the_peers_patches_index_by_index():
    network = prefixed("MAE_encoder.", theirs.shuffled(theirs.Encoder()))
    grid = torch.cartesian_prod(*[torch.linspace(-1, 1, 9)] * 3)  # full of equally near points
    order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))
    points = torch.stack([grid[order], grid[order.flip(0)]])
    points[:, 1:500] *= 0.02
    centres, neighbours = theirs.grouped(points, 250, 32, skip=True)
    found = from_peer("point-mae", network, groups=250, quirks=True).patches(points)
    assert torch.equal(found.centre_index, centres) and torch.equal(found.index, neighbours)
    plain = from_peer("point-mae", network, groups=250).patches(points)
    assert torch.equal(plain.centre_index, theirs.grouped(points, 250, 32)[0])
    assert not torch.equal(plain.centre_index, centres)
    for peer, (skips, ordered) in {"maskpoint": (False, False), "recon": (True, False), "act": (True, True)}.items():
        config = from_peer(peer, published(peer, False)[1], quirks=True).config
        assert (config.skip_near_origin, config.neighbours_by_index) == (skips, ordered)


def test_there_and_back(tmp_path, capsys):
    config = BackboneConfig(width=384, depth=2, heads=6)
    backbone = theirs.shuffled(PointTransformer(config))
    save_backbone(backbone, tmp_path / "run", {})
    out = tmp_path / "ours.pth"
    cli.main(["convert", "--to", "point-mae", str(tmp_path / "run"), str(out)])
    content = torch.load(out, weights_only=True)
    assert content.keys() == {"base_model", "source"} and isinstance(content["source"], str)
    # As their fine-tuning code does: names without the prefix, whatever is in place already.
    network = theirs.Classifier(width=384, depth=2, heads=6)
    bare = {name.removeprefix("MAE_encoder."): value for name, value in content["base_model"].items()}
    left = network.load_state_dict(bare, strict=False)
    assert not left.unexpected_keys
    assert all(name.startswith(("cls_token", "cls_pos", "cls_head_finetune.")) for name in left.missing_keys)
    again = from_peer("point-mae", content)
    assert again.config == config
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])

    masked = from_peer("point-mae", theirs.shuffled(theirs.MaskedAutoencoder()).state_dict())
    for name, value in from_peer("point-mae", to_peer("point-mae", masked)).state_dict().items():
        assert torch.equal(value, masked.state_dict()[name])
    expected = theirs.MaskedAutoencoder().state_dict()
    assert {name: value.shape for name, value in to_peer("point-mae", masked).items()} == {
        name: value.shape for name, value in expected.items()
    }


@pytest.mark.parametrize("axis", ["y", "-x"])
def test_networks_of_shapes_with_another_axis_up_take_ours(axis):
    points = clouds().double()
    turned = points @ torch.from_numpy(to_z_up(axis)[:3, :3].T).double()
    assert not torch.equal(turned, points)
    autoencoder, segmenter = (theirs.shuffled(network) for network in (theirs.MaskedAutoencoder(), theirs.Segmenter()))
    noise = torch.rand(2, 64 + 2 * 4, generator=torch.Generator().manual_seed(1))
    category = torch.tensor([0, 7])
    with torch.no_grad():
        published, ours = (from_peer("point-mae", autoencoder.state_dict(), up=up).double() for up in (None, axis))
        equal(ours.backbone(turned).tokens, published.backbone(points).tokens)
        equal(ours.reconstruction(turned, noise), published.reconstruction(points, noise))
        assert ours.reconstruction(points, noise).sub(published.reconstruction(points, noise)).abs() > 1e-3
        back = from_peer("point-mae", to_peer("point-mae", ours.float(), up=axis))
        for name, value in back.state_dict().items():
            assert torch.equal(value, published.float().state_dict()[name])
        published, ours = (from_peer("point-mae", segmenter.state_dict(), up=up).double() for up in (None, axis))
        equal(ours(turned, category), published(points, category))
