"""Weights to the model hub and back, against its HTTP interface on loopback."""

import json
import os
import shutil
import subprocess
import sys
import time

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import constants

import build_labelled
import pointdistill
from hub_stand_in import TOKEN, Repository, standing_in
from pointdistill import Distiller, create_backbone, finetune, from_pretrained, push_to_hub
from pointdistill.distilled import load_distilled
from pointdistill.errors import CheckpointError, DataError, MissingPackage, PointdistillError
from pointdistill.export.open import open_subject
from pointdistill.hub import BACKBONE, HubError, hub_id, located
from pointdistill.model_card import USE
from pointdistill.models.checkpoints import load_backbone, save_backbone
from pointdistill.publishing import uploads
from pointdistill.recipes.downstream import RECIPES
from task_samples import tiny_backbone
from test_cli import error_of, run

CLOUD = np.random.default_rng(0).random((200, 3))
TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 8}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A distillation with its page, a backbone, a fine-tuned model, and objects to test it on."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    Distiller(create_backbone("vit_nano"), points=100).save(folder / "run")
    (folder / "run" / "model_card.md").write_text(f"# A page\n\n{USE}\nTerms.\n")
    (folder / "run" / "state.safetensors").write_text("to go on from")
    save_backbone(tiny_backbone(3), folder / "backbone", {"recipe": {"name": "none"}})
    shapes = build_labelled.write_modelnet(folder / "modelnet")
    assert run("prepare", shapes, folder / "objects", "--labels", "--workers", 1, "--quiet") == 0
    finetune("classification-small", tiny_backbone(), folder / "objects", folder / "model", epochs=1, batch_size=2)
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of one's own, an empty cache, an empty folder to stand in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with standing_in(str(tmp_path / "cache")) as server:
        yield server


def same_weights(first, second):
    states = first.state_dict(), second.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_a_run_goes_there_and_comes_back_with_the_same_bits(hub, weights):
    address = push_to_hub(weights / "run", "me/rooms")
    oid, files = hub.repositories["me/rooms"].commits[-1]
    assert address == f"{hub.address}/me/rooms/commit/{oid}"
    sent = {"backbone.safetensors", "backbone.json", "method.safetensors", "run.json", "result.json"}
    assert set(files) == {*sent, "README.md", ".gitattributes"}
    assert all(files[name] == (weights / "run" / name).read_bytes() for name in sent)
    hub.asked.clear()
    assert same_weights(from_pretrained("me/rooms"), load_backbone(weights / "run"))
    assert not from_pretrained("me/rooms").training
    assert same_weights(create_backbone("vit_nano", pretrained="me/rooms"), load_backbone(weights / "run"))
    assert pointdistill.load_encoder("me/rooms").points == 100
    assert pointdistill.caption(CLOUD, "me/rooms") == pointdistill.caption(CLOUD, weights / "run")
    again, there = load_distilled("me/rooms"), load_distilled(weights / "run")
    assert same_weights(again.method, there.method) and again.recipe == there.recipe
    assert {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line} == sent
    assert all("/resolve/" in line or "/large/" in line for line in hub.asked)


def test_the_page_has_the_hubs_header_and_how_to_load(hub, weights):
    push_to_hub(weights / "run", "me/rooms", licence="apache-2.0")
    page = hub.repositories["me/rooms"].commits[-1][1]["README.md"].decode()
    card = huggingface_hub.ModelCard(page)
    assert (card.data.library_name, card.data.license) == ("pointdistill", "apache-2.0")
    assert {"point-cloud", "knowledge-distillation"} <= {*card.data.tags}
    assert card.text.strip().startswith("# A page") and card.text.rstrip().endswith("Terms.")
    assert 'from_pretrained("me/rooms")' in page and "FOLDER" not in page
    push_to_hub(weights / "backbone", "me/small")
    card = huggingface_hub.ModelCard(hub.repositories["me/small"].commits[-1][1]["README.md"].decode())
    assert card.data.license == "other" and card.data.license_name == "terms-of-data-and-teacher"
    assert "2 blocks of width 24" in card.text and "--run" not in card.text


def test_objects_are_pushed_as_their_folders_are(hub, weights):
    backbone = tiny_backbone(5)
    push_to_hub(backbone, "me/small", private=True)
    assert hub.repositories["me/small"].private
    assert same_weights(from_pretrained("me/small"), backbone)
    assert same_weights(finetune_start("me/small", weights), backbone)
    loop = Distiller.load(weights / "run")
    push_to_hub(loop, "me/loop")
    page = hub.repositories["me/loop"].commits[-1][1]["README.md"].decode()
    assert "| teacher | pointdistill-small-clipcap-1 |" in page and "| recipe | own-loop |" in page
    assert same_weights(load_distilled("me/loop").method, loop.method)


def finetune_start(source, weights):
    """What a fine-tuning that trains nothing starts from."""
    from pointdistill.finetuning import starting_backbone

    return starting_backbone(RECIPES["classification-small"]().backbone, located(source, BACKBONE), 0)


def test_revisions(hub):
    first, second = tiny_backbone(1), tiny_backbone(2)
    push_to_hub(first, "me/small")
    oid = hub.repositories["me/small"].commits[-1][0]
    push_to_hub(second, "me/small", message="longer training")
    assert same_weights(from_pretrained("me/small"), second)
    assert same_weights(from_pretrained("me/small", revision=oid), first)
    assert same_weights(from_pretrained(f"me/small@{oid}"), first)
    assert same_weights(create_backbone("vit_nano", "me/small", revision=oid, drop_path=0.0, **TINY), first)
    with pytest.raises(HubError, match=r"me/small: has no revision 'v9' on the hub\. Name a branch"):
        from_pretrained("me/small", revision="v9")


def test_a_path_here_wins_and_nobody_is_asked(hub, tmp_path):
    save_backbone(tiny_backbone(4), tmp_path / "here" / "me" / "small", {})
    assert same_weights(from_pretrained("me/small"), tiny_backbone(4))
    for mistaken in ("me/smal", "small.safetensors", "you/backbone.safetensors", "/me/small", "a/b/c", "../me", "x"):
        assert hub_id(mistaken) is None
        with pytest.raises(CheckpointError, match="no such checkpoint"):
            from_pretrained(mistaken)
    with pytest.raises(DataError, match="has no revisions"):
        from_pretrained("me/small", revision="v1")
    assert hub.asked == [] and hub_id("you/small@v1.0") == ("you/small", "v1.0")


def test_what_was_fetched_serves_without_a_network(hub, weights, monkeypatch):
    push_to_hub(weights / "run", "me/rooms")
    push_to_hub(tiny_backbone(1), "me/small")
    there = load_distilled("me/rooms").method
    pointdistill.load_encoder("me/rooms")
    hub.asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert same_weights(load_distilled("me/rooms").method, there)
        assert pointdistill.load_encoder("me/rooms").points == 100
        with pytest.raises(HubError, match=r"me/small: is not in the cache.*\(offline mode\)"):
            from_pretrained("me/small")
    assert hub.asked == []
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    assert same_weights(load_distilled("me/rooms").method, there)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # it is tried again and again
    with pytest.raises(HubError, match=r"me/small: is not in the cache, and the hub cannot be reached \(.*refused"):
        from_pretrained("me/small")


def test_a_file_that_the_repository_lacks_is_known_to_be_absent(hub, monkeypatch):
    push_to_hub(tiny_backbone(1), "me/small")
    del hub.repositories["me/small"].commits[-1][1]["backbone.json"]
    assert pointdistill.load_encoder("me/small").points == 4096
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pointdistill.load_encoder("me/small").points == 4096


def test_a_broken_connection_costs_no_bit(hub):
    push_to_hub(tiny_backbone(1), "me/small")
    hub.cut_after = 1000
    assert same_weights(from_pretrained("me/small"), tiny_backbone(1))
    assert len([line for line in hub.asked if line.startswith("GET") and line.endswith(".safetensors")]) == 2


@pytest.mark.parametrize("step", ["POST /api/repos/create", "POST /api/models/me/small/commit"])
def test_a_push_that_breaks_is_one_line_and_changes_nothing(hub, step):
    push_to_hub(tiny_backbone(1), "me/small")
    before = list(hub.repositories["me/small"].commits)
    hub.refuse = (step,)
    with pytest.raises(HubError, match=r"me/small: could not be exchanged with the hub .*Try again") as said:
        push_to_hub(tiny_backbone(2), "me/small")
    assert "\n" not in str(said.value) and hub.repositories["me/small"].commits == before


def test_what_is_not_on_the_hub_is_one_line(hub, weights, capsys):
    hub.repositories["me/other"] = Repository()
    hub.repositories["me/other"].commit({"model.bin": b"1", "README.md": b"not ours"})
    hub.repositories["me/gated"] = Repository(gated=True)
    hub.repositories["me/gated"].commit({})
    np.save("cloud.npy", CLOUD)
    embed = ("embed", "cloud.npy", "--out", "x.npz", "--backbone")
    assert "neither a path here nor a repository on the hub that you may read" in error_of(capsys, *embed, "me/nothing")
    assert "me/other: holds no backbone.safetensors on the hub" in error_of(capsys, *embed, "me/other")
    assert "accept its terms" in error_of(capsys, *embed, "me/gated")
    line = error_of(capsys, "caption", "cloud.npy", "--run", "me/other")
    assert "so it is not a finished distillation of pointdistill" in line
    data = ("--data", weights / "objects")
    assert "neither a path" in error_of(capsys, "finetune", "classification-small", *data, "--init", "me/no")
    assert "neither a path" in error_of(capsys, "probe", "classification-small", *data, "--init", "me/no")
    assert "so it is not a fine-tuned model" in error_of(capsys, "evaluate", "me/other", *data)


def test_private_ones_are_for_those_who_may(hub, monkeypatch):
    push_to_hub(tiny_backbone(1), "me/small", private=True)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="for a private one log in"):
        from_pretrained("me/small")
    hub.asked.clear()
    with pytest.raises(HubError, match=r"me/small: cannot be written to without a token\. Run hf auth login"):
        push_to_hub(tiny_backbone(1), "me/small")
    assert hub.asked == []
    with pytest.raises(HubError, match="me/small: is refused by the hub"):
        push_to_hub(tiny_backbone(1), "me/small", token="hf_wrong")


def test_what_cannot_be_pushed_is_said_before_anybody_is_asked(hub, weights, tmp_path):
    for source, repository, options, said in (
        (weights / "objects", "me/x", {}, "holds no finished pre-training"),
        (tmp_path / "nothing", "me/x", {}, "holds no finished pre-training"),
        (weights / "run", "rooms", {}, "'rooms' is no name of a repository"),
        (weights / "run", "me/../x", {}, "is no name of a repository"),
        (weights / "run", "me/x", {"licence": "a\nb"}, "is no licence"),
    ):
        with pytest.raises(PointdistillError, match=said):
            push_to_hub(source, repository, **options)
    damaged = tmp_path / "damaged"
    shutil.copytree(weights / "backbone", damaged)
    content = bytearray((damaged / "backbone.safetensors").read_bytes())
    content[-5] ^= 1
    (damaged / "backbone.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        push_to_hub(damaged, "me/x")
    assert hub.asked == []
    with pytest.raises(HubError, match="is refused by the hub"):
        push_to_hub(weights / "backbone", "others/x")


def test_weights_alone(weights):
    assert [one.name for one in uploads(weights / "run" / "backbone.safetensors")] == [
        "backbone.json",
        "backbone.safetensors",
    ]
    assert {one.name for one in uploads(weights / "model")} == {
        "log.jsonl",
        "model.json",
        "model.safetensors",
        "result.json",
    }


def test_the_command_lists_before_it_sends(hub, weights, capsys):
    assert run("push", weights / "run", "me/rooms", "--dry-run") == 0
    said = capsys.readouterr().out
    assert hub.asked == [] and "nothing was sent" in said
    for name in ("README.md", "backbone.safetensors", "method.safetensors", "run.json"):
        assert any(line.endswith(f" {name}") for line in said.splitlines())
    assert f"{(weights / 'run' / 'method.safetensors').stat().st_size:,}" in said and "state.safetensors" not in said
    assert run("push", weights / "run", "me/rooms", "--private", "--json", "--quiet") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["commit"].endswith(hub.repositories["me/rooms"].commits[-1][0]) and "README.md" in told["files"]
    assert hub.repositories["me/rooms"].private


def test_verbs_take_names_on_the_hub(hub, weights, tmp_path, capsys):
    push_to_hub(weights / "model", "me/model")
    push_to_hub(weights / "backbone", "me/small")
    data = ("--data", weights / "objects")
    assert run("evaluate", "me/model", *data, "--workers", 1) == 0
    assert (tmp_path / "here" / "model-evaluation-test" / "results.json").is_file()
    assert not list((tmp_path / "cache").rglob("results.json"))
    command = ("finetune", "classification-small", *data, "--init", "me/small", "--out", "tuned", "--epochs", 1)
    assert run(*command, "--batch-size", 2) == 0
    assert json.loads((tmp_path / "here/tuned/model.json").read_text())["init"]["config"]["width"] == 24
    capsys.readouterr()


def test_export_takes_models_and_backbones_on_the_hub(hub, weights):
    push_to_hub(weights / "model", "me/model")
    push_to_hub(weights / "backbone", "me/small")
    model, backbone = (open_subject(name, None, 1) for name in ("me/model", "me/small"))
    assert model.outputs[0].name == "logits" and backbone.outputs[0].name == "tokens"
    assert same_weights(backbone.network.backbone, load_backbone(weights / "backbone"))
    hub.repositories["me/other"] = Repository()
    hub.repositories["me/other"].commit({"notes.txt": b"no weights"})
    with pytest.raises(HubError, match=r"holds no backbone.safetensors .* not a fine-tuned model or a backbone"):
        open_subject("me/other", None, 1)


def test_without_the_package_it_is_named(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        MissingPackage, match=r"me/small is no file or folder here; .*pip install 'pointdistill\[hub\]'"
    ):
        from_pretrained("me/small")
    with pytest.raises(MissingPackage, match=r"pointdistill\[hub\]"):
        push_to_hub(tiny_backbone(1), "me/small")


@pytest.mark.long
def test_the_environment_alone_names_hub_cache_and_token(hub, weights, tmp_path):
    """Processes of their own, huggingface_hub as it is: HF_ENDPOINT, HF_HOME and HF_TOKEN as users set them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    np.save("cloud.npy", CLOUD)

    def command(*words: object, home: str = "first", **more: str) -> subprocess.CompletedProcess:
        given = [sys.executable, "-m", "pointdistill", *map(str, words)]
        told = {**environment, "HF_HOME": str(tmp_path / home), **more}
        return subprocess.run(given, env=told, capture_output=True, text=True)

    sent = command("push", weights / "run", "me/rooms")
    assert sent.returncode == 0 and "/commit/" in sent.stdout, sent.stderr
    embed = ("embed", "cloud.npy", "--backbone", "me/rooms", "--out")
    assert command(*embed, "there.npy", home="second").returncode == 0
    assert command("embed", "cloud.npy", "--backbone", weights / "run", "--out", "here.npy").returncode == 0
    np.testing.assert_array_equal(np.load("there.npy"), np.load("here.npy"))
    hub.asked.clear()
    assert command(*embed, "again.npy", home="second", HF_HUB_OFFLINE="1").returncode == 0
    refused = command(*embed, "x.npy", home="third", HF_HUB_OFFLINE="1")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "offline mode" in refused.stderr
    assert hub.asked == []
