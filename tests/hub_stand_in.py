"""The model hub's HTTP interface on loopback, as far as huggingface_hub asks it for models: repositories, commits with
large files beside them, files by revision. What it serves it keeps in memory; every request is in `asked`."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import huggingface_hub
import pytest
from huggingface_hub import constants

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    """Commits, oldest first: a hash, and the files by name; `large` are those that lie elsewhere."""

    private: bool = False
    gated: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    large: set[str] = field(default_factory=set)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)

    def commit(self, files: dict[str, bytes]) -> str:
        before = dict(self.commits[-1][1]) if self.commits else {}
        name = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((name, {**before, **files}))
        return name


class StandIn(ThreadingHTTPServer):
    """`cut_after`: bytes of the next file's body that are sent before the connection breaks; `refuse`: beginnings of
    requests ("POST /api/models") at which it does so at once."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut_after: int | None = None
        self.refuse: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A connection that a test cuts is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = f"{self.command} {path}"
        self.server.asked.append(asked)
        if asked.startswith(self.server.refuse):
            self.cut()
            return
        for pattern, method in (
            (r"POST /api/repos/create", self.create),
            (r"POST /api/validate-yaml", self.validate),
            (r"POST /api/models/([^/]+/[^/]+)/preupload/(.+)", self.preupload),
            (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.batch),
            (r"PUT /large/(\w+)", self.store),
            (r"(?:GET|HEAD) /large/(\w+)", self.large),
            (r"POST /api/models/([^/]+/[^/]+)/commit/(.+)", self.commit),
            (r"(?:GET|HEAD) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve),
        ):
            if match := re.fullmatch(pattern, asked):
                method(body, *match.groups())
                return
        self.say(404, {"error": "nothing of the kind"})

    def cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def say(self, code: int, content: object = None, **headers: str) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def may_write(self, name: str) -> bool:
        if not self.known:
            self.say(401, {"error": "Invalid username or password."})
        elif name not in self.server.repositories:
            self.say(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        return self.known and name in self.server.repositories

    def create(self, body: bytes) -> None:
        told = json.loads(body)
        name = f"{told['organization']}/{told['name']}"
        if not self.known:
            self.say(401, {"error": "Invalid username or password."})
        elif name in self.server.repositories:
            self.say(409, {"error": "You already created this model repo", "url": f"{self.server.address}/{name}"})
        elif name.startswith("others/"):
            self.say(403, {"error": "You don't have the rights to create a model under this namespace"})
        else:
            repository = self.server.repositories[name] = Repository(
                bool(told.get("private")) or told.get("visibility") == "private"
            )
            repository.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
            self.say(200, {"url": f"{self.server.address}/{name}"})

    def validate(self, body: bytes) -> None:
        header = json.loads(body)["content"].split("---\n")[1]
        wrong = [] if "license: " in header else [{"message": "no license"}]
        self.say(400 if wrong else 200, {"errors": wrong, "warnings": []})

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        if self.may_write(name):
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            self.say(200, {"files": modes})

    def batch(self, body: bytes, name: str) -> None:
        if self.may_write(name):
            objects = [
                {
                    **{key: one[key] for key in ("oid", "size")},
                    **(
                        {}
                        if one["oid"] in self.server.objects
                        else {"actions": {"upload": {"href": f"{self.server.address}/large/{one['oid']}"}}}
                    ),
                }
                for one in json.loads(body)["objects"]
            ]
            self.say(200, {"transfer": "basic", "objects": objects}, Content_Type="application/json")

    def store(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self.say(400, {"error": "other content than was announced"})
            return
        self.server.objects[oid] = body
        self.say(200)

    def commit(self, body: bytes, name: str, revision: str) -> None:
        if not self.may_write(name):
            return
        repository, files = self.server.repositories[name], {}
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
                repository.large.add(value["path"])
        oid = repository.commit(files)
        url = f"{self.server.address}/{name}/commit/{oid}"
        self.say(200, {"success": True, "commitOid": oid, "commitUrl": url})

    def resolve(self, body: bytes, name: str, revision: str, file: str) -> None:
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self.known):
            self.say(401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return
        if repository.gated:
            self.say(403, {"error": "Access is restricted"}, X_Error_Code="GatedRepo")
            return
        found = repository.at(revision)
        if found is None:
            self.say(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")
            return
        commit, files = found
        if file not in files:
            self.say(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
            return
        content = files[file]
        if file in repository.large:
            oid = hashlib.sha256(content).hexdigest()
            linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": commit}
            if self.command == "HEAD":
                self.send_content(content, linked | {"ETag": f'"{oid}"'})
            else:
                self.say(302, Location=f"{self.server.address}/large/{oid}", **linked)
        else:
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self.send_content(content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

    def large(self, body: bytes, oid: str) -> None:
        self.send_content(self.server.objects[oid], {"ETag": f'"{oid}"'})

    def send_content(self, content: bytes, headers: dict[str, str]) -> None:
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        rest = content[int(start[1]) :] if start else content
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start[1]}-{len(content) - 1}/{len(content)}")
        for name, value in {**headers, "Content-Length": str(len(rest)), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut, self.server.cut_after = self.server.cut_after, None
        if cut is None:
            self.wfile.write(rest)
        else:
            self.wfile.write(rest[:cut])
            self.wfile.flush()
            self.cut()


@contextmanager
def standing_in(cache: str, token: str | None = TOKEN) -> Iterator[StandIn]:
    """A hub of one's own, an empty cache, and a token; none of the user's is seen."""
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        for name, value in {
            "ENDPOINT": server.address,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,  # a protocol of its own for large files, which the stand-in does not speak
            "HF_HUB_DISABLE_TELEMETRY": True,
            "HF_HUB_CACHE": cache,
            "HF_TOKEN_PATH": f"{cache}/no-token",
            "HF_STORED_TOKENS_PATH": f"{cache}/no-tokens",
            "HF_HUB_DISABLE_PROGRESS_BARS": True,
        }.items():
            patch.setattr(constants, name, value)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        patch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        patch.delenv("HF_TOKEN", raising=False)
        if token is not None:
            patch.setenv("HF_TOKEN", token)
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            huggingface_hub.close_session()
