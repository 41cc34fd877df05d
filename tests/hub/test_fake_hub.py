"""The fake Hub is only worth something if the real client cannot tell it from the Hub."""

import importlib
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from fake_hub import FakeHub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from packaging.version import Version
from support import POLARITY, polarity_files, run

ID = "tester/model"
CARD = (
    b"---\nlicense: apache-2.0\npipeline_tag: text-classification\ntags: [lstm]\n---\n# A model\n"
)
WEIGHTS = bytes(range(256)) * 4000
FOLDER = {"README.md": CARD, "config.json": b"{}\n", "model.safetensors": WEIGHTS, "a/b.txt": b"x"}


# What is tried again, and how often, is the client's affair and has changed from 1.0 to 2.4.
retries = pytest.mark.skipif(
    Version(huggingface_hub.__version__) < Version("2.0"), reason="older clients retry less"
)


@pytest.fixture
def api(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    return hub.connect(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder on disk, as ``FOLDER`` has it."""
    for name, content in FOLDER.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "folder"


def read_tree(root: str | Path) -> dict[str, bytes]:
    """The files below a folder by their relative path."""
    paths = [path for path in Path(root).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


# ---------------------------------------------------------------------- push and pull


def test_folder_is_pushed_in_one_commit_and_comes_back(
    hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path
) -> None:
    url = api.create_repo(ID, private=True)
    assert (url.repo_id, url.repo_type) == (ID, "model")
    done = api.upload_folder(repo_id=ID, folder_path=folder, commit_message="First")

    repo = hub.repositories["model", ID]
    assert repo.private
    assert repo.files == FOLDER
    assert done.oid == repo.head.sha
    assert [commit.title for commit in api.list_repo_commits(ID)] == ["First", "initial commit"]
    pushes = hub.requests_to("POST", "/commit/")
    assert [push.status for push in pushes] == [200]
    header, *operations = pushes[0].lines
    assert header["value"]["summary"] == "First"
    assert {line["value"]["path"] for line in operations} == set(FOLDER)

    assert set(api.list_repo_files(ID)) == {*FOLDER, ".gitattributes"}
    files = read_tree(api.snapshot_download(ID, cache_dir=tmp_path / "cache"))
    files.pop(".gitattributes")
    assert files == FOLDER
    assert sorted(hub.fetched) == sorted(f"{ID}/{name}" for name in [*FOLDER, ".gitattributes"])
    api.snapshot_download(ID, cache_dir=tmp_path / "cache")
    assert len(hub.fetched) == len(FOLDER) + 1  # everything came from the cache


def test_large_files_go_to_the_storage_without_the_token(
    hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path
) -> None:
    api.create_repo(ID)
    api.upload_folder(repo_id=ID, folder_path=folder)
    api.hf_hub_download(ID, "model.safetensors", cache_dir=tmp_path / "cache")

    blob = hub.repositories["model", ID].head.files["model.safetensors"]
    assert blob.lfs
    assert len(hub.requests_to("POST", "/info/lfs/verify")) == 1
    for method in ("PUT", "GET"):
        (request,) = hub.requests_to(method, f"^/objects/{blob.sha256}$")
        assert request.token is None
    (head,) = hub.requests_to("HEAD", "/resolve/")
    assert head.token == hub.token
    (info,) = api.get_paths_info(ID, ["model.safetensors"])
    assert isinstance(info, huggingface_hub.hf_api.RepoFile)
    assert info.lfs is not None
    assert (info.lfs.sha256, info.size, info.blob_id) == (blob.sha256, len(WEIGHTS), blob.sha1)


def test_second_push_sends_only_what_changed(hub: FakeHub, api: HfApi, folder: Path) -> None:
    api.create_repo(ID)
    first = api.upload_folder(repo_id=ID, folder_path=folder)
    api.create_repo(ID, exist_ok=True)
    (folder / "config.json").write_text('{"a": 1}')
    hub.requests.clear()
    second = api.upload_folder(repo_id=ID, folder_path=folder)
    unchanged = api.upload_folder(repo_id=ID, folder_path=folder)

    assert not hub.requests_to("PUT", "/objects/")
    assert len(hub.requests_to("POST", "/commit/")) == 1
    commits = hub.repositories["model", ID].commits
    old, new = commits[first.oid].files, commits[second.oid].files
    assert {name for name in new if new[name] != old[name]} == {"config.json"}
    assert unchanged.oid == second.oid
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(ID)


def test_a_push_can_delete(hub: FakeHub, api: HfApi, folder: Path) -> None:
    repo = hub.add_repository(
        ID, files={"old.txt": b"", "a/old.txt": b"", "old/1": b"", "old/2": b""}
    )
    api.upload_folder(repo_id=ID, folder_path=folder, delete_patterns="*.txt")
    assert repo.files == {**FOLDER, "old/1": b"", "old/2": b""}
    api.delete_folder("old", ID)
    assert repo.files == FOLDER
    assert len(repo.commits) == 4


def test_revisions_stay_available(hub: FakeHub, api: HfApi, tmp_path: Path) -> None:
    repo = hub.add_repository(ID, files={"config.json": b"old"})
    old = repo.head.sha
    api.create_tag(ID, tag="v1")
    api.create_branch(ID, branch="side/way", revision=old)
    hub.push(repo, {"config.json": b"new"})
    api.upload_file(path_or_fileobj=b"side", path_in_repo="f", repo_id=ID, revision="side/way")
    pull = api.upload_file(path_or_fileobj=b"pr", path_in_repo="f", repo_id=ID, create_pr=True)

    def read(name: str, revision: str | None = None) -> bytes:
        path = api.hf_hub_download(ID, name, revision=revision, cache_dir=tmp_path)
        return Path(path).read_bytes()

    assert read("config.json") == b"new"
    assert [read("config.json", revision) for revision in (old, "v1", "side/way")] == [b"old"] * 3
    assert pull.pr_revision == "refs/pr/1"
    assert [read("f", "side/way"), read("f", pull.pr_revision)] == [b"side", b"pr"]
    assert "f" not in repo.files
    refs = api.list_repo_refs(ID, include_pull_requests=True)
    assert [branch.name for branch in refs.branches] == ["main", "side/way"]
    assert [tag.target_commit for tag in refs.tags] == [old]
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/1"]


def test_info_tree_and_card(hub: FakeHub, api: HfApi) -> None:
    repo = hub.add_repository(ID, files=FOLDER)
    info = api.model_info(ID)
    assert (info.sha, info.private) == (repo.head.sha, False)
    assert info.pipeline_tag == "text-classification"
    assert info.card_data is not None
    assert info.card_data.license == "apache-2.0"
    assert "lstm" in (info.tags or [])
    assert {entry.path for entry in api.list_repo_tree(ID)} == {
        *(name for name in FOLDER if "/" not in name),
        "a",
        ".gitattributes",
    }
    assert [entry.path for entry in api.list_repo_tree(ID, "a")] == ["a/b.txt"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(ID, "no"))
    assert api.whoami()["name"] == "tester"
    with pytest.raises(ValueError, match="Invalid metadata in README"):
        api.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=ID)
    api.delete_repo(ID)
    assert not api.repo_exists(ID)


def test_a_commit_is_applied_whole_or_not_at_all(hub: FakeHub, api: HfApi) -> None:
    repo = hub.add_repository(ID, files={"kept": b"1"})
    add = CommitOperationAdd("new", b"2")
    with pytest.raises(EntryNotFoundError):
        api.create_commit(
            ID, [add, CommitOperationDelete("missing", is_folder=False)], commit_message="Both"
        )
    assert repo.files == {"kept": b"1"}


def test_range_requests(hub: FakeHub, api: HfApi) -> None:
    hub.add_repository(ID, files={"f.txt": b"0123456789", "f.bin": b"0123456789"})
    for name in ("f.txt", "f.bin"):
        url = huggingface_hub.hf_hub_url(ID, name)
        for wanted, content in (("2-4", b"234"), ("7-", b"789"), ("-2", b"89")):
            answer = get_session().get(url, headers={"Range": f"bytes={wanted}"})
            assert (answer.status_code, answer.content) == (206, content)
        assert get_session().get(url, headers={"Range": "bytes=10-"}).status_code == 416


# ---------------------------------------------------------------------- refusals


def test_missing_things_raise_the_errors_of_the_client(
    hub: FakeHub, api: HfApi, tmp_path: Path
) -> None:
    hub.add_repository(ID, files={"config.json": b"{}"})
    for token in (None, False):
        with pytest.raises(RepositoryNotFoundError):
            api.hf_hub_download("tester/no", "config.json", cache_dir=tmp_path, token=token)
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("tester/no", token=token)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(ID, "no.json", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(ID, "config.json", revision="no", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        api.snapshot_download(ID, revision="no", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        api.upload_file(path_or_fileobj=b"", path_in_repo="f", repo_id="tester/no")


def test_permissions(hub: FakeHub, api: HfApi, tmp_path: Path) -> None:
    hub.add_repository(ID, files={"config.json": b"{}"}, private=True)
    hub.add_repository("other/model", files={"config.json": b"{}"})

    def download(repo_id: str, token: str | bool | None) -> str:
        return api.hf_hub_download(repo_id, "config.json", cache_dir=tmp_path, token=token)

    with pytest.raises(RepositoryNotFoundError):
        download(ID, False)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        download(ID, "hf_wrong")
    assert Path(download(ID, None)).read_bytes() == b"{}"
    assert Path(download("other/model", False)).read_bytes() == b"{}"

    def upload(repo_id: str, **kwargs: Any) -> None:
        api.upload_file(path_or_fileobj=b"1", path_in_repo="f", repo_id=repo_id, **kwargs)

    with pytest.raises(HfHubHTTPError, match="401"):
        upload(ID, token=False)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        upload(ID, token="hf_wrong")
    with pytest.raises(HfHubHTTPError, match="403"):
        upload("other/model")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("other/new")
    upload("other/model", create_pr=True)
    assert "f" not in hub.repositories["model", ID].files
    assert list(hub.repositories["model", "other/model"].refs) == ["refs/heads/main", "refs/pr/1"]


def test_stale_parent_is_refused(hub: FakeHub, api: HfApi, folder: Path) -> None:
    repo = hub.add_repository(ID, files={"config.json": b"{}"})
    parent = repo.head.sha
    theirs = hub.push(repo, {"config.json": b"theirs"})
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
        api.upload_folder(repo_id=ID, folder_path=folder, parent_commit=parent)
    assert error.value.response.status_code == 412
    assert repo.head.sha == theirs.sha
    api.upload_folder(repo_id=ID, folder_path=folder, parent_commit=theirs.sha)
    assert repo.files == FOLDER


def test_a_commit_must_have_its_large_files(hub: FakeHub, api: HfApi) -> None:
    repo = hub.add_repository(ID)
    operation = {"key": "lfsFile", "value": {"path": "w.bin", "oid": "0" * 64, "size": 1}}
    header = {"key": "header", "value": {"summary": "s"}}
    lines = "\n".join(json.dumps(line) for line in (header, operation))
    answer = get_session().post(
        f"{hub.url}/api/models/{ID}/commit/main",
        content=lines.encode(),
        headers={"authorization": f"Bearer {hub.token}"},
    )
    assert answer.status_code == 400
    assert "was not uploaded" in answer.json()["error"]
    assert not repo.files


# ---------------------------------------------------------------------- failures


@retries
def test_the_client_retries_what_it_can_repeat(hub: FakeHub, api: HfApi, folder: Path) -> None:
    api.create_repo(ID)
    hub.fail_next("POST", "/preupload/", status=503, times=2, headers={"Retry-After": "0"})
    api.upload_folder(repo_id=ID, folder_path=folder)
    assert [r.status for r in hub.requests_to("POST", "/preupload/")] == [503, 503, 200]
    assert len(hub.requests_to("POST", "/commit/")) == 1
    assert hub.repositories["model", ID].files == FOLDER


def test_the_client_does_not_retry_a_commit(hub: FakeHub, api: HfApi, folder: Path) -> None:
    api.create_repo(ID)
    repo = hub.repositories["model", ID]
    hub.fail_next("POST", "/commit/", status=503)
    with pytest.raises(HfHubHTTPError, match="503"):
        api.upload_folder(repo_id=ID, folder_path=folder)
    assert repo.files == {}
    hub.requests.clear()
    api.upload_folder(repo_id=ID, folder_path=folder)
    assert repo.files == FOLDER
    assert not hub.requests_to("PUT", "/objects/")  # the weights had arrived the first time


def connection_error() -> type[Exception]:
    """What the client raises when the server hangs up: from httpx or, later, from httpx2."""
    library = type(get_session()).__module__.partition(".")[0]
    error: type[Exception] = importlib.import_module(library).TransportError
    return error


@pytest.mark.parametrize("when", ["request", "answer"])
def test_connection_dropped_during_a_commit(
    hub: FakeHub, api: HfApi, folder: Path, when: Any
) -> None:
    api.create_repo(ID)
    repo = hub.repositories["model", ID]
    hub.drop_next("POST", "/commit/", when=when)
    with pytest.raises(connection_error()):
        api.upload_folder(repo_id=ID, folder_path=folder)
    # Either nothing is there or everything, though the client learns of neither.
    assert repo.files == ({} if when == "request" else FOLDER)
    api.upload_folder(repo_id=ID, folder_path=folder)
    assert repo.files == FOLDER
    assert len(repo.commits) == 2
    assert [r.dropped for r in hub.requests_to("POST", "/commit/")][:1] == [True]


@retries
def test_connection_dropped_during_an_upload(hub: FakeHub, api: HfApi, folder: Path) -> None:
    api.create_repo(ID)
    hub.drop_next("PUT", "/objects/")
    api.upload_folder(repo_id=ID, folder_path=folder)
    assert [r.status for r in hub.requests_to("PUT", "/objects/")] == [0, 200]
    assert hub.repositories["model", ID].files == FOLDER


@retries
def test_interrupted_download_is_resumed(
    hub: FakeHub, api: HfApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client forgets the part of a chunk (of 10 MB) that it had when the connection broke.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.add_repository(ID, files=FOLDER)
    hub.drop_next("GET", "/objects/", when="body")
    path = api.hf_hub_download(ID, "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS
    first, second = hub.requests_to("GET", "/objects/")
    assert (first.status, second.status) == (200, 206)
    assert first.sent + second.sent == len(WEIGHTS)


@retries
def test_hub_down_during_a_pull(hub: FakeHub, api: HfApi, tmp_path: Path) -> None:
    hub.add_repository(ID, files=FOLDER)
    hub.fail_next("GET", "/api/models/", status=503)
    with pytest.raises(LocalEntryNotFoundError, match="503"):
        api.snapshot_download(ID, cache_dir=tmp_path)
    # A single file is asked for twice before the client gives up.
    hub.fail_next("HEAD", "/resolve/", status=503)
    assert Path(api.hf_hub_download(ID, "config.json", cache_dir=tmp_path)).exists()
    assert [request.status for request in hub.requests_to("HEAD", "/resolve/")] == [503, 200]


def test_nothing_answers_after_the_hub_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHub() as hub:
        api = hub.connect(monkeypatch)
        assert api.whoami()["name"] == "tester"
    with pytest.raises(connection_error()):
        api.whoami()


# ---------------------------------------------------------------------- other libraries


def test_functions_of_the_module_and_transformers(hub: FakeHub, tmp_path: Path) -> None:
    code = """
        import huggingface_hub, torch
        from transformers import AutoModel, DistilBertConfig, DistilBertModel
        config = DistilBertConfig(vocab_size=9, dim=8, hidden_dim=8, n_heads=2, n_layers=1)
        model = DistilBertModel(config)
        model.push_to_hub("tester/tiny", private=True)
        again = AutoModel.from_pretrained("tester/tiny")
        for name, value in model.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name
        sha = huggingface_hub.model_info("tester/tiny").sha
        AutoModel.from_pretrained("tester/tiny", revision=sha)
        print(type(again).__name__)
    """
    assert run(hub, tmp_path, code) == ["DistilBertModel"]
    assert hub.repositories["model", "tester/tiny"].private
    assert len(hub.requests_to("POST", "/commit/")) == 1
    assert hub.fetched.count("tester/tiny/model.safetensors") == 1


def test_load_dataset(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_repository("fancyzhx/amazon_polarity", "dataset", polarity_files())
    code = """
        from datasets import load_dataset
        test = load_dataset("fancyzhx/amazon_polarity", split="test")
        print(test.features["label"].names, test["title"][:])
        print(load_dataset("fancyzhx/amazon_polarity", split="test[:50%]")["content"][:])
        print(load_dataset("fancyzhx/amazon_polarity", split="train").num_rows)
        stream = load_dataset("fancyzhx/amazon_polarity", split="test", streaming=True)
        print([row["label"] for row in stream])
    """
    lines = run(hub, tmp_path, code, token=False)
    # The dataset server is another host on the Hub; on a numeric address it cannot exist.
    assert {line for line in lines if line.startswith("OUTSIDE")} <= {
        "OUTSIDE datasets-server.127.0.0.1"
    }
    assert [line for line in lines if not line.startswith("OUTSIDE")] == [
        f"{['negative', 'positive']} {[title for title, _, _ in POLARITY['test']]}",
        str([content for _, content, _ in POLARITY["test"][:2]]),
        "10",
        "[1, 0, 0, 1]",
    ]
    parquet = [name for name in hub.fetched if name.endswith("train-00000-of-00001.parquet")]
    assert len(parquet) == 1
