"""The best numbers for a recipe: `Trainer.hyperparameter_search` with Optuna.

A *space* says which fields of a recipe to vary, and how: a YAML file such as

    learning_rate: {low: 0.0005, high: 0.01, log: true}
    num_train_epochs: {low: 1, high: 4}
    hidden_size: [128, 256, 512]

with a range, of whole numbers where both ends are, or the values to choose from. The fields are
those of the architecture and of training; reviews and tokenizer are the same in every trial.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ..configuration_sentiment_lstm import SentimentLSTMConfig
from ..evaluation.recipe_files import dump_recipe, read_yaml, rename_fields
from ..evaluation.results import without_secrets
from ..extras import require
from ..files import LOCK_FILE, naming_full_disk, write_text
from ..locks import hold
from .preprocessing import make_tokens
from .recipe import (
    ModelArguments,
    Recipe,
    RecipeError,
    RecipeTrainingArguments,
)
from .starting import classifier_config
from .trainer import make_trainer

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

STUDY_FILE = "study.db"
BEST_FILE = "best.yaml"

Space = Mapping[str, Any]

# What matters most for a small LSTM: the step, how much is forgotten on the way, and the size.
DEFAULT_SPACE: Space = {
    "learning_rate": {"low": 5e-4, "high": 1e-2, "log": True},
    "per_device_train_batch_size": [32, 64, 128],
    "embedding_dropout": {"low": 0.0, "high": 0.6},
    "classifier_dropout": {"low": 0.0, "high": 0.6},
    "embedding_size": [64, 128, 256],
    "hidden_size": [128, 256, 512],
}


def read_space(path: str | os.PathLike[str]) -> Space:
    """Read a space; see the top of this module.

    Args:
        path: A YAML file.

    Returns:
        Field -> range or values, ready for `tune`.

    Raises:
        FileNotFoundError: If there is no such file.
        RecipeError: If the file is no mapping, or a field cannot be varied in this way.
    """
    space = read_yaml(path)
    if not isinstance(space, dict) or not space:
        raise RecipeError(f"{path}: a space is a mapping, `field: values` on each line")
    return {name: _checked(name, values, str(path)) for name, values in space.items()}


def tune(recipe: Recipe, trials: int, space: Space = DEFAULT_SPACE) -> Path:
    """Train with many settings, and write the recipe of the best one.

    A trial trains as the recipe says, but is validated after every epoch and keeps no checkpoint;
    it counts by its lowest validation loss. Optuna proposes its settings (TPE, Bergstra et al.
    2011) and gives up a trial that is worse than the median of the others at that point. All
    trials are kept in `study.db`, so that the same call resumes after an interruption, and more
    trials can be added to those that are done.

    Args:
        recipe: What to train. The search lives beside its `output_dir`, in `OUTPUT_DIR-tune`.
        trials: How many trials there are to be in all, those of earlier calls included.
        space: Which fields to vary.

    Returns:
        The recipe of the best trial, `best.yaml`, which `train` takes.

    Raises:
        DiskFullError: If the disk is full; the trials that are done are kept.
        LockedError: If another process is at this search; the message says which.
        ModuleNotFoundError: If Optuna is not installed.
        RecipeError: If the folder holds the search of another recipe or space, a value of the
            space does not fit the architecture, or there are several processes.
        ReviewError: If reviews cannot be read.
    """
    require("tune")
    if trials < 1:
        raise RecipeError(f"trials is {trials}; use 1 or more")
    recipe.check_task("classification")
    if recipe.training.world_size > 1:
        raise RecipeError("a search runs in one process; start it without a launcher")
    _check_architectures(recipe, space)
    folder = Path(f"{recipe.training.output_dir}-tune")
    with naming_full_disk(folder), hold(folder / LOCK_FILE, str(folder)):
        return _tune(recipe, trials, space, folder)


def _tune(recipe: Recipe, trials: int, space: Space, folder: Path) -> Path:
    """Search in a folder that is held."""
    study = _study(folder, recipe, space)
    remaining = trials - len(_finished(study))
    if remaining > 0:
        _search(_for_trials(recipe, folder), space, study, remaining)
        study = _study(folder, recipe, space)
    best = study.best_trial
    logger.warning("best: trial %d, validation loss %.4f", best.number, best.value)
    output_dir = f"{recipe.training.output_dir}-best"
    fields = {**recipe.fields, **best.params, "output_dir": output_dir}
    return write_text(folder / BEST_FILE, dump_recipe(fields))


def _for_trials(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe as a trial runs it: in the search's folder, validated by epochs, nothing kept."""
    arguments = copy.copy(recipe.training)
    arguments.output_dir = str(folder)
    # Trainer gives a proposal the type of the value before it, and would round shares to 0.
    arguments.warmup_steps = float(arguments.warmup_steps)
    arguments.eval_delay = float(arguments.eval_delay)
    # Epochs, since steps mean something else for each batch size.
    arguments.eval_strategy = IntervalStrategy.EPOCH
    arguments.save_strategy = SaveStrategy.NO
    arguments.load_best_model_at_end = False
    arguments.push_to_hub = False  # what is worth it is the run that follows
    return dataclasses.replace(recipe, training=arguments)


def _search(recipe: Recipe, space: Space, study: optuna.Study, trials: int) -> None:
    import optuna

    tokens = make_tokens(recipe)
    model_fields = _names(ModelArguments)

    def suggest(trial: optuna.Trial | None, of_model: bool) -> dict[str, Any]:
        # The trainer makes a first model, of no trial, when it is made itself.
        names = [name for name in space if (name in model_fields) == of_model and trial is not None]
        return {name: _suggest(trial, name, space[name]) for name in names}

    trainer = make_trainer(
        recipe, *tokens, model_fields=lambda trial: suggest(trial, of_model=True)
    )
    trainer.hyperparameter_search(
        hp_space=lambda trial: suggest(trial, of_model=False),
        # By default this would be the sum of all metrics, after the last epoch and not the best.
        compute_objective=lambda metrics: min(
            entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry
        ),
        n_trials=trials,
        direction="minimize",
        backend="optuna",
        study_name=study.study_name,
        storage=study._storage,
        load_if_exists=True,
        # Not the seed alone, with which a search that resumes would repeat its first proposals.
        sampler=optuna.samplers.TPESampler(seed=recipe.training.seed + len(study.trials)),
        pruner=optuna.pruners.MedianPruner(),
    )


def _study(folder: Path, recipe: Recipe, space: Space) -> optuna.Study:
    """The study of this folder, new or as far as it came."""
    import optuna

    study = optuna.create_study(
        study_name="tune",
        storage=f"sqlite:///{folder / STUDY_FILE}",
        direction="minimize",
        load_if_exists=True,
    )
    # As the study gives it back: in JSON a key is a string, as of `labels: {1: 0}`.
    asked = json.loads(json.dumps({"recipe": without_secrets(recipe.fields), "space": dict(space)}))
    known = study.user_attrs.get("asked", asked)
    if {**known, "recipe": without_secrets(rename_fields(known["recipe"]))} != asked:
        raise RecipeError(
            f"{folder}: holds a search of another recipe or space; choose another output_dir, or "
            "delete the folder to start anew"
        )
    study.set_user_attr("asked", asked)
    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # the process was killed
    return study


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])


# --- spaces --------------------------------------------------------------------------------------


# What is set up once, before the first trial.
_FIXED = ("init_from", "early_stopping_patience", "output_dir", "eval_strategy", "save_strategy")


def _names(cls: type) -> set[str]:
    return {item.name for item in dataclasses.fields(cls)}


def _checked(name: str, values: Any, where: str) -> Any:
    if name not in _names(ModelArguments) | _names(RecipeTrainingArguments):
        raise RecipeError(
            f"{where}: `{name}` is no field of the architecture or of training, and only those "
            "can be varied"
        )
    if name in _FIXED:
        raise RecipeError(f"{where}: `{name}` is the same in every trial, and cannot be varied")
    if isinstance(values, list) and values:
        return values
    if isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        ends = [values["low"], values["high"]]
        try:
            # YAML takes 1e-3 for text.
            low, high = (float(end) if isinstance(end, str) else end for end in ends)
            if low < high and (low > 0 or not values.get("log")):
                return {**values, "low": low, "high": high}
        except (TypeError, ValueError):
            pass
    raise RecipeError(
        f"{where}: `{name}` must be a list of values, or {{low: ..., high: ...}} with low below "
        f"high, and with `log: true` low above 0; got {values!r}"
    )


def _suggest(trial: optuna.Trial | None, name: str, values: Any) -> Any:
    assert trial is not None
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    suggest: Any = trial.suggest_float
    if isinstance(values["low"], int) and isinstance(values["high"], int):
        suggest = trial.suggest_int
    return suggest(name, values["low"], values["high"], log=values.get("log", False))


def _check_architectures(recipe: Recipe, space: Space) -> None:
    """Find values that no model can have now, and not when a trial comes to them."""
    for name in space.keys() & _names(ModelArguments):
        values = space[name]
        ends = values if isinstance(values, list) else [values["low"], values["high"]]
        for value in ends:
            try:
                if classifier_config(recipe, {name: value}) is None:
                    SentimentLSTMConfig(**(dataclasses.asdict(recipe.model) | {name: value}))
            except ValueError as error:
                raise RecipeError(f"space: {error}") from error
