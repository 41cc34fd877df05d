"""Push and pull through a real HTTP server, what is sent, and every way in which it can fail."""

import copy
import json
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fake_hub import FakeHub, Repository
from huggingface_hub import HfApi, ModelCard, snapshot_download
from safetensors.torch import load_file, save_file
from support import WITHOUT_PACKAGE, code_blocks, make_baseline, make_results, metrics, run_alone
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    Trainer,
    TrainingArguments,
    pipeline,
)

from sentiment_lstm.hub.baselines import write_baselines
from sentiment_lstm.hub.push import HubError, Push, check_folder, push

ID = "tester/model"
CODE = {"configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"}
SENT = CODE | {
    "README.md",
    "config.json",
    "learning_curves.png",
    "model.safetensors",
    "baselines.json",
    "recipe.yaml",
    "results.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
KEPT_AT_HOME = [
    ".env",
    ".cache/huggingface/x.json",
    "checkpoint-5/model.safetensors",
    "holiday.png",
    "__pycache__/modeling_sentiment_lstm.cpython-311.pyc",
    "notes.py",
    "optimizer.pt",
    "results.json.part",
    "scan.jpg",
    "training_args.bin",
]
TEXTS = ["I love it, works well.", "", "Waste of money; broke in a week."]


@pytest.fixture
def api(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    # The client waits for seconds between its own attempts.
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return hub.connect(monkeypatch)


@pytest.fixture
def folder(model_folder: Path) -> Path:
    """A finished run's folder, with sources named by folders of this machine, and with litter."""
    source = str(model_folder.parent / "reviews.ft.txt")
    facts = {"reviews": 60, "positive": 30, "fingerprint": "0ddd01e310cf32f8"}
    recipe = {"train": [source], "validation": [source], "output_dir": str(model_folder)}
    results = make_results(
        recipe=recipe,
        reviews={"train": {source: facts}, "validation": {source: facts}, "test": {}},
        training={"steps": 9, "epochs": 1.0, "best_step": 4, "best_validation_loss": 0.6},
        machine={"device": "cpu", "threads": 1, "processes": 1, "bf16": False, "python": "3"},
        versions={"torch": "2.13.0"},
        metrics={"validation": {source: metrics(0.9)}},
        wall_time_seconds={"prepare": 1.0, "train": 2.0, "evaluate": 3.0},
    )
    results.write(model_folder / "results.json")
    (model_folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (model_folder / "learning_curves.png").write_bytes(b"\x89PNG\0")
    baseline = make_baseline(
        command=f"python scripts/marbles.py {source}",
        metrics={"validation": {source: metrics(0.5)}},
    )
    write_baselines([baseline], model_folder / "baselines.json")
    for name in KEPT_AT_HOME:
        path = model_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"litter")
    return model_folder


def tree(root: str | Path) -> dict[str, bytes]:
    paths = [path for path in Path(root).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def answers(model: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pipeline("text-classification", model=str(model))(TEXTS)
    return found


# --- what arrives --------------------------------------------------------------------------------


def test_push_and_pull(hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    pushed = push(folder, ID)

    repo = hub.repositories["model", ID]
    assert not repo.private
    assert set(repo.files) == set(pushed.files) == SENT
    assert pushed.files == {name: len(content) for name, content in repo.files.items()}
    assert pushed.revision == repo.head.sha
    assert pushed.url == f"{hub.url}/{ID}/commit/{repo.head.sha}"
    (request,) = hub.requests_to("POST", "/commit/")
    header, *operations = request.lines
    assert {line["value"]["path"] for line in operations} == SENT
    assert header["value"]["parentCommit"] == repo.head.parent
    assert [commit.title for commit in repo.history(repo.head)] == [
        "Push a model of sentiment_lstm",
        "initial commit",
    ]
    assert tree(folder) == before, "the folder has changed"

    pulled = Path(snapshot_download(ID, cache_dir=tmp_path / "cache"))
    made = {"README.md", "baselines.json", "results.json", "recipe.yaml"}
    for name in SENT - made:
        assert (pulled / name).read_bytes() == before[name], name
    assert answers(pulled) == answers(folder)
    card = ModelCard.load(pulled / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert "(learning_curves.png)" in card.text
    assert "| Bag of Marbles |" in card.text


def test_nothing_of_this_machine_is_sent(hub: FakeHub, api: HfApi, folder: Path) -> None:
    push(folder, ID)
    files = hub.repositories["model", ID].files
    for name, content in files.items():
        for private in (folder.parent, Path.home(), Path(__file__).parents[2]):
            assert str(private).encode() not in content, name
    assert yaml.safe_load(files["recipe.yaml"]) == {
        "output_dir": "model",
        "train": ["reviews.ft.txt"],
        "validation": ["reviews.ft.txt"],
    }
    assert list(json.loads(files["results.json"])["metrics"]["validation"]) == ["reviews.ft.txt"]
    (baseline,) = json.loads(files["baselines.json"])
    assert list(baseline["metrics"]["validation"]) == ["reviews.ft.txt"]
    assert baseline["command"] == "python scripts/marbles.py reviews.ft.txt"


def test_second_push_sends_what_changed_and_nothing_if_nothing_did(
    hub: FakeHub, api: HfApi, folder: Path
) -> None:
    first = push(folder, ID)
    assert push(folder, ID) == first
    repo = hub.repositories["model", ID]
    assert len(repo.commits) == 2
    (folder / "learning_curves.png").write_bytes(b"\x89PNG\0new")
    hub.requests.clear()
    push(folder, ID, message="New picture")
    (request,) = hub.requests_to("POST", "/commit/")
    assert [line["value"].get("path") for line in request.lines] == [None, "learning_curves.png"]
    assert repo.head.title == "New picture"


def test_a_pulled_folder_can_be_pushed_again(
    hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path
) -> None:
    push(folder, ID)
    push(snapshot_download(ID, cache_dir=tmp_path / "cache"), "tester/copy")
    assert hub.repositories["model", "tester/copy"].files == hub.repositories["model", ID].files


def test_baselines_of_version_0_1_are_sent_under_their_name_of_now(
    hub: FakeHub, api: HfApi, folder: Path
) -> None:
    (folder / "baselines.json").rename(folder / "peers.json")
    push(folder, ID)
    repo = hub.repositories["model", ID]
    assert "baselines.json" in repo.files
    assert "peers.json" not in repo.files
    assert "Bag of Marbles" in read_card(repo)


def test_own_card_is_sent_as_it_is(hub: FakeHub, api: HfApi, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Mine\n")
    (folder / "results.json").unlink()
    baselines = folder / "baselines.json"
    baselines.write_text(baselines.read_text().replace('"python ', '"python /home/anna/'))
    assert "/home/anna" in baselines.read_text()
    push(folder, ID)
    files = hub.repositories["model", ID].files
    assert b"/home/anna" not in files["baselines.json"]
    assert files["README.md"] == (folder / "README.md").read_bytes()
    assert "results.json" not in files


def test_weights_of_an_earlier_push_are_not_left_beside_the_new_ones(
    hub: FakeHub, api: HfApi, folder: Path
) -> None:
    theirs = {"notes.md": b"kept", "other.png": b"kept", "model-00001-of-00002.safetensors": b"old"}
    repo = hub.add_repository(ID, files={**theirs, "added_tokens.json": b"{}"})
    push(folder, ID)
    assert set(repo.files) == SENT | {"notes.md", "other.png"}


def test_a_folder_without_results_has_a_short_card_and_no_results_of_others(
    hub: FakeHub, api: HfApi, folder: Path
) -> None:
    push(folder, ID)
    for name in ("results.json", "recipe.yaml", "baselines.json", "learning_curves.png"):
        (folder / name).unlink()
    push(folder, ID)
    repo = hub.repositories["model", ID]
    model = CODE | {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert set(repo.files) == model | {"README.md"}
    text = read_card(repo)
    assert text.count("\n") < 50
    assert "No results came with it" in text
    assert not re.search(r"\d %|accuracy", text)
    check_short_card(text, "model")


def check_short_card(text: str, name: str, tags: Sequence[str] = ()) -> None:
    """Check that a card says what the Hub asks for, and how to use this model."""
    assert "More Information Needed" not in text
    assert f"\n# {name}\n" in text
    assert "with the labels NEGATIVE, POSITIVE. It has" in text
    assert f'model="tester/{name}", trust_remote_code=True' in text
    data = ModelCard(text).data.to_dict()
    assert data == {
        "license": "apache-2.0",
        "language": "en",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["sentiment-analysis", "lstm", "reviews", *tags],
    }


def test_push_to_hub_of_transformers_leaves_a_card_that_is_no_stub(
    hub: FakeHub, api: HfApi, folder: Path, tokenizer: Any
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer.push_to_hub("tester/a")  # which leaves a stub, and knows no better
    repos = [hub.add_repository("tester/b"), hub.repositories["model", "tester/a"]]
    for repo in repos:
        model.push_to_hub(repo.id, tags=["mine"])
        check_short_card(read_card(repo), repo.id[-1], ["mine"])
    written = {"README.md": b"---\nlicense: mit\n---\n# Mine\n"}
    theirs = hub.add_repository("tester/theirs", files=written)
    model.push_to_hub(theirs.id)
    assert "license: mit\n" in read_card(theirs)
    assert read_card(theirs).endswith("---\n# Mine\n")

    backbone = AutoModel.from_pretrained(folder)
    backbone.push_to_hub("tester/backbone")
    text = read_card(hub.repositories["model", "tester/backbone"])
    assert ModelCard(text).data.to_dict()["pipeline_tag"] == "feature-extraction"
    assert "without a classifier" in text
    assert model.model_tags == ["sentiment-analysis", "lstm", "reviews", "mine"]
    assert backbone.model_tags == model.model_tags[:3]  # one model's tags are not another's


def test_push_to_hub_of_transformers_leaves_working_repositories(
    hub: FakeHub, api: HfApi, folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.push_to_hub(ID)
    tokenizer.push_to_hub(ID)  # the model's method does not send it
    arguments = TrainingArguments(
        str(tmp_path / "trainer"), hub_model_id="tester/trained", hub_token=hub.token, use_cpu=True
    )
    trainer = Trainer(model, arguments, processing_class=tokenizer)
    trainer.state.log_history = [{"eval_loss": 0.25, "step": 7}]
    trainer.push_to_hub()
    for repo_id in (ID, "tester/trained"):
        files = set(hub.repositories["model", repo_id].files)
        assert CODE | {"config.json", "model.safetensors", "tokenizer.json"} <= files
        assert answers(snapshot_download(repo_id, cache_dir=tmp_path / "cache")) == answers(folder)

    # Of Trainer's card, which knows the tags alone, the model keeps what it says.
    trained = hub.repositories["model", "tester/trained"]
    by_trainer = read_card(trained)
    assert "license" not in by_trainer
    model.push_to_hub(trained.id)
    completed = read_card(trained)
    assert completed.partition("\n# ")[2] == by_trainer.partition("\n# ")[2]
    assert "- eval_loss: 0.25\n" in completed
    data = ModelCard(completed).data.to_dict()
    assert data.pop("license") == "apache-2.0"
    assert data.pop("language") == "en"
    assert data.pop("pipeline_tag") == "text-classification"
    assert data == ModelCard(by_trainer).data.to_dict()
    trainer.push_to_hub(license="mit")
    model.push_to_hub(trained.id)
    known = ModelCard(read_card(trained)).data.to_dict()
    assert (known["license"], known["language"]) == ("mit", "en")
    assert known["pipeline_tag"] == "text-classification"
    before = read_card(trained)
    model.push_to_hub(trained.id)
    assert read_card(trained) == before, "nothing is added twice"


# --- options -------------------------------------------------------------------------------------


def test_dry_run_says_what_would_be_sent_and_sends_nothing(
    hub: FakeHub, api: HfApi, folder: Path
) -> None:
    planned = push(folder, ID, dry_run=True, token="hf_wrong")
    assert hub.requests == []
    assert planned == Push(planned.files)
    assert planned.files == push(folder, ID).files


def test_private(hub: FakeHub, api: HfApi, folder: Path) -> None:
    push(folder, ID, private=True)
    assert hub.repositories["model", ID].private
    push(folder, ID, private=True)
    public = hub.add_repository("tester/public")
    with pytest.raises(HubError, match="tester/public exists and is public"):
        push(folder, "tester/public", private=True)
    assert public.files == {}


def test_revision(hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path) -> None:
    repo = hub.add_repository(ID, files={"config.json": b"main"})
    pushed = push(folder, ID, revision="v2")
    assert repo.files == {"config.json": b"main"}
    pulled = snapshot_download(ID, revision="v2", cache_dir=tmp_path)
    assert Path(pulled).name == pushed.revision
    assert set(tree(pulled)) == SENT | {".gitattributes"}
    with pytest.raises(HubError, match="not both"):
        push(folder, ID, revision="v2", create_pr=True)
    with pytest.raises(HubError, match=r"the Hub refuses the push \(400 .*needs a branch"):
        push(folder, ID, revision=repo.head.sha)


def test_create_pr(hub: FakeHub, api: HfApi, folder: Path) -> None:
    repo = hub.add_repository("other/model")
    pushed = push(folder, "other/model", create_pr=True)
    assert pushed.url == f"{hub.url}/other/model/discussions/1"
    assert repo.files == {}
    assert set(repo.commits[repo.refs["refs/pr/1"]].files) == SENT | {".gitattributes"}


# --- refusals and failures -----------------------------------------------------------------------


def refused(folder: Path, match: str, repo_id: str = ID, **options: Any) -> None:
    """Check that a push fails with one line."""
    with pytest.raises(HubError, match=match) as error:
        push(folder, repo_id, **options)
    assert "\n" not in str(error.value)


def test_no_token(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.connect(monkeypatch, token=False)
    refused(folder, "no token: log in with `hf auth login`, or set HF_TOKEN")
    assert hub.requests == []
    push(folder, ID, token=hub.token)


def test_wrong_token(hub: FakeHub, api: HfApi, folder: Path) -> None:
    repo = hub.add_repository(ID)
    for repo_id in (ID, "tester/new"):
        refused(folder, "does not accept the token", repo_id, token="hf_wrong")
    assert repo.files == {}
    assert list(hub.repositories) == [("model", ID)]
    push(folder, ID)


def test_repositories_that_are_missing_or_of_others(hub: FakeHub, api: HfApi, folder: Path) -> None:
    theirs = hub.add_repository("other/model")
    refused(folder, "tester/no: the Hub has no such repository", "tester/no", create_pr=True)
    refused(folder, "the token may not write to other/new", "other/new")
    refused(folder, "the token may not write to other/model", "other/model")
    refused(folder, "give it in full, as USER/NAME", "model")
    refused(folder, "give it in full, as USER/NAME", "a/b/c")
    assert list(hub.repositories) == [("model", "other/model")]
    assert theirs.files == {}


def test_a_change_during_the_push_is_not_overwritten(
    hub: FakeHub, api: HfApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = hub.add_repository(ID, files={"config.json": b"{}"})
    upload = HfApi.preupload_lfs_files

    def interfere(self: HfApi, *args: Any, **options: Any) -> None:
        upload(self, *args, **options)
        hub.push(repo, {"config.json": b"theirs"})

    with monkeypatch.context() as patch:
        patch.setattr(HfApi, "preupload_lfs_files", interfere)
        refused(folder, "was changed by somebody else during the push, and nothing was sent")
    assert repo.files == {"config.json": b"theirs"}
    push(folder, ID)
    assert set(repo.files) == SENT


Order = Callable[[FakeHub], None]
UNREACHABLE = r"the connection to the Hub failed \(.+\)\. The commit is .* safe to push again"
BROKEN = r"the Hub has a problem of its own \(503 .*safe to push again"


@pytest.mark.parametrize("status", [503, None], ids=["503", "dropped"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/models/"),
        ("POST", "/validate-yaml"),
        ("POST", "/preupload/"),
        ("POST", "/objects/batch"),
        ("PUT", "/objects/"),
        ("POST", "/commit/"),
    ],
)
def test_the_hub_fails_in_the_middle(
    hub: FakeHub, api: HfApi, folder: Path, method: str, path: str, status: int | None
) -> None:
    repo = hub.add_repository(ID, files={"config.json": b"{}"})
    if status:
        hub.fail_next(method, path, status=status, times=50)
    else:
        hub.drop_next(method, path, times=50)
    refused(folder, BROKEN if status else UNREACHABLE)
    assert repo.files == {"config.json": b"{}"}
    assert len(repo.commits) == 2

    hub._failures.clear()
    push(folder, ID)
    assert set(repo.files) == SENT
    assert len(repo.commits) == 3


def test_the_answer_to_the_commit_is_lost(hub: FakeHub, api: HfApi, folder: Path) -> None:
    hub.drop_next("POST", "/commit/", when="answer")
    refused(folder, UNREACHABLE)
    repo = hub.repositories["model", ID]
    assert set(repo.files) == SENT
    assert push(folder, ID).revision == repo.head.sha
    assert len(repo.commits) == 2


def test_nobody_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHub() as hub:
        hub.connect(monkeypatch)
    refused(folder, UNREACHABLE)


def test_offline(folder: Path, hub: FakeHub, api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(folder, "HF_HUB_OFFLINE=1: unset it")


# --- folders that are no models ------------------------------------------------------------------


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def remove(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def deepen(name: str) -> Callable[[Path], Any]:
    """Make a file nothing but brackets, deeper than Python calls itself."""
    return lambda folder: (folder / name).write_text("[" * 100_000)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def drop_weight(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop(max(weights)))


def spoil_weights(folder: Path) -> None:
    change_weights(folder, lambda weights: [weight.fill_(torch.nan) for weight in weights.values()])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("config.json"), "no config.json, so this is no model folder"),
        (remove("modeling_sentiment_lstm.py"), "modeling_sentiment_lstm.py is missing"),
        (remove("tokenizer.json"), "no tokenizer.json"),
        (remove("model.safetensors"), "does not load: .*model.safetensors"),
        (lambda folder: change_config(folder, auto_map={}), "the code of the model is missing"),
        (lambda folder: change_config(folder, hidden_size=20), "fit each other|does not load"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: not a config"),
        (
            lambda folder: (folder / "results.json").write_text('{"recipe": {}}'),
            "results.json: lacks ",
        ),
        (lambda folder: (folder / "recipe.yaml").write_text("["), "while parsing"),
        (
            lambda folder: (folder / "baselines.json").write_text("{}"),
            "baselines.json: baselines are a list",
        ),
        (lambda folder: (folder / "ablation.json").write_text("{}"), "no table of ablations"),
        (deepen("config.json"), "config.json: not a config"),
        (deepen("results.json"), "results.json: no valid JSON"),
        (deepen("recipe.yaml"), "recipe.yaml: no valid YAML: nested too deeply"),
        (deepen("baselines.json"), "baselines.json: no valid json"),
        (deepen("ablation.json"), "ablation.json: no table of ablations"),
        (truncate, "does not load: "),
        (drop_weight, "weights and config do not fit each other: missing keys"),
        (spoil_weights, "has NaN or infinite numbers"),
    ],
)
def test_a_folder_that_does_not_work_is_not_sent(
    hub: FakeHub, api: HfApi, folder: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(folder)
    refused(folder, message)
    assert hub.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "README.md",
        "ablation.json",
        "added_tokens.json",
        "baselines.json",
        "config.json",
        "curve.png",
        "model.safetensors",
        "modeling_sentiment_lstm.py",
        "peers.json",
        "recipe.yaml",
        "results.json",
    ],
)
def test_a_link_out_of_the_folder_is_not_followed(
    name: str, hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path
) -> None:
    file, private = folder / name, tmp_path / "private"
    private.write_bytes(file.read_bytes() if file.exists() else b"{}")
    file.unlink(missing_ok=True)
    file.symlink_to(private)
    refused(folder, f"{name}: a link out of the folder")
    assert hub.requests == []
    # Within the folder there is nothing against one, nor against others that nobody sends.
    file.unlink()
    private.rename(folder / "notes")
    file.symlink_to("notes")
    (folder / "data").symlink_to(tmp_path)
    check_folder(folder)


def test_links_in_a_circle_are_not_sent(folder: Path) -> None:
    (folder / "curve.png").symlink_to("curve.png")
    assert "curve.png" not in push(folder, ID, dry_run=True).files


def test_a_tokenizer_of_another_model_is_noticed(
    folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["unheardof"])
    larger.save_pretrained(folder)
    with pytest.raises(HubError, match="they are of different runs"):
        check_folder(folder)
    with pytest.raises(HubError, match="no such folder"):
        check_folder(tmp_path / "no")


# --- where the package is not installed ----------------------------------------------------------


def test_the_travelling_files_are_enough(
    hub: FakeHub, api: HfApi, folder: Path, tmp_path: Path
) -> None:
    """The card's own example without the package, on what was pulled: nothing else is there."""
    push(folder, ID)
    expected = answers(folder)
    with_package, without = code_blocks(read_card(hub.repositories["model", ID]), "python")
    code = f"""
        try:
            import sentiment_lstm
        except ModuleNotFoundError:
            print("not installed")
        import huggingface_hub, json
        huggingface_hub.snapshot_download("{ID}")
    """
    ask = f"\nprint(json.dumps(classify({TEXTS!r})))"
    home = tmp_path / "home"
    home.mkdir()
    printed = run_alone(hub, home, WITHOUT_PACKAGE + textwrap.dedent(code) + without + ask)
    first, last = printed.splitlines()
    assert first == "not installed"
    for found, wanted in zip(json.loads(last), expected, strict=True):
        assert found["label"] == wanted["label"]
        assert found["score"] == pytest.approx(wanted["score"])

    # And the example with the package, in this process.
    names: dict[str, Any] = {}
    exec(with_package, names)
    assert names["classify"](TEXTS) == expected


def read_card(repo: Repository) -> str:
    text = repo.files["README.md"].decode()
    assert not re.search(r"\{\{|\{%|None", text)
    return text
