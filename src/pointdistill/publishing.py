"""A run, a backbone or a fine-tuned model onto the model hub, through huggingface_hub (extra `hub`): safetensors, JSON
and the page beside them, in one commit."""

import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from pointdistill import __version__
from pointdistill.api.distiller import Distiller
from pointdistill.console import answering, console, in_markdown, say
from pointdistill.errors import CheckpointError, PointdistillError
from pointdistill.files import read_json, read_text, write_text
from pointdistill.hub import BACKBONE, MODEL, RUN, HubError, Wanted, huggingface_hub, in_one_line
from pointdistill.model_card import USE
from pointdistill.models.checkpoints import load_backbone, save_backbone
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.tensors import load_tensors

CARD = "model_card.md"
"""The page that a pre-training writes; on the hub README.md."""
PAGE = "README.md"
_BESIDE = ("log.jsonl", "result.json")
_KINDS: tuple[tuple[Wanted, tuple[str, ...]], ...] = (
    (RUN, _BESIDE),
    (MODEL, _BESIDE),
    (BACKBONE, BACKBONE.optional),
)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_LICENCE = re.compile(r"[A-Za-z0-9.+-]+")


class Upload(NamedTuple):
    """A file that is to be sent."""

    name: str
    """In the repository."""
    path: Path
    """Here."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def uploads(source: str | Path) -> list[Upload]:
    """The files of a folder that are sent, the page aside: those of a finished pre-training, a fine-tuned model or a
    backbone, whichever it holds. Checkpoints to go on from, predictions and whatever else lies there stays.

    Args:
        source: the folder, or a backbone.safetensors.

    Raises:
        CheckpointError: it holds none, or a damaged file.
    """
    source = Path(source)
    folder, kinds = (source, _KINDS) if source.is_dir() else (source.parent, _KINDS[2:])
    names: list[str] = []
    for wanted, beside in kinds:
        if all((folder / name).is_file() for name in wanted.files):
            names += [*wanted.files, *(name for name in beside if (folder / name).is_file())]
    if not names or (not source.is_dir() and source.name not in names):
        problem = "holds no finished pre-training, fine-tuned model or backbone"
        raise CheckpointError(source, problem, "Give the folder of one, or a backbone.safetensors")
    chosen = [Upload(name, folder / name) for name in sorted(set(names))]
    for upload in chosen:
        if upload.path.suffix == ".safetensors":
            load_tensors(upload.path)
        elif upload.path.suffix == ".json":
            read_json(upload.path, "Make it again")
    return chosen


def hub_page(source: Path, repository: str, licence: str, chosen: Sequence[Upload]) -> str:
    """README.md: the header that the hub reads, the page that training wrote, how to load it from there.

    Args:
        source: the folder, or a backbone.safetensors.
        repository: OWNER/NAME.
        licence: as the hub calls it; "other" stands for the terms that the page names.
        chosen: the files that are sent.
    """
    names = {upload.name for upload in chosen}
    card = (source if source.is_dir() else source.parent) / CARD
    text = read_text(card, "Write it again, or delete it") if card.is_file() else _plain_page(source, names)
    tags = ["point-cloud", "3d", "safetensors"]
    if "run.json" in names:
        learnt = read_json(source / "run.json").get("teacher", {}).get("weights_hash")
        tags += ["knowledge-distillation"] if learnt else ["self-supervised-learning"]
    if MODEL.files[0] in names:
        tags.append(str(read_json(source / MODEL.files[0]).get("task", "")).replace("_", "-"))
    terms = ["license_name: terms-of-data-and-teacher", f"license_link: {PAGE}"] if licence == "other" else []
    header = ["---", "library_name: pointdistill", f"license: {licence}", *terms, "tags:"]
    header += [*(f"- {tag}" for tag in tags if re.fullmatch(r"[a-z0-9-]+", tag)), "---", ""]
    use = _use(repository, names)
    text = text.replace(USE, use) if USE in text else f"{text.rstrip()}\n\n{use}"
    return "\n".join(header) + "\n" + text


def _use(repository: str, names: set[str]) -> str:
    """How to load what was sent."""
    lines = ["## Use", ""]
    if BACKBONE.files[0] in names:
        lines += ["```python", "from pointdistill import from_pretrained", ""]
        lines += [f"backbone = from_pretrained(\"{repository}\")  # pip install 'pointdistill[hub]'", "```", ""]
    commands = [f"pointdistill finetune RECIPE --data DATA --init {repository}"] if BACKBONE.files[0] in names else []
    commands += [f"pointdistill caption CLOUD --run {repository}"] if "run.json" in names else []
    commands += [f"pointdistill evaluate {repository} --data DATA"] if MODEL.files[0] in names else []
    return "\n".join([*lines, "```bash", *commands, "```", ""])


def _plain_page(source: Path, names: set[str]) -> str:
    """What can be said of weights whose training wrote no page."""
    facts: dict[str, Any] = {"written with": f"pointdistill {__version__}"}
    title = "A point-cloud backbone"
    if BACKBONE.files[0] in names:
        config = load_backbone(source).config
        facts["backbone"] = (
            f"{config.depth} blocks of width {config.width}, {config.heads} heads; "
            f"{config.groups} patches of {config.group_size} points"
        )
        facts["input"] = "points (x, y, z), centred, in the unit sphere"
    if RUN.files[0] in names:
        told = read_json(source / RUN.files[0])
        data, teacher = told.get("data", {}), told.get("teacher", {})
        facts |= {"recipe": told.get("recipe", {}).get("name"), "data": data.get("source")}
        facts |= {"terms of the data": data.get("terms"), "teacher": teacher.get("identity")}
    if MODEL.files[0] in names:
        card = read_json(source / MODEL.files[0])
        title = f"A point-cloud model for {in_markdown(str(card.get('task', 'a task')).replace('_', ' '))}"
        facts |= {name: card[name] for name in ("recipe", "source", "seed", "peer") if card.get(name) is not None}
        facts["backbone"] = f"{card.get('architecture')}"
        if (source / "result.json").is_file():
            result = read_json(source / "result.json")
            test = {k: v for k, v in result.get("test", {}).items() if isinstance(v, float)}
            facts["figures on the test split"] = ", ".join(f"{name} {value:.4f}" for name, value in test.items())
    known = {name: value for name, value in facts.items() if value}
    rows = "\n".join(f"| {name} | {in_markdown(str(value))} |" for name, value in known.items())
    return f"""# {title}

| | |
|---|---|
{rows}

Whoever passes these weights on keeps to the terms of the data and of the teacher.
"""


def push_to_hub(
    source: str | Path | PointTransformer | Distiller,
    repository: str,
    *,
    private: bool | None = None,
    licence: str = "other",
    message: str | None = None,
    token: str | None = None,
) -> str:
    """Send weights to the model hub: a commit of its own in a repository that is made where it lacks.

    What is sent is what `uploads` says of a folder, and a README.md: the page that training wrote, with the hub's
    header.

    Args:
        source: the folder of a finished pre-training, a fine-tuned model or a backbone; a backbone.safetensors; a
            backbone or a `Distiller` itself.
        repository: OWNER/NAME on the hub.
        private: whether a new repository is; default the owner's. One that is there stays as it is.
        licence: as the hub calls it, for instance "apache-2.0"; "other": the terms that the page names.
        message: of the commit.
        token: that may write; default the one of `hf auth login` or HF_TOKEN.

    Returns:
        The commit's address.

    Raises:
        CheckpointError: nothing that can be sent, or a damaged file.
        HubError: the hub refuses it or cannot be reached; nothing was committed then.
        PointdistillError: not a repository's name, or no token.
        MissingPackage: huggingface_hub is not installed.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise PointdistillError(f"{repository!r} is no name of a repository: write OWNER/NAME")
    if not _LICENCE.fullmatch(licence):
        raise PointdistillError(f"{licence!r} is no licence as the hub names them, for instance apache-2.0 or other")
    hub = huggingface_hub("to send weights to the model hub")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if isinstance(source, Distiller):
            source = source.save(folder / "run")
        elif isinstance(source, PointTransformer):
            source = save_backbone(source, folder / "backbone", {"version": __version__}).parent
        source = Path(source)
        chosen = uploads(source)
        write_text(folder / PAGE, hub_page(source, repository, licence, chosen))
        chosen = [Upload(PAGE, folder / PAGE), *chosen]
        if token is None and hub.get_token() is None:
            raise HubError(repository, "cannot be written to without a token", "Run hf auth login, or set HF_TOKEN")
        with in_one_line(repository):
            client = hub.HfApi(token=token)
            client.create_repo(repository, private=private, exist_ok=True)
            operations = [hub.CommitOperationAdd(upload.name, upload.path) for upload in chosen]
            said = message or f"Weights written with pointdistill {__version__}"
            return str(client.create_commit(repository, operations, commit_message=said).commit_url)


def push_command(
    source: Path, repository: str, private: bool, licence: str, message: str | None, dry_run: bool
) -> dict[str, Any]:
    """`pointdistill push`: list what would be sent, and send it unless told otherwise."""
    chosen = uploads(source)
    page = hub_page(source, repository, licence, chosen)
    with answering():
        for name, size in ((PAGE, len(page.encode())), *((upload.name, upload.size) for upload in chosen)):
            console.print(f"{size:>14,} {name}", markup=False, soft_wrap=True)
    files = [PAGE, *(upload.name for upload in chosen)]
    if dry_run:
        say(f"nothing was sent; without --dry-run these {len(files)} files go to {repository}")
        return {"repository": repository, "files": files, "commit": None}
    commit = push_to_hub(source, repository, private=private or None, licence=licence, message=message)
    with answering():
        say(f"{repository}: {len(files)} files sent, {commit}")
    return {"repository": repository, "files": files, "commit": commit}
