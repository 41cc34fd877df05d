"""A Hugging Face Hub on 127.0.0.1 that the real ``huggingface_hub`` client talks to.

Repositories live in memory. Every request is logged, and failures can be ordered in advance::

    with FakeHub(token="hf_test") as hub:
        hub.add_repository("tester/model", files={"config.json": b"{}"})
        hub.fail_next("POST", "/commit/", status=503)
        ...
        assert len(hub.requests_to("POST", "/commit/")) == 1

The client reads ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` when it is imported, so there are two
ways in:

- **Subprocess** (``datasets``, remote code, the command line): pass ``env=hub.environment(home)``.
- **In process**: ``api = hub.connect(monkeypatch)`` points the imported client at the hub, whatever
  the environment said at import, until the test ends. After it, ``hf_hub_download``,
  ``push_to_hub`` and ``from_pretrained`` work unchanged; pass a ``cache_dir`` of the test's own.
  ``datasets`` keeps its own copies of both settings: run it in a subprocess.

Large files go through the LFS API: the hub answers with addresses on a second port, which stands
for the object storage (another origin, to which the client must not send its token). The Xet
protocol is not spoken, so both ways in switch it off. That also decides how ``upload_folder``
works: with Xet the client may split a folder into several commits, without it never does.

Left out: running spaces, pagination, gated repositories, uploads in parts, discussions (except the
pull request that ``create_pr=True`` opens), deleting branches and tags, ``.gitignore`` rules,
compressed answers, the dataset server, and every check of a model card beyond its YAML syntax.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, quote, unquote

import yaml

if TYPE_CHECKING:
    import pytest
    from huggingface_hub import HfApi

_LFS_SUFFIXES = (
    "arrow|bin|bz2|ckpt|gz|h5|joblib|model|msgpack|npy|npz|onnx|parquet|pb|pickle|pkl|pt|pth|"
    "safetensors|tar|tflite|tgz|xz|zip|zst"
)
GITATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in _LFS_SUFFIXES.split("|")
).encode()

# A repository in a path below /api, and in an address that people see.
_REPO = r"(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
_WEB_REPO = r"(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+?)"


@dataclass(frozen=True)
class Blob:
    """The content of one file, and how the Hub stores it."""

    content: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What git holds in place of an LFS file."""
        return (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n"
            f"size {len(self.content)}\n"
        ).encode()

    @cached_property
    def sha1(self) -> str:
        """The git blob id: of the content, or of the pointer to it."""
        stored = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.sha1


@dataclass(frozen=True)
class Commit:
    """One immutable state of a repository."""

    sha: str
    parent: str | None
    title: str
    message: str
    date: str
    files: Mapping[str, Blob]


@dataclass
class Repository:
    """Every commit ever made, and the references that name some of them."""

    id: str
    type: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # "refs/heads/main" -> sha

    @property
    def web_path(self) -> str:
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    @property
    def head(self) -> Commit:
        return self.commits[self.refs["refs/heads/main"]]

    @property
    def files(self) -> dict[str, bytes]:
        """The files on ``main``, without the ``.gitattributes`` that every repository has."""
        files = self.head.files
        return {path: blob.content for path, blob in files.items() if path != ".gitattributes"}

    def reference(self, revision: str) -> str | None:
        """The full name of a branch, tag or pull request, or None."""
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def find(self, revision: str) -> Commit | None:
        """The commit that a reference or a (shortened) sha stands for, or None."""
        if name := self.reference(revision):
            return self.commits[self.refs[name]]
        if not re.fullmatch("[0-9a-f]{7,40}", revision):
            return None
        return next((c for sha, c in self.commits.items() if sha.startswith(revision)), None)

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and its ancestors, newest first."""
        line = [commit]
        while (parent := line[-1].parent) is not None:
            line.append(self.commits[parent])
        return line

    def add_commit(
        self, title: str, files: Mapping[str, Blob], ref: str = "refs/heads/main", message: str = ""
    ) -> Commit:
        """Add a commit that holds exactly ``files``, and move ``ref`` to it.

        Args:
            title: First line of the commit message.
            files: The whole tree of the new commit.
            ref: Full name of the reference. Defaults to ``"refs/heads/main"``.
            message: The rest of the commit message. Defaults to none.
        """
        parent = self.refs.get(ref)
        tree = sorted((path, blob.sha1) for path, blob in files.items())
        # The number of commits keeps two equal states apart, as git does by their dates.
        identity = json.dumps([self.type, self.id, parent, title, tree, len(self.commits)])
        sha = hashlib.sha1(identity.encode()).hexdigest()
        date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        commit = Commit(sha, parent, title, message, date, dict(files))
        self.commits[sha] = commit
        self.refs[ref] = sha
        return commit


@dataclass
class Request:
    """One request: what was sent, and, in the log, how it was answered."""

    method: str
    path: str  # as sent: still percent-encoded, without the query
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    groups: dict[str, str | None] = field(default_factory=dict)  # the named parts of the path
    status: int = 0  # stays 0 when the connection was dropped before the answer
    sent: int = 0  # bytes of the answer's body that went out
    file: str | None = None  # the repository's file whose content went out, whole or in part
    dropped: bool = False

    def __getitem__(self, name: str) -> str:
        """A part of the path, decoded: a revision is sent as ``refs%2Fpr%2F1``."""
        return unquote(self.groups[name] or "")

    def flag(self, name: str) -> bool:
        """Whether the query switches something on."""
        return parse_qs(self.query).get(name, [""])[0].lower() in ("1", "true")

    @property
    def token(self) -> str | None:
        """The token that was sent."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None

    @property
    def json(self) -> Any:
        """The body of a request that has one."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The body of a commit: a header and one operation for each file."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class _Failure:
    """An order to fail some of the next requests."""

    method: str
    path: str
    times: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: Literal["request", "answer", "body"] | None = None


@dataclass
class _Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: str | None = None

    @classmethod
    def of(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> _Answer:
        # default=str: YAML turns a date in a model card into an object that JSON does not know.
        body = json.dumps(value, default=str).encode()
        return cls(status, body, {"Content-Type": "application/json", **(headers or {})})


class _Refusal(Exception):
    """An error answer. ``code`` is what the client chooses its exception by."""

    def __init__(self, status: int, message: str, code: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        line = " ".join(message.encode("ascii", "replace").decode().split())  # fit for a header
        headers = {"X-Error-Message": line, **({"X-Error-Code": code} if code else {})}
        self.answer = _Answer.of({"error": message, **extra}, status, headers)


_Method = Callable[["FakeHub", Request], _Answer]
_ROUTES: list[tuple[str, re.Pattern[str], _Method]] = []


def _route(methods: str, pattern: str) -> Callable[[_Method], _Method]:
    """Register a method of the hub as the answer to a path."""

    def register(method: _Method) -> _Method:
        _ROUTES.extend((name, re.compile(pattern), method) for name in methods.split())
        return method

    return register


class FakeHub:
    """The server, its repositories, its request log and its orders to fail.

    Args:
        token: The one token that is accepted. Defaults to ``"hf_test"``.
        user: The name that it belongs to; also a namespace to write to. Defaults to ``"tester"``.
        organizations: Further namespaces that the user may write to. Defaults to none.
        lfs_threshold: Size from which any file goes through LFS. Defaults to 10 MB, as on the Hub.

    Attributes:
        url: The endpoint, once the hub is open.
        storage_url: The origin that large files are sent to and fetched from.
        repositories: By type and id: ``hub.repositories["model", "tester/model"]``.
        requests: The log, oldest first.
        objects: The content of every large file that arrived whole, by its sha256.
    """

    def __init__(
        self,
        token: str = "hf_test",
        user: str = "tester",
        organizations: Iterable[str] = (),
        lfs_threshold: int = 10_000_000,
    ) -> None:
        self.token = token
        self.user = user
        self.organizations = tuple(organizations)
        self.lfs_threshold = lfs_threshold
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[Request] = []
        self.objects: dict[str, bytes] = {}
        self.url = self.storage_url = ""
        self._failures: list[_Failure] = []
        self._lock = threading.RLock()
        self._servers: list[_Server] = []

    # ------------------------------------------------------------------ used by tests

    def __enter__(self) -> FakeHub:
        self._servers = [_Server(self), _Server(self)]
        self.url, self.storage_url = (server.url for server in self._servers)
        return self

    def __exit__(self, *error: object) -> None:
        for server in self._servers:
            server.stop()

    def add_repository(
        self,
        repo_id: str,
        repo_type: str = "model",
        files: Mapping[str, bytes] | None = None,
        private: bool = False,
    ) -> Repository:
        """Put a repository on the hub as if someone had pushed it: no request, no permission.

        Args:
            repo_id: ``namespace/name``.
            repo_type: ``"model"``, ``"dataset"`` or ``"space"``. Defaults to ``"model"``.
            files: Content by path; becomes a second commit after the Hub's own first one.
                Defaults to no second commit.
            private: Whether reading needs the token. Defaults to False.
        """
        repo = Repository(repo_id, repo_type, private)
        repo.add_commit("initial commit", {".gitattributes": Blob(GITATTRIBUTES, lfs=False)})
        self.repositories[repo_type, repo_id] = repo
        if files:
            self.push(repo, files)
        return repo

    def push(self, repo: Repository, files: Mapping[str, bytes], title: str = "Push") -> Commit:
        """Commit files to ``main`` from elsewhere, for example behind the back of a client."""
        blobs = {path: Blob(data, self._is_lfs(path, data)) for path, data in files.items()}
        with self._lock:
            self.objects.update({blob.sha256: blob.content for blob in blobs.values() if blob.lfs})
            return repo.add_commit(title, {**repo.head.files, **blobs})

    def fail_next(
        self,
        method: str,
        path_regex: str,
        status: int = 503,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next matching requests with an error, and do nothing else about them.

        Args:
            method: HTTP method.
            path_regex: Searched for in the path as it was sent (percent-encoded, without query).
            status: Status of the answer. Defaults to 503.
            times: How many requests. Defaults to 1.
            headers: For example ``{"Retry-After": "0"}``, with which the client waits one second
                before each of its retries instead of 1, 2, 4, 8, 8. Defaults to none.
        """
        self._failures.append(_Failure(method, path_regex, times, status, headers or {}))

    def drop_next(
        self,
        method: str,
        path_regex: str,
        when: Literal["request", "answer", "body"] = "request",
        times: int = 1,
    ) -> None:
        """Close the connection of the next matching requests.

        Args:
            method: HTTP method.
            path_regex: Searched for in the path as it was sent (percent-encoded, without query).
            when: ``"request"``: while the request is being sent, so that nothing happens on the
                hub. ``"answer"``: after the hub did what was asked, before it says so. ``"body"``:
                in the middle of the answer's body. Defaults to ``"request"``.
            times: How many requests. Defaults to 1.
        """
        self._failures.append(_Failure(method, path_regex, times, drop=when))

    def requests_to(self, method: str, path_regex: str) -> list[Request]:
        """The logged requests of one method whose path matches."""
        return [r for r in self.requests if r.method == method and re.search(path_regex, r.path)]

    @property
    def fetched(self) -> list[str]:
        """Every file whose content was sent, as ``namespace/name/path``, once per transfer."""
        return [request.file for request in self.requests if request.file]

    def environment(self, home: Path, token: str | bool | None = None) -> dict[str, str]:
        """The environment of a subprocess whose client knows this hub and nothing else.

        Args:
            home: Empty or existing folder for ``HF_HOME`` and everything below it.
            token: The token that the client sends: None for the right one, False for none, or a
                wrong one. Defaults to None.
        """
        ours = ("HF_", "HUGGING", "TRANSFORMERS_")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(ours) and not name.lower().endswith("_proxy")
        }
        token = self.token if token is None else token
        return {
            **kept,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_MODULES_CACHE": str(home / "modules"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # or load_dataset calls Amazon S3
            **({"HF_TOKEN": str(token)} if token else {}),
        }

    def connect(self, monkeypatch: pytest.MonkeyPatch, token: str | bool | None = None) -> HfApi:
        """Point the client of this process at the hub until the test ends.

        Args:
            monkeypatch: The test's own; it undoes everything.
            token: The token that the client sends: None for the right one, False for none, or a
                wrong one. Defaults to None.
        """
        from huggingface_hub import HfApi, constants, hf_api
        from huggingface_hub.utils._http import close_session

        template = f"{self.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        # `huggingface_hub.create_repo` and the like are methods of this object.
        monkeypatch.setattr(hf_api.api, "endpoint", self.url)
        # transformers keeps the first client that it makes, and with it the address of its Hub.
        monkeypatch.setattr("transformers.utils.hub._hf_api", None, raising=False)
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        token = self.token if token is None else token
        monkeypatch.setenv("HF_TOKEN", str(token or ""))  # for functions used without the client
        close_session()  # the shared session has read the proxies when it was made
        return HfApi(endpoint=self.url, token=token)

    # ------------------------------------------------------------------ one request

    def answer(self, request: Request, failure: _Failure | None) -> _Answer:
        """Answer a request: by its order to fail, or by the method registered for its path."""
        if failure and not failure.drop:
            message = f"Ordered to fail with {failure.status}"
            return _Answer.of({"error": message}, failure.status, failure.headers)
        try:
            with self._lock:
                for method, pattern, respond in _ROUTES:
                    if method == request.method and (match := pattern.fullmatch(request.path)):
                        request.groups = match.groupdict()
                        return respond(self, request)
            raise _Refusal(404, "Sorry, we can't find the page you are looking for.")
        except _Refusal as refusal:
            return refusal.answer
        except (ValueError, KeyError) as error:
            return _Refusal(400, f"Malformed request: {error!r}").answer

    def ordered_failure(self, request: Request) -> _Failure | None:
        """Take the first order to fail that fits a request."""
        with self._lock:
            for order in self._failures:
                fits = order.method == request.method and re.search(order.path, request.path)
                if order.times and fits:
                    order.times -= 1
                    return order
        return None

    def _is_known(self, request: Request) -> bool:
        """Whether the caller sent the token. A wrong one is refused even where none is needed."""
        if request.token not in (None, self.token):
            raise _Refusal(401, "Invalid credentials in Authorization header")
        return request.token is not None

    def _repository(self, request: Request) -> Repository:
        """The repository that a path names, if the caller may know of it."""
        known = self._is_known(request)
        repo_type = (request.groups["kind"] or "models").removesuffix("s")
        repo = self.repositories.get((repo_type, request["id"]))
        if repo is None or (repo.private and not known):
            # The Hub sends the 401 without a code. The client then guesses from the address, for
            # which it wants https: over http it needs the code to raise what it would raise there.
            if known:
                raise _Refusal(404, "Repository not found", "RepoNotFound")
            raise _Refusal(401, "Invalid username or password.", "RepoNotFound")
        return repo

    def _check_write(self, request: Request, namespace: str | None = None) -> None:
        """Refuse a write without a token, or to somebody else's namespace."""
        if not self._is_known(request):
            raise _Refusal(401, "Invalid username or password.", "RepoNotFound")
        if namespace is not None and namespace not in (self.user, *self.organizations):
            raise _Refusal(403, f"You don't have the rights to write to {namespace}")

    def _writable(self, request: Request) -> Repository:
        """The repository that a path names, if the caller may do to it what is asked."""
        self._check_write(request)
        repo = self._repository(request)
        if not request.flag("create_pr"):  # anyone may propose a change
            self._check_write(request, repo.id.split("/")[0])
        return repo

    def _commit_at(self, repo: Repository, revision: str) -> Commit:
        commit = repo.find(revision or "main")
        if commit is None:
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _is_lfs(self, path: str, sample: bytes, size: int | None = None) -> bool:
        """The Hub's rule: by name, by size, or because the beginning is not text."""
        by_name = PurePosixPath(path).suffix[1:] in _LFS_SUFFIXES.split("|")
        large = (len(sample) if size is None else size) >= self.lfs_threshold
        return by_name or large or b"\0" in sample[:512]

    # ------------------------------------------------------------------ account and repositories

    @_route("GET", "/api/whoami-v2")
    def _whoami(self, request: Request) -> _Answer:
        if not self._is_known(request):
            raise _Refusal(401, "Invalid username or password.")
        orgs = [{"type": "org", "name": name} for name in self.organizations]
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
        return _Answer.of({"type": "user", "name": self.user, "orgs": orgs, "auth": auth})

    @_route("POST", "/api/repos/create")
    def _create_repository(self, request: Request) -> _Answer:
        wanted = request.json
        namespace = wanted.get("organization") or self.user
        self._check_write(request, namespace)
        repo_id, repo_type = f"{namespace}/{wanted['name']}", wanted.get("type") or "model"
        # Older clients send `private`, later ones `visibility`.
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        existing = self.repositories.get((repo_type, repo_id))
        repo = existing or self.add_repository(repo_id, repo_type, private=private)
        url = f"{self.url}/{repo.web_path}"
        if repo_type == "space" and not existing:
            if not wanted.get("sdk"):
                raise _Refusal(400, "A space needs an sdk")
            card = f"---\ntitle: {wanted['name']}\nsdk: {wanted['sdk']}\napp_file: app.py\n---\n"
            self.push(repo, {"README.md": card.encode()}, "initial commit")
        if existing:
            raise _Refusal(409, f"You already created this {repo_type} repo: {repo_id}", url=url)
        return _Answer.of({"url": url, "name": repo_id})

    @_route("DELETE", "/api/repos/delete")
    def _delete_repository(self, request: Request) -> _Answer:
        wanted = request.json
        namespace = wanted.get("organization") or self.user
        self._check_write(request, namespace)
        key = (wanted.get("type") or "model", f"{namespace}/{wanted['name']}")
        if self.repositories.pop(key, None) is None:
            raise _Refusal(404, "Repository not found", "RepoNotFound")
        return _Answer(200, b"OK")

    @_route("POST", "/api/validate-yaml")
    def _validate_yaml(self, request: Request) -> _Answer:
        try:
            card = _card_data(request.json["content"])
        except ValueError as error:
            raise _Refusal(400, str(error), errors=[{"message": str(error)}]) from error
        missing = {"message": "empty or missing yaml metadata in repo card"}
        return _Answer.of({"errors": [], "warnings": [] if card else [missing]})

    @_route("GET", rf"/api/{_REPO}(?:/revision/(?P<revision>[^/]+))?")
    def _info(self, request: Request) -> _Answer:
        repo = self._repository(request)
        commit = self._commit_at(repo, request["revision"])
        readme = commit.files.get("README.md")
        try:
            card = _card_data(readme.content.decode(errors="replace")) if readme else {}
        except ValueError:
            card = {}
        shown = {key: card[key] for key in ("library_name", "pipeline_tag") if key in card}
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        return _Answer.of(
            {
                "id": repo.id,
                "author": repo.id.split("/")[0],
                "sha": commit.sha,
                "lastModified": commit.date,
                "private": repo.private,
                "gated": False,
                "disabled": False,
                "tags": [*shown.values(), *(card.get("tags") or []), "region:us"],
                "siblings": siblings,
                "cardData": card or None,
                **shown,
            }
        )

    # ------------------------------------------------------------------ listings and references

    @_route("GET", rf"/api/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?")
    def _tree(self, request: Request) -> _Answer:
        repo = self._repository(request)
        commit, folder = self._commit_at(repo, request["revision"]), request["path"].strip("/")
        prefix = f"{folder}/" if folder else ""
        entries = _entries(commit)
        below = {path: entry for path, entry in entries.items() if path.startswith(prefix)}
        if folder and not below:
            raise _Refusal(404, f"{folder} does not exist on {commit.sha}", "EntryNotFound")
        if not request.flag("recursive"):
            below = {p: entry for p, entry in below.items() if "/" not in p.removeprefix(prefix)}
        return _Answer.of(list(below.values()))

    @_route("POST", rf"/api/{_REPO}/paths-info/(?P<revision>[^/]+)")
    def _paths_info(self, request: Request) -> _Answer:
        repo = self._repository(request)
        paths = parse_qs(request.body.decode()).get("paths", [])
        entries = _entries(self._commit_at(repo, request["revision"]))
        return _Answer.of([entries[path] for path in paths if path in entries])

    @_route("GET", rf"/api/{_REPO}/commits/(?P<revision>[^/]+)")
    def _commits(self, request: Request) -> _Answer:
        repo = self._repository(request)
        commits = [
            {"id": c.sha, "title": c.title, "message": c.message, "date": c.date, "authors": []}
            for c in repo.history(self._commit_at(repo, request["revision"]))
        ]
        return _Answer.of(commits)

    @_route("GET", rf"/api/{_REPO}/refs")
    def _references(self, request: Request) -> _Answer:
        repo = self._repository(request)

        def below(prefix: str) -> list[dict[str, str]]:
            return [
                {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha}
                for ref, sha in repo.refs.items()
                if ref.startswith(prefix)
            ]

        refs = {"branches": below("refs/heads/"), "tags": below("refs/tags/")}
        return _Answer.of({**refs, "converts": [], "pullRequests": below("refs/pr/")})

    @_route("POST", rf"/api/{_REPO}/(?P<what>branch|tag)/(?P<name>[^/]+)")
    def _create_reference(self, request: Request) -> _Answer:
        repo = self._writable(request)
        if request["what"] == "branch":  # the path names the branch, the body where it starts
            ref, start = f"refs/heads/{request['name']}", request.json.get("startingPoint", "main")
        else:  # the path names the revision, the body the tag
            ref, start = f"refs/tags/{request.json['tag']}", request["name"]
        commit = self._commit_at(repo, start)
        if ref in repo.refs:
            raise _Refusal(409, f"Reference already exists: {ref}")
        if request["name"].startswith("refs/"):
            raise _Refusal(400, f"Invalid reference for a {request['what']}: {request['name']}")
        repo.refs[ref] = commit.sha
        return _Answer(201)

    # ------------------------------------------------------------------ push

    @_route("POST", rf"/api/{_REPO}/preupload/(?P<revision>[^/]+)")
    def _preupload(self, request: Request) -> _Answer:
        """Tell the client how to send each file, and what the hub already has under its name."""
        repo = self._writable(request)
        present = self._commit_at(repo, request["revision"]).files
        answers = []
        for file in request.json["files"]:
            path, sample = file["path"], base64.b64decode(file["sample"])
            mode = "lfs" if self._is_lfs(path, sample, file["size"]) else "regular"
            known = {"oid": present[path].etag} if path in present else {}
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **known})
        return _Answer.of({"files": answers})

    @_route("POST", rf"/{_WEB_REPO}\.git/info/lfs/objects/batch")
    def _lfs_batch(self, request: Request) -> _Answer:
        """Say where to send each large file; nothing for those that are here already."""
        repo = self._repository(request)
        self._check_write(request)
        objects = []
        for wanted in request.json["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.objects:
                entry["actions"] = {
                    "upload": {"href": f"{self.storage_url}/objects/{oid}"},
                    "verify": {"href": f"{self.url}/{repo.web_path}.git/info/lfs/verify"},
                }
            objects.append(entry)
        return _Answer.of({"transfer": "basic", "objects": objects})

    @_route("PUT", "/objects/(?P<oid>[0-9a-f]{64})")
    def _store_object(self, request: Request) -> _Answer:
        if hashlib.sha256(request.body).hexdigest() != request["oid"]:
            raise _Refusal(400, "The content is not what its address says")
        self.objects[request["oid"]] = request.body
        return _Answer(200)

    @_route("POST", rf"/{_WEB_REPO}\.git/info/lfs/verify")
    def _lfs_verify(self, request: Request) -> _Answer:
        self._check_write(request)
        if len(self.objects.get(request.json["oid"], b"")) != request.json["size"]:
            raise _Refusal(404, "The object has not arrived")
        return _Answer.of({"success": True})

    @_route("POST", rf"/api/{_REPO}/commit/(?P<revision>[^/]+)")
    def _commit(self, request: Request) -> _Answer:
        """Apply every line of a commit, or none of them."""
        as_pr = request.flag("create_pr")
        repo = self._writable(request)
        base, ref = self._commit_at(repo, request["revision"]), repo.reference(request["revision"])
        if ref is None:
            raise _Refusal(400, "A commit needs a branch, not a commit, to build on")
        header, *operations = request.lines or [{}]
        if header.get("key") != "header" or not header["value"].get("summary"):
            raise _Refusal(400, "A commit begins with a header that has a summary")
        header = header["value"]
        if not base.sha.startswith(header.get("parentCommit") or ""):
            raise _Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(base.files)
        for operation in operations:
            self._apply(files, operation["key"], operation["value"])
        number = 1 + sum(name.startswith("refs/pr/") for name in repo.refs)
        if as_pr:
            ref = f"refs/pr/{number}"
            repo.refs[ref] = base.sha
        commit = repo.add_commit(header["summary"], files, ref, header.get("description") or "")
        url = f"{self.url}/{repo.web_path}"
        done = {"success": True, "commitOid": commit.sha, "commitUrl": f"{url}/commit/{commit.sha}"}
        if as_pr:
            done["pullRequestUrl"] = f"{url}/discussions/{number}"
        return _Answer.of(done)

    def _apply(self, files: dict[str, Blob], key: str, value: Mapping[str, Any]) -> None:
        """Apply one line of a commit to the files that it started from."""
        path = value["path"]
        if not path or {"", ".", "..", ".git"} & set(path.rstrip("/").split("/")):
            raise _Refusal(400, f"Invalid path: {path}")
        if key == "file":
            try:
                content = base64.b64decode(value["content"], validate=True)
            except binascii.Error as error:
                raise _Refusal(400, f"{path} is not base64") from error
            files[path] = Blob(content, lfs=False)
        elif key == "lfsFile":
            if value["oid"] not in self.objects:
                raise _Refusal(400, f"The content of {path} was not uploaded: {value['oid']}")
            files[path] = Blob(self.objects[value["oid"]], lfs=True)
        elif key in ("deletedFile", "deletedFolder"):
            folder = path.rstrip("/") + "/" if key == "deletedFolder" else None
            gone = [p for p in files if (p.startswith(folder) if folder else p == path)]
            if not gone:
                message = f"A file with this name doesn't exist: {path}"
                raise _Refusal(404, message, "EntryNotFound")
            for name in gone:
                del files[name]
        else:
            raise _Refusal(400, f"Unknown operation: {key}")

    # ------------------------------------------------------------------ download

    @_route("GET HEAD", rf"/{_WEB_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def _resolve(self, request: Request) -> _Answer:
        """Send a small file, or the address of a large one."""
        repo = self._repository(request)
        commit, path = self._commit_at(repo, request["revision"]), request["path"]
        headers = {"X-Repo-Commit": commit.sha}
        blob = commit.files.get(path)
        if blob is None:
            refusal = _Refusal(404, "Entry not found", "EntryNotFound")
            refusal.answer.headers.update(headers)  # the client remembers what a commit lacks
            raise refusal
        headers["ETag"] = f'"{blob.etag}"'
        if blob.lfs:
            name = quote(f"{repo.id}/{path}", safe="")
            headers["Location"] = f"{self.storage_url}/objects/{blob.sha256}?file={name}"
            headers["X-Linked-Etag"] = f'"{blob.sha256}"'
            headers["X-Linked-Size"] = str(len(blob.content))
            return _Answer(302, b"Found", headers)
        return _content(request, blob.content, headers, f"{repo.id}/{path}")

    @_route("GET HEAD", "/objects/(?P<oid>[0-9a-f]{64})")
    def _fetch_object(self, request: Request) -> _Answer:
        if request["oid"] not in self.objects:
            raise _Refusal(404, "No such object")
        content, etag = self.objects[request["oid"]], {"ETag": f'"{request["oid"]}"'}
        return _content(request, content, etag, parse_qs(request.query)["file"][0])


def _card_data(card: str) -> dict[str, Any]:
    """The metadata at the top of a README. Raises ValueError when it is not a YAML mapping."""
    match = re.match(r"---\r?\n(.*?)\r?\n?---\s*(?:\n|$)", card, re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise ValueError(f"Invalid YAML metadata: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise ValueError("YAML metadata is not a mapping")
    return data or {}


def _entries(commit: Commit) -> dict[str, dict[str, Any]]:
    """Every file and folder of a commit by its path, as listings give them."""
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in sorted(commit.files.items()):
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            # The Hub gives a folder's git id. The client shows it and does nothing else with it.
            oid = hashlib.sha1(f"{commit.sha}/{folder}".encode()).hexdigest()
            entries[str(folder)] = {"type": "directory", "oid": oid, "size": 0, "path": str(folder)}
        entries[path] = {"type": "file", "oid": blob.sha1, "size": len(blob.content), "path": path}
        if blob.lfs:
            lfs = {"oid": blob.sha256, "size": len(blob.content), "pointerSize": len(blob.pointer)}
            entries[path]["lfs"] = lfs
    return entries


def _content(request: Request, content: bytes, headers: dict[str, str], file: str) -> _Answer:
    """Send a file, or the range of it that the client asks for."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
    size, status, part = len(content), 200, content
    if match := re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", "").strip()):
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last or 0))
        stop = min(int(last) + 1, size) if first and last else size
        if start >= size:
            return _Answer(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
        status, part = 206, content[start:stop]
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return _Answer(status, part, headers, file)


class _Server(socketserver.ThreadingTCPServer):
    """One port. Not an ``HTTPServer``, which asks the network for its own name when it starts."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and hang up: a client keeps connections open for the next request."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in list(self.connections):
            _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is not worth a traceback; an error of ours is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Reads a request off the wire, writes the hub's answer, keeps the log."""

    protocol_version = "HTTP/1.1"  # connections stay open, as on the Hub
    disable_nagle_algorithm = True  # or every answer waits 40 ms for the kernel
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the hub has its own log."""

    def _respond(self) -> None:
        """Answer one request, or hang up where an order to fail says so."""
        hub, (path, _, query) = self.server.hub, self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers=headers)
        failure = hub.ordered_failure(request)
        drop = failure.drop if failure else None
        request.dropped = drop is not None
        answer = None
        if drop != "request":
            request.body = self._read_body()
            answer = hub.answer(request, failure)
        if answer is None or drop == "answer":
            hub.requests.append(request)
            self._drop()
            return
        body = b"" if self.command == "HEAD" else answer.body
        body = body[: len(body) // 2] if drop else body
        request.status, request.sent = answer.status, len(body)
        request.file = answer.file if self.command == "GET" else None
        # Logged before it is sent, so that the log is complete when the client returns.
        hub.requests.append(request)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(body)
        if drop:
            self._drop()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _respond

    def _read_body(self) -> bytes:
        """Read the body, in chunks when the client did not know its length beforehand."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _drop(self) -> None:
        self.close_connection = True
        _hang_up(self.connection)
