"""The schema of `results.json`: everything that is known of a training run.

A run claims its folder with a [`Run`] (`run.json`): what it is a run of. When it is finished its
[`Results`] are written (`results.json`), which hold the same and what came of it. Metrics are
nested, split -> source -> figures.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..data.labels import BINARY, NUMBER, LabelSet, ProblemType
from ..data.sources import SPLITS, basename, parse_source, public_names
from ..files import write_json

# Split -> source -> something about it.
BySource = dict[str, dict[str, dict[str, Any]]]

_R = TypeVar("_R", bound="Run")
# Figures that each set of reviews needs for a card.
_FIGURES = ("reviews", "accuracy", "accuracy_low", "accuracy_high")
_NUMBER_FIGURES = ("reviews", "mean_squared_error", "mean_absolute_error")


class ResultsError(ValueError):
    """Results that cannot be used; the message names the file and what is missing or wrong."""


@dataclass(frozen=True)
class Run:
    """What a run is a run of: the same run gives the same result, whenever it is done.

    Args:
        recipe: The fields of the recipe.
        reviews: Split -> source -> `reviews` (number), `fingerprint` (of their content) and, of
            labelled ones, `positive` (number); with other labels `labels`, name -> number; of
            numbers `lowest` and `highest`.
        bf16: Whether training computes in bf16.
        model: Name of the class that is trained.
        files: Field of the recipe -> SHA-256 of the file that it brings in (`init_from`,
            `soft_labels`); `init_from/NAME` are the further files of a classifier.
        written: File of the run's own folder -> SHA-256: the tokenizer's as soon as they are
            there, all that the model consists of when the run is finished. Empty where an earlier
            version wrote them.
    """

    recipe: dict[str, Any]
    reviews: BySource
    bf16: bool
    model: str
    files: dict[str, str]
    written: dict[str, str] = dataclasses.field(default_factory=dict, kw_only=True)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write a JSON file, as a whole or not at all; tokens in the recipe stay out of it."""
        content = dataclasses.asdict(self)
        content = {name: value for name, value in content.items() if value is not None}
        return write_json(path, content | {"recipe": without_secrets(self.recipe)})

    def redact(self: _R) -> _R:
        """A copy without what concerns the machine that it was made on: folders and tokens.

        A file of reviews keeps its name and its slice (`x.ft.txt:train[:100]`), a data set on the
        Hub its id. Redacting once more changes nothing.
        """
        names = self.public_names()
        return dataclasses.replace(
            self,
            recipe=redact_recipe(self.recipe, names),
            reviews=redact_sources(self.reviews, names),
        )

    def public_names(self) -> dict[str, str]:
        """What to call each source in public: without folders, and each one differently."""
        return public_names(source for parts in self.reviews.values() for source in parts)


@dataclass(frozen=True)
class Results(Run):
    """What came of a finished run, and the run itself.

    Args:
        recipe: See `Run`, as for the fields not named here.
        reviews: See there.
        bf16: See there.
        model: See there.
        files: See there.
        written: See there.
        seed: Of the run.
        parameters: Their number.
        vocab_size: Words, `_PAD` and `_UNK` included.
        training: `steps`, `epochs`, `best_step`, `best_validation_loss` (nats), `log` (what
            Trainer logged) and `resumed_from` (name of a checkpoint, or none).
        machine: `device`, `threads`, `processes`, `bf16` and `python`.
        versions: Package -> version.
        metrics: Split -> source -> what `measure` gives; empty for a language model.
        wall_time_seconds: `prepare`, `train` and `evaluate`.
        behaviour: What `Behaviour.as_dict` gives; None if it was not measured.
        label_set: What `LabelSet.as_dict` gives; None for NEGATIVE and POSITIVE.
        averaged: True where the weights are the mean of what the run made and of what it started
            from; else None.
    """

    seed: int
    parameters: int
    vocab_size: int
    training: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    metrics: BySource
    wall_time_seconds: dict[str, float]
    behaviour: dict[str, Any] | None = None
    label_set: dict[str, Any] | None = None
    averaged: bool | None = None

    @property
    def labels(self) -> LabelSet:
        """The labels of the run."""
        return BINARY if self.label_set is None else LabelSet.from_dict(self.label_set)

    def parts(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Split, source and figures of each set of reviews that was measured."""
        for split, sources in self.metrics.items():
            for source, figures in sources.items():
                yield split, source, figures

    def metrics_by_name(self) -> dict[str, dict[str, Any]]:
        """Figures by what pictures and tables call a set of reviews: `validation/dev.ft.txt`."""
        return metrics_by_name(self.metrics)

    def number_of_reviews(self, split: str) -> int:
        """How many reviews a split has, over its sources."""
        return sum(facts["reviews"] for facts in self.reviews.get(split, {}).values())

    def redact(self) -> Results:
        """See `Run.redact`; the names in the metrics are redacted as well."""
        redacted = super().redact()
        return dataclasses.replace(
            redacted, metrics=redact_sources(self.metrics, self.public_names())
        )


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read what a folder has been claimed for.

    Args:
        path: A `run.json`, or a `results.json`: what is finished is a run too.

    Raises:
        FileNotFoundError: If there is no such file.
        ResultsError: If it holds anything else.
    """
    return _read(path, Run)


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read the results of a finished run, those of version 0.1 too.

    Args:
        path: A `results.json`.

    Raises:
        FileNotFoundError: If there is no such file.
        ResultsError: If it is not what a finished run writes; the message names what is missing.
    """
    return _read(path, Results)


def without_secrets(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe without those that no file may hold: access tokens."""
    return {name: value for name, value in recipe.items() if not is_secret(name)}


def redact_recipe(
    recipe: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Take folders and tokens from the fields of a recipe, and where it is pushed.

    Others who run it again would be refused there.

    Args:
        recipe: Flat fields, as in `recipe.yaml`.
        names: Source of reviews -> what to call it. Defaults to its public name.

    Returns:
        A copy for others to see.
    """
    listed = {split: _listed(recipe.get(split)) for split in (*SPLITS, "unlabelled")}
    named = public_names(source for sources in listed.values() for source in sources)
    named |= names or {}
    redacted: dict[str, Any] = {}
    for field, value in recipe.items():
        if is_secret(field) or field == "push_to_hub" or field.startswith("hub_"):
            continue
        if field == "labels":
            redacted[field] = value  # names of labels, in which a slash is none of a folder
        elif listed.get(field):
            redacted[field] = [named[source] for source in listed[field]]
        else:
            redacted[field] = _without_folders(value)
    return redacted


def is_secret(field: str) -> bool:
    """Whether a field of a recipe lets somebody in: an access token, such as `hub_token`."""
    return field.endswith("token")


def metrics_by_name(metrics: BySource) -> dict[str, dict[str, Any]]:
    """See `Results.metrics_by_name`; for models that are no run of ours, such as baselines."""
    return {
        f"{split}/{source}": figures
        for split, sources in metrics.items()
        for source, figures in sources.items()
    }


def redact_sources(by_source: BySource, names: Mapping[str, str]) -> BySource:
    """The same with public names of the sources.

    Args:
        by_source: Split -> source -> something.
        names: What to call a source; one that is not there gets its own public name.
    """
    return {
        split: {
            names.get(source) or parse_source(source).public: facts
            for source, facts in parts.items()
        }
        for split, parts in by_source.items()
    }


def nest_metrics(metrics: Mapping[str, Any]) -> BySource:
    """Metrics as split -> source -> figures, from that or from version 0.1's `split/source`."""
    nested: BySource = {}
    for name, found in metrics.items():
        split, slash, source = name.partition("/")
        if slash:
            nested.setdefault(split, {})[source] = found
        elif isinstance(found, Mapping):
            nested.setdefault(name, {}).update(found)
        else:
            nested[name] = found  # which whoever reads it will find
    return nested


def figures_missing(found: Any, problem_type: ProblemType = BINARY.problem_type) -> list[str]:
    """Which of the figures that a card needs a set of reviews lacks."""
    known = found if isinstance(found, Mapping) else {}
    needed = _NUMBER_FIGURES if problem_type == NUMBER else _FIGURES
    return [name for name in needed if not is_number(known.get(name))]


def behaviour_missing(found: Any) -> list[str]:
    """What a part `behaviour` lacks that a card needs; nothing if there is no such part (None)."""
    if found is None:
        return []
    known = found if isinstance(found, Mapping) else {}
    missing = [] if isinstance(known.get("suite"), str) else ["suite"]
    missing += [name for name in ("cases", "failure_rate") if not is_number(known.get(name))]
    capabilities = known.get("capabilities")
    if not isinstance(capabilities, Mapping) or not capabilities:
        return [*missing, "capabilities"]
    return missing + [
        f"{name} of {capability}"
        for capability, figures in capabilities.items()
        for name in ("cases", "failure_rate")
        if not isinstance(figures, Mapping) or not is_number(figures.get(name))
    ]


# --- reading -------------------------------------------------------------------------------------


def _read(path: str | os.PathLike[str], kind: type[_R]) -> _R:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path}: no valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: results are an object, not {type(content).__name__}")
    content = _upgraded(content)
    fields = dataclasses.fields(kind)
    needed = [field.name for field in fields if field.default is dataclasses.MISSING]
    missing = [name for name in needed if name not in content]
    if missing:
        raise ResultsError(
            f"{path}: lacks {', '.join(missing)}: these are not the results of a finished run, "
            "which `sentiment-lstm train` writes"
        )
    found = kind(**{field.name: content[field.name] for field in fields if field.name in content})
    for name in needed:
        _check_type(path, name, getattr(found, name))
    if isinstance(found, Results):
        if lacking := behaviour_missing(found.behaviour):
            raise ResultsError(f"{path}: behaviour: lacks {', '.join(lacking)}")
        try:
            labels = found.labels
        except ValueError as error:
            raise ResultsError(f"{path}: label_set: {error}") from error
        for split, source, figures in found.parts():
            if lacking := figures_missing(figures, labels.problem_type):
                raise ResultsError(f"{path}: {split}, {source}: lacks {', '.join(lacking)}")
    return found


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """What version 0.1 wrote, in the schema of now."""
    # The first results had none of these, when all models were classifiers that brought nothing in.
    kind = "SentimentLSTMForSequenceClassification"
    content = {"model": kind, "files": {}, "written": {}} | content
    if isinstance(content.get("metrics"), Mapping):
        content["metrics"] = nest_metrics(content["metrics"])
    if "bf16" not in content and isinstance(content.get("machine"), Mapping):
        content["bf16"] = content["machine"].get("bf16", False)
    return content


_SCALARS: dict[str, type | tuple[type, ...]] = {
    "bf16": bool,
    "model": str,
    "seed": int,
    "parameters": int,
    "vocab_size": int,
}


def _check_type(path: str | os.PathLike[str], name: str, value: Any) -> None:
    expected: Any = _SCALARS.get(name, Mapping)
    if not isinstance(value, expected):
        raise ResultsError(f"{path}: `{name}` is {value!r:.60}, which is not what training writes")
    if name in ("reviews", "metrics"):
        for split, sources in value.items():
            if not isinstance(sources, Mapping):
                raise ResultsError(f"{path}: `{name}` of {split} is {sources!r:.60}, not by source")
            for source, facts in sources.items():
                if not isinstance(facts, Mapping):
                    raise ResultsError(f"{path}: `{name}` of {split}, {source}: {facts!r:.60}")


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number: true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# --- redacting -----------------------------------------------------------------------------------


def _listed(sources: Any) -> list[str]:
    if sources is None:
        return []
    return list(map(str, sources)) if isinstance(sources, (list, tuple)) else [str(sources)]


def _without_folders(value: Any) -> Any:
    if isinstance(value, str):
        return basename(value)
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    return value
