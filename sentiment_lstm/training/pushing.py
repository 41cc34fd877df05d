"""A run on its way to the Hub: its checkpoints while it is trained, its model folder in the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Sized
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from transformers import TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import HubStrategy
from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils.hub import PushInProgress

from ..files import CARD_FILE, dump_json
from ..hub.push import HubError, Push, make_repository, model_files, push, send
from ..modeling_sentiment_lstm import SentimentLSTMPreTrainedModel
from ..tokenization import save_tokenizer
from .checkpoints import STATE_FILE, SealingTrainer, dump_manifest

logger = logging.getLogger(__name__)


def find_repository(
    arguments: TrainingArguments, token: str | None = None, private: bool | None = None
) -> str:
    """The repository of a run, by its full name; it is made if it does not exist.

    Args:
        arguments: `hub_model_id`, by default the name of the output folder, and what else of
            `hub_*` says where to push.
        token: Access token. Defaults to that of the arguments.
        private: Whether a new repository is private. Defaults to what the arguments say.

    Raises:
        HubError: If a push to it would fail now.
    """
    return make_repository(
        arguments.hub_model_id or Path(str(arguments.output_dir)).absolute().name,
        private=bool(arguments.hub_private_repo if private is None else private),
        revision=arguments.hub_revision,
        token=token or arguments.hub_token,
    )


def push_finished(folder: Path, repo_id: str, arguments: TrainingArguments) -> Push:
    """Push the folder of a finished run, with its card and in one commit.

    Args:
        folder: The model folder.
        repo_id: The repository, as `find_repository` names it.
        arguments: See there.

    Raises:
        HubError: If the push fails; the message says that the same command tries again.
    """
    try:
        pushed = push(
            folder,
            repo_id,
            revision=arguments.hub_revision,
            message="End of training",
            token=arguments.hub_token,
        )
    except HubError as error:
        raise HubError(
            f"{folder}: the run is finished, but was not pushed, which the same command tries "
            f"again: {error}"
        ) from error
    logger.warning("%s: pushed to %s", folder, pushed.url)
    return pushed


class PushingTrainer(SealingTrainer):
    """A trainer whose pushes load: weights, config, tokenizer, code and an honest card, at once.

    It takes the place of `Trainer` for any of our models, with transformers' own arguments too.
    `hub_strategy` means what it means there. What is pushed in training is pushed beside it, and
    a push that fails does not stop it: the next one sends everything.
    """

    hub_model_id: str | None  # type: ignore[assignment]
    push_in_progress: Any

    @cached_property
    def _pusher(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="push")

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository; `Trainer` does so first of all. See `find_repository`."""
        if self.is_world_process_zero():
            self.hub_model_id = find_repository(self.args, token, private)
            self.push_in_progress = None

    def push_to_hub(  # type: ignore[override] # no fields of a card that says what is known itself
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
    ) -> Push | Future[Push] | None:
        """Push the model as it is now, in one commit.

        Args:
            commit_message: First line of the commit message.
            blocking: Whether to wait until it is there.
            token: Access token. Defaults to that of the arguments.
            revision: Branch. Defaults to that of the arguments.
            private: See `init_hf_repo`.

        Returns:
            What was sent, or will be; `None` if this is not the main process.

        Raises:
            HubError: If the push fails.
        """
        if not self.is_world_process_zero():
            return None
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        with TemporaryDirectory() as folder:
            self._model().save_pretrained(folder)
            if self.processing_class is not None:
                save_tokenizer(cast("Any", self.processing_class), folder)
            contents = _read(model_files(folder))
        contents[CARD_FILE] = self._card()
        self._finish_current_push()
        job = self._pusher.submit(
            send,
            contents,
            str(self.hub_model_id),
            revision=revision or self.args.hub_revision,
            message=commit_message,
            token=token or self.args.hub_token,
        )
        return job.result() if blocking else job

    def weights_to_push(self, checkpoint: Path) -> Path:
        """The weights of a checkpoint that were validated."""
        return checkpoint / SAFE_WEIGHTS_NAME

    def push_checkpoint(self, checkpoint: Path) -> None:
        """Push a checkpoint that is whole, as `hub_strategy` says; do not wait for it.

        Args:
            checkpoint: The checkpoint.
        """
        strategy = self.args.hub_strategy
        if not self.is_world_process_zero() or strategy == HubStrategy.END:
            return
        busy = self.push_in_progress is not None and not self.push_in_progress.is_done()
        if busy and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        # All is read now: the checkpoint may be gone before it has been sent.
        contents = _read(
            model_files(checkpoint) | {SAFE_WEIGHTS_NAME: self.weights_to_push(checkpoint)}
        )
        contents[CARD_FILE] = self._card()
        if strategy != HubStrategy.EVERY_SAVE:
            last = strategy == HubStrategy.CHECKPOINT
            prefix = "last-checkpoint" if last else checkpoint.name
            for name, content in _to_resume_from(checkpoint).items():
                contents[f"{prefix}/{name}"] = content
        job = self._pusher.submit(self._try_to_send, contents, self.state.global_step)
        if busy:
            self.push_in_progress.jobs.append(job)
        else:
            self.push_in_progress = PushInProgress(cast("Any", [job]))

    def _try_to_send(self, contents: dict[str, bytes], step: int) -> None:
        try:
            send(
                contents,
                str(self.hub_model_id),
                revision=self.args.hub_revision,
                message=f"Training in progress, step {step}",
                token=self.args.hub_token,
            )
        except HubError as error:
            logger.warning("step %d was not pushed: %s", step, error)

    def _model(self) -> SentimentLSTMPreTrainedModel:
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        return cast("SentimentLSTMPreTrainedModel", model)

    def _card(self) -> bytes:
        """A card that says which step the model is of, and what the validation then found."""
        log, step = self.state.log_history, self.state.global_step
        if any("train_runtime" in entry for entry in log) and self.args.load_best_model_at_end:
            step = self.state.best_global_step or step
        found = [entry for entry in log if "eval_loss" in entry and entry["step"] == step]
        said = "It was not validated then."
        if found:
            names = {"eval_accuracy": "accuracy", "eval_f1": "F1", "eval_loss": "loss"}
            figures = ", ".join(
                f"{name} {found[-1][key]:.4f}" for key, name in names.items() if key in found[-1]
            )
            reviews = self.eval_dataset
            number = f"{len(reviews):,} " if isinstance(reviews, Sized) else ""
            said = (
                f"On the {number}validation reviews: {figures}. As\n"
                "these choose the checkpoint, the figures are optimistic."
            )
        known = (
            f"This is the model at step {step:,} of a run of {self.state.max_steps:,}, before its "
            f"probabilities\nare calibrated. {said}"
        )
        return self._model().make_card(str(self.hub_model_id), known=known).encode()


def _read(files: dict[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files.items()}


def _to_resume_from(checkpoint: Path) -> dict[str, bytes]:
    """The files of a checkpoint as others may see them, and a manifest of just these."""
    files = {path.name: path for path in sorted(checkpoint.iterdir()) if path.is_file()}
    files.pop(TRAINING_ARGS_NAME, None)  # a pickle that nobody resumes from, full of local paths
    contents = _read(files)
    state = json.loads(contents[STATE_FILE])
    if state.get("best_model_checkpoint"):
        state["best_model_checkpoint"] = Path(state["best_model_checkpoint"]).name
    contents[STATE_FILE] = dump_json(state).encode()
    return contents | dump_manifest(contents)
