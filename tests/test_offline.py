"""No network: the commands where there is none, and whether anything so much as asks for it.

python test_offline.py COMMAND...    # in a new network namespace: loopback is brought up, then the command runs
"""

import ast
import errno
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

import build_labelled

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "pointdistill"


def commands(folder: Path) -> list[list[str]]:
    """The way from raw data to a page, in seconds; writes what it needs into the folder."""
    shapes = build_labelled.write_modelnet(folder / "modelnet")
    (folder / "quickstart").mkdir()
    shutil.copy(TESTS.parent / "docs/results/quickstart-full.json", folder / "quickstart/results.json")
    rooms, store, run, objects, model = (folder / name for name in ("rooms", "store", "run", "objects", "model"))
    said = [
        ["world", "scannet", rooms, "--count", 1, "--frames", 2, "--workers", 1],
        ["doctor", rooms, "--every", 1],
        ["prepare", rooms, store, "--every", 1, "--points", 512, "--workers", 1],
        ["pretrain", "quickstart", "--data", store, "--out", run, "--epochs", 1, "--batch-size", 2],
        ["caption", store, "--frame", 0, "--run", run],
        ["prepare", shapes, objects, "--labels", "--workers", 1],
        ["finetune", "classification-small", "--data", objects, "--init", run, "--out", model, "--epochs", 1],
        ["evaluate", model, "--data", objects, "--workers", 1],
        ["report", folder / "quickstart"],
    ]
    return [list(map(str, command)) for command in said]


def pages(folder: Path) -> list[Path]:
    return [folder / "model/evaluation-test/index.html", folder / "quickstart/report.html"]


@contextmanager
def asked() -> Iterator[list[tuple]]:
    """Whom this process asks for meanwhile: no name is looked up, no connection made."""
    calls: list[tuple] = []

    def refuse(name: str):
        def refused(*arguments: object, **options: object):
            calls.append((name, arguments, options))
            raise OSError(errno.ENETUNREACH, "no network in this test")

        return refused

    with ExitStack() as patches:
        for name in ("connect", "connect_ex", "sendto", "sendmsg"):
            patches.enter_context(patch.object(socket.socket, name, refuse(name)))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"):
            patches.enter_context(patch.object(socket, name, refuse(name)))
        yield calls


WATCHED = """
import json, socket, sys
from pathlib import Path
from pointdistill.cli import main
from test_offline import asked, commands

with socket.socket() as probe:
    answer = probe.connect_ex(("127.0.0.1", 9))
with asked() as calls:
    for command in commands(Path(sys.argv[1])):
        main(command)
print(json.dumps({"answer": answer, "calls": [str(call) for call in calls]}))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What came of the commands, one after the other in one process (what takes long is to import torch): in a network
    namespace where this user may make one."""
    folder = tmp_path_factory.mktemp("offline")
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], capture_output=True).returncode:
        namespace = []
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    done = subprocess.run(
        [*namespace, sys.executable, "-c", WATCHED, folder],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in pages(folder):
        assert page.read_text().rstrip().endswith("</html>")
    return {"namespace": bool(namespace), **json.loads(done.stdout.splitlines()[-1])}


def test_the_commands_pass_without_any_network_interface(run):
    if not run["namespace"]:
        pytest.skip("this user may make no network namespace")
    assert run["answer"] == errno.ENETUNREACH  # not even loopback was up


def test_the_commands_ask_for_nothing(run):
    assert run["calls"] == []


def test_who_asks_is_seen():
    with asked() as calls:
        with pytest.raises(OSError, match="no network"):
            urllib.request.urlopen("http://localhost:9")
        with pytest.raises(OSError, match="no network"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"", ("127.0.0.1", 9))
    assert [name for name, *_ in calls] == ["create_connection", "sendto"]


NETWORKING = re.compile(
    r"(aiohttp|asyncio|dask|distributed|fsspec|ftplib|gdown|http|httpx|huggingface_hub|requests|smtplib|socket|"
    r"socketserver|ssl|timm|torch\.distributed|torch\.hub|torchvision|transformers|urllib|urllib3|viser|wandb|"
    r"webbrowser|websockets|xmlrpc)(\..+)?"
)
"""Packages that can reach others."""
REACHED = {
    "cluster.py": {"asyncio", "distributed"},  # --scheduler: the address that the user gives
    "distributed.py": {"torch.distributed"},  # torchrun: the addresses that it gives
    "hub.py": {"huggingface_hub"},  # OWNER/NAME on the model hub, and push
    "teachers/pretrained.py": {"transformers"},  # OWNER/NAME on the model hub
    "trackers.py": {"wandb"},  # --track wandb: where its user's settings send a run
    "viewer/command.py": {"webbrowser"},  # opens the page of
    "viewer/server.py": {"viser"},  # which listens on loopback
}
TOLD = {
    "datasets/scannet/labels.py": {"http://www.scan-net.org"},
    "datasets/scannet/layout.py": {"http://www.scan-net.org"},
    "datasets/scanobjectnn.py": {"https://hkust-vgd.github.io"},
    "viewer/server.py": {"http://"},
}
"""Addresses in messages: where a person gets a data set, or finds the page on loopback."""
_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|hf|wss?)://[\w.-]*")


def _modules(tree: ast.Module) -> set[str]:
    """What a file imports, also by name (`importlib.import_module("...")`) and in functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {text.value for text in node.args if isinstance(text, ast.Constant)}
    return found


def _texts(tree: ast.Module) -> list[str]:
    """A file's strings but for docstrings."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documents)
    return [node.value for node in constants if isinstance(node.value, str)]


def test_only_the_known_doors_lead_out():
    reached, told, fetching = {}, {}, set()
    for path in SOURCE.rglob("*.py"):
        name, tree = path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())
        if found := {match[1] for module in _modules(tree) if (match := NETWORKING.fullmatch(module))}:
            reached[name] = found
        if found := set(_ADDRESS.findall("\n".join(_texts(tree)))):
            told[name] = found
        if {"from_pretrained", "load_state_dict_from_url"} & {
            node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
        }:
            fetching.add(name)
    assert reached == REACHED
    assert told == TOLD
    assert fetching == {"teachers/pretrained.py"}


def test_the_pages_scripts_and_styles_fetch_nothing():
    files = [path for path in SOURCE.rglob("*") if path.suffix in (".js", ".css")]
    assert len(files) == 3
    outward = (
        r"https?:|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\b|@import|url\((?!['\"]?data:)"
    )
    assert {path.name: found for path in files if (found := re.findall(outward, path.read_text()))} == {}


if __name__ == "__main__":
    # SIOCSIFFLAGS, IFF_UP: what `ip link set lo up` does, where there is no `ip`.
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, 0x8914, struct.pack("16sH14x", b"lo", 1))
    os.execvp(sys.argv[1], sys.argv[1:])
