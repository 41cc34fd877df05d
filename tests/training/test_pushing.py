"""What a run leaves on the Hub, while it is trained and in the end, for people without it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_hub import Commit, FakeHub
from huggingface_hub import HfApi, ModelCard
from support import WITHOUT_PACKAGE, run_alone
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainingArguments,
    pipeline,
)

from sentiment_lstm.cli.main import main
from sentiment_lstm.hub.push import HubError
from sentiment_lstm.training.checkpoints import newest_whole_checkpoint
from sentiment_lstm.training.preprocessing import make_tokens
from sentiment_lstm.training.pushing import PushingTrainer
from sentiment_lstm.training.recipe import Recipe, RecipeError, read_recipe
from sentiment_lstm.training.run import pretrain, train
from sentiment_lstm.training.trainer import make_trainer

WriteRecipe = Callable[..., Path]

TEXTS = ["I love it, works well.", "Broke in a week: a waste of money."]
CODE = {"configuration_sentiment_lstm.py", "modeling_sentiment_lstm.py"}
MODEL = CODE | {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
STEPS = ["Training in progress, step 6", "Training in progress, step 12"]
# Two checkpoints, each of which is pushed even if the one before is still on its way.
FIELDS: dict[str, Any] = {
    "num_train_epochs": 1,
    "eval_steps": 6,
    "push_to_hub": True,
    "hub_always_push": True,
    "calibrate": True,
}


@pytest.fixture(autouse=True)
def api(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    # The client waits for seconds between its own attempts.
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return hub.connect(monkeypatch)


@pytest.fixture
def recipe(write_recipe: WriteRecipe, tmp_path: Path) -> Callable[..., Recipe]:
    """A function that makes the recipe of a run, by the name of its repository."""

    def make(name: str, **fields: Any) -> Recipe:
        path = write_recipe(**FIELDS | {"output_dir": str(tmp_path / "runs" / name)} | fields)
        return read_recipe(path, {"hub_model_id": f"tester/{name}"} | fields)

    return make


def commits(hub: FakeHub, name: str, ref: str = "refs/heads/main") -> list[Commit]:
    """What was pushed, oldest first, without the Hub's own first commit."""
    repo = hub.repositories["model", f"tester/{name}"]
    return repo.history(repo.commits[repo.refs[ref]])[-2::-1]


def files(commit: Commit) -> dict[str, bytes]:
    return {name: blob.content for name, blob in commit.files.items() if name != ".gitattributes"}


# In a process without the package: every commit and every checkpoint in it gives finite answers,
# and those of the last one are known.
LOAD = """
import json, sys
from huggingface_hub import snapshot_download
from transformers import AutoModelForSequenceClassification as Auto, AutoTokenizer, pipeline

texts, wanted = json.load(open("wanted.json"))
for repo, revision, subfolder, expected in wanted:
    where = dict(revision=revision, trust_remote_code=True)
    if subfolder:
        where["subfolder"] = subfolder
    model, report = Auto.from_pretrained(repo, output_loading_info=True, **where)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    tokenizer = AutoTokenizer.from_pretrained(repo, **where)
    for found, known in zip(pipeline("text-classification", model, tokenizer=tokenizer)(texts),
                            expected or [None] * 2, strict=True):
        assert 0 < found["score"] < 1, (repo, subfolder, found)
        if known:
            assert known["label"] == found["label"], (repo, found, known)
            assert abs(known["score"] - found["score"]) < 1e-6, (repo, found, known)
print("done")
"""


def test_every_strategy_leaves_what_loads(
    hub: FakeHub, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    """As Trainer's documentation has it, and the finished folder with its card as the last one."""
    expected = {
        "end": (["End of training"], set()),
        "every_save": ([*STEPS, "End of training"], set()),
        "checkpoint": ([*STEPS, "End of training"], {"last-checkpoint"}),
        "all_checkpoints": ([*STEPS, "End of training"], {"checkpoint-6", "checkpoint-12"}),
    }
    # Of another run, whose results are not those of what is pushed now.
    old = dict.fromkeys(["results.json", "recipe.yaml", "last-checkpoint/old.bin", "x.md"], b"old")
    hub.add_repository("tester/checkpoint", files=old)
    wanted = []
    for strategy, (titles, folders) in expected.items():
        run = recipe(strategy, hub_strategy=strategy, ema_decay=0.5)
        folder = train(run)
        answers = pipeline("text-classification", str(folder))(TEXTS)
        pushed = [commit for commit in commits(hub, strategy) if commit.title != "Push"]
        assert [commit.title for commit in pushed] == titles
        for commit in pushed:
            content, last = files(commit), commit is pushed[-1]
            assert MODEL | {"README.md"} <= set(content)
            assert ("results.json" in content) is ("recipe.yaml" in content) is last
            assert "last-checkpoint/old.bin" not in content
            assert ("x.md" in content) is (strategy == "checkpoint")
            check_card(content["README.md"].decode(), commit.title)
            found = {name.split("/")[0] for name in content if "/" in name}
            assert found <= folders
            # What was validated, the average of the weights, is what a visitor loads.
            step = next(
                (name for name in found if name in ("last-checkpoint", commit_step(commit))), ""
            )
            if step and not last:
                assert content[f"{step}/ema.safetensors"] == content["model.safetensors"]
                assert content[f"{step}/model.safetensors"] != content["model.safetensors"]
            for subfolder in ["", *found]:
                known = answers if last and not subfolder else None
                wanted.append((f"tester/{strategy}", commit.sha, subfolder, known))
        assert found == folders
        assert b"hub_" not in content["recipe.yaml"] + content["README.md"]
        assert content["model.safetensors"] == (folder / "model.safetensors").read_bytes()
        for name, data in content.items():
            assert str(tmp_path).encode() not in data, name
            assert b"training_args" not in name.encode()
    for name, data in content.items():  # of all checkpoints; as a run would find them in its folder
        if "/" in name:
            (tmp_path / "pulled" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "pulled" / name).write_bytes(data)
    newest = newest_whole_checkpoint(tmp_path / "pulled")
    assert newest == tmp_path / "pulled" / "checkpoint-12"

    home = tmp_path / "home"
    home.mkdir()
    (home / "wanted.json").write_text(json.dumps([TEXTS, wanted]))
    printed = run_alone(hub, home, WITHOUT_PACKAGE + LOAD)
    assert printed.endswith("done\n")


def commit_step(commit: Commit) -> str:
    return f"checkpoint-{commit.title.split()[-1]}"


def check_card(text: str, title: str) -> None:
    """A card says of what step it is and what is known, or everything in the end."""
    data: Any = ModelCard(text).data
    assert (data.license, data.language, data.pipeline_tag) == (
        "apache-2.0",
        "en",
        "text-classification",
    )
    assert {"sentiment-analysis", "lstm"} <= set(data.tags or [])
    if title == "End of training":
        assert data.eval_results
        assert "This is the model at step" not in text
    else:
        step = title.split()[-1]
        assert f"This is the model at step {step} of a run of 12, before its probabilities" in text
        assert "On the 12 validation reviews: accuracy " in text


# --- where it fails ------------------------------------------------------------------------------


def test_a_push_that_could_not_succeed_is_refused_before_anything_is_done(
    hub: FakeHub, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"hub_token": "hf_wrong"}, "does not accept the token"),
        ({"hub_model_id": "other/model"}, "may not write to other/model"),
        ({"hub_private_repo": True, "hub_model_id": "tester/public"}, "exists and is public"),
    ]
    hub.add_repository("tester/public")
    for fields, said in refused:
        run = recipe("run", **fields)
        with pytest.raises(HubError, match=said):
            train(run)
        folder = Path(str(run.training.output_dir))
        assert not folder.exists() or not {path.name for path in folder.iterdir()} - {"run.lock"}
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(HubError, match="no token"):
        train(recipe("run"))
    with pytest.raises(RecipeError, match="`push_to_hub` means nothing to pretraining"):
        pretrain(recipe("run"))


def test_pushes_that_fail_stop_no_training_and_the_same_command_repeats_the_last(
    hub: FakeHub,
    write_recipe: WriteRecipe,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By its default the repository has the name of the folder."""
    hub.fail_next("POST", "/commit/", times=50)
    command = ["train", str(write_recipe(**FIELDS))]
    assert main(command) == 1
    assert "step 6 was not pushed: the Hub has a problem of its own" in caplog.text
    said = capsys.readouterr().err.splitlines()[-1]
    assert "run: the run is finished, but was not pushed, which the same command tries" in said
    folder = tmp_path / "run"
    assert (folder / "results.json").exists()
    assert commits(hub, "run") == []

    hub._failures.clear()
    before = (folder / "model.safetensors").read_bytes()
    assert main(command) == 0
    assert main(command) == 0
    (commit,) = commits(hub, "run")
    assert files(commit)["model.safetensors"] == before
    assert f"{hub.url}/tester/run/commit/{commit.sha}" in caplog.text


def test_a_finished_run_can_be_pushed_later_to_a_branch_and_in_private(
    hub: FakeHub, recipe: Callable[..., Recipe]
) -> None:
    train(recipe("run", push_to_hub=False))
    assert not hub.requests
    train(recipe("run", hub_revision="v2", hub_private_repo=True))
    assert [commit.title for commit in commits(hub, "run", "refs/heads/v2")] == ["End of training"]
    assert commits(hub, "run") == []
    assert hub.repositories["model", "tester/run"].private


# --- from Python ---------------------------------------------------------------------------------


def test_push_to_hub_of_the_trainer_sends_the_best_model_and_its_figures(
    hub: FakeHub, recipe: Callable[..., Recipe]
) -> None:
    run = recipe("a", push_to_hub=False)
    trainer = make_trainer(run, *make_tokens(run))
    trainer.train()
    trainer.state.best_global_step = 6  # as if it had been the better one
    found = [e for e in trainer.state.log_history if "eval_loss" in e and e["step"] == 6]
    pushed: Any = trainer.push_to_hub("Mine")
    trainer.push_to_hub("Not again", blocking=False).result()  # type: ignore[union-attr]
    (commit,) = commits(hub, "a")
    assert (commit.title, commit.sha) == ("Mine", pushed.revision)
    assert set(files(commit)) == MODEL | {"README.md"}
    text = files(commit)["README.md"].decode()
    check_card(text, "step 6")
    assert f"loss {found[0]['eval_loss']:.4f}" in text


def test_it_takes_the_place_of_transformers_trainer(
    hub: FakeHub, model_folder: Path, tmp_path: Path
) -> None:
    """With arguments of transformers, on a model that was loaded, and by `save_model`."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    arguments = TrainingArguments(
        str(tmp_path / "mine"), max_steps=1, save_steps=1, use_cpu=True, push_to_hub=True
    )
    rows = [dict(tokenizer(text), labels=1) for text in TEXTS]
    model = AutoModelForSequenceClassification.from_pretrained(model_folder)
    trainer = PushingTrainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    trainer.save_model()
    (commit,) = commits(hub, "mine")  # the second push has nothing to add
    assert set(files(commit)) == MODEL | {"README.md"}
    card = files(commit)["README.md"].decode()
    assert "at step 1 of a run of 1, before its probabilities" in card
    assert "It was not validated then." in card
