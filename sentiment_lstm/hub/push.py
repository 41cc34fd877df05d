"""A model folder to the Hugging Face Hub: checked first, then sent in one commit.

Back again it comes with the tools of the Hub, `hf download USER/NAME --revision REVISION` or
`huggingface_hub.snapshot_download("USER/NAME", revision=...)`, and every `from_pretrained` loads
`USER/NAME` as it is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

# Any failure of the connection. The client took httpx first and httpx2 later, and this is where
# both of them are found.
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]
from huggingface_hub.hf_api import ModelInfo
from transformers import PreTrainedModel

from ..evaluation.figures import (
    ACCURACY_BY_LENGTH,
    BEHAVIOUR,
    CONFUSION_MATRIX,
    CURVE,
    LEARNING_CURVES,
    RELIABILITY_DIAGRAM,
)
from ..evaluation.recipe_files import dump_recipe, read_yaml
from ..evaluation.results import Results, read_results, redact_recipe
from ..files import (
    ABLATION_FILE,
    BASELINES_FILE,
    CARD_FILE,
    RECIPE_FILE,
    RESULTS_FILE,
    dump_json,
)
from ..inference.predictor import ModelError, load_model
from ..modeling_sentiment_lstm import SentimentLSTMPreTrainedModel
from .ablations import read_ablation
from .baselines import dump_baselines, find_baselines, read_baselines, redact_baselines
from .model_card import CardError, make_card

# What belongs to a model folder, by name: a closed list. Anything else (checkpoints, optimizer
# states, pickled arguments, logs, hidden files, other pictures) stays at home; the code files are
# those that config.json names.
_WEIGHTS = r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"
_TOKENIZER = r"tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json"
_OTHER = "|".join(
    map(
        re.escape,
        ["config.json", "LICENSE", RECIPE_FILE, RESULTS_FILE, BASELINES_FILE, CARD_FILE],
    )
)
_PICTURES = "|".join(
    map(
        re.escape,
        [
            LEARNING_CURVES,
            CONFUSION_MATRIX,
            RELIABILITY_DIAGRAM,
            ACCURACY_BY_LENGTH,
            BEHAVIOUR,
            CURVE,
        ],
    )
)
_SENT = re.compile("|".join([_WEIGHTS, _TOKENIZER, _OTHER, _PICTURES]))
_AGAIN = "The commit is there as a whole or not at all, so it is safe to push again"


class HubError(ValueError):
    """A push that did not happen; the message says why and what to do."""


@dataclass(frozen=True)
class Push:
    """What a push sends or has sent.

    Args:
        files: Name in the repository -> size in bytes. The Hub keeps what it has already.
        url: Address of the commit, or of the pull request; None when nothing was sent.
        revision: What to pull to get it: the id of the commit; None when nothing was sent.
    """

    files: dict[str, int]
    url: str | None = None
    revision: str | None = None


def push(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    message: str | None = None,
    dry_run: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> Push:
    """Send a model folder to the Hub in one commit.

    The folder is loaded and classifies a text first. Then go weights, config, tokenizer, the code
    files that the config names, card, results, recipe, baselines and the pictures that training
    and `scripts/baselines.py` draw; nothing else goes, and no file that lies outside the folder.
    Where the folder has no `README.md`, the card is made of `results.json` and, if there is one,
    `baselines.json`; without results it is short, and says so. The folder itself never changes.
    Results, recipe and baselines are sent without the names of local folders (see
    `Results.redact`).

    What an earlier push left and the folder does not have is deleted: weights and tokenizer, which
    would be loaded with the new ones, and results, recipe and pictures, which are not of them. All
    other files of the repository stay.

    Args:
        folder: A model folder, as training or `save_pretrained` leaves it.
        repo_id: `USER/NAME` or `ORGANISATION/NAME`. It is made if it does not exist.
        private: Make a new repository private. An existing one that is public is refused.
        revision: Branch to commit to; it is made from `main` if it does not exist. Defaults to
            `main`.
        create_pr: Propose the commit as a pull request; the repository must exist.
        message: First line of the commit message. Defaults to one that names the package.
        dry_run: Check, and say what would be sent, without a word to the network.
        token: Access token. Defaults to the one of the environment or of `hf auth login`.
        endpoint: Address of the Hub. Defaults to `HF_ENDPOINT` or the public one.

    Returns:
        What was sent, and where it is. If the repository has the very same files, there is no new
        commit, and the latest one is returned.

    Raises:
        HubError: If the folder is no working model, there is no token, the Hub refuses, the
            repository changes during the push or the connection fails. Pushing again is safe.
    """
    _check_target(repo_id, revision, create_pr)
    contents = _contents(Path(folder), repo_id, check_folder(folder))
    if dry_run:
        return Push(_sizes(contents))
    return send(
        contents,
        repo_id,
        private=private,
        revision=revision,
        create_pr=create_pr,
        message=message,
        token=token,
        endpoint=endpoint,
    )


def send(
    contents: Mapping[str, Path | bytes],
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    message: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Push:
    """Send the files of a model in one commit, in place of those of an earlier one; see `push`.

    Args:
        contents: Name in the repository -> a file, or its content. A model, and whatever else
            belongs to it; where files of a folder are among them, no others stay in that folder.
        repo_id: See `push`, as for all other arguments.
        private: See there.
        revision: See there.
        create_pr: See there.
        message: See there.
        token: See there.
        endpoint: See there.

    Returns:
        What was sent, and where it is.

    Raises:
        HubError: See `push`.
    """
    api = _api(token, endpoint)
    with _clear_errors(repo_id, revision):
        state = _prepare(api, repo_id, private=private, revision=revision, create_pr=create_pr)
        commit: CommitInfo = api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(name, content) for name, content in contents.items()),
                *(CommitOperationDelete(name) for name in _outdated(state, contents)),
            ],
            commit_message=message or "Push a model of sentiment_lstm",
            revision=revision,
            create_pr=create_pr,
            # Whatever somebody else commits from here on is neither overwritten nor mixed in.
            parent_commit=state.sha,
        )
    return Push(_sizes(contents), commit.pr_url or commit.commit_url, commit.oid)


def make_repository(
    name: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Make a repository and a branch where they are missing: what a later push would fail for.

    Args:
        name: `USER/NAME`, `ORGANISATION/NAME` or the name of a repository of the user's own.
        private: See `push`, as for all other arguments.
        revision: See there.
        token: See there.
        endpoint: See there.

    Returns:
        The name in full.

    Raises:
        HubError: If there is no token, the Hub refuses, or the connection fails.
    """
    api = _api(token, endpoint)
    with _clear_errors(name, revision):
        if "/" not in name:
            name = f"{api.whoami()['name']}/{name}"
        _check_target(name, revision, False)
        _prepare(api, name, private=private, revision=revision, create_pr=False)
    return name


def stage(
    folder: str | os.PathLike[str], repo_id: str, output: str | os.PathLike[str]
) -> dict[str, int]:
    """Write what a push would send into a folder: the repository as the Hub would show it.

    Args:
        folder: A model folder.
        repo_id: What the card calls it, `USER/NAME`.
        output: Where to write; files of other names that are there stay.

    Returns:
        Name in the repository -> size in bytes.

    Raises:
        HubError: If the folder is no working model.
    """
    _check_target(repo_id, None, False)
    folder, output = Path(folder), Path(output)
    contents = {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in _contents(folder, repo_id, check_folder(folder)).items()
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (output / name).write_bytes(content)
    return {name: len(content) for name, content in contents.items()}


def card_of(folder: str | os.PathLike[str], repo_id: str | None, figures: Sequence[str]) -> str:
    """The card of a model folder, made of its results, baselines and ablations.

    Args:
        folder: A model folder with the results of a run.
        repo_id: What the card calls it.
        figures: Pictures to show, by file name.

    Returns:
        Markdown.

    Raises:
        ValueError: If there are no results, or one of the files is not what it should be.
    """
    folder = Path(folder)
    if not (folder / RESULTS_FILE).exists():
        raise CardError(
            f"no {RESULTS_FILE} to make the card of: train with `sentiment-lstm train`, or write a "
            f"{CARD_FILE}"
        )
    baselines, ablation = find_baselines(folder), folder / ABLATION_FILE
    return str(
        make_card(
            read_results(folder / RESULTS_FILE),
            repo_id=repo_id,
            baselines=read_baselines(baselines) if baselines is not None else [],
            ablation=read_ablation(ablation) if ablation.exists() else None,
            figures=figures,
        )
    )


def check_folder(folder: str | os.PathLike[str]) -> PreTrainedModel:
    """Load a model folder, and see that it has what others need to load it.

    Args:
        folder: The folder.

    Returns:
        The model.

    Raises:
        HubError: If a file is missing or damaged, or a link out of the folder, weights and config
            do not fit each other, or the model does not answer.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HubError(f"{folder}: no such folder")
    _refuse_links(folder, _check_code(folder))
    if not (folder / "tokenizer.json").is_file():
        raise HubError(f"{folder}: no tokenizer.json: save the tokenizer with `save_pretrained`")
    try:
        return load_model(folder)[0]
    except ModelError as error:
        raise HubError(str(error)) from error


def model_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """What of a folder makes a model load: weights, config, tokenizer and code, by name.

    Args:
        folder: A model folder or a checkpoint.

    Raises:
        HubError: If the code is missing.
    """
    code = _check_code(Path(folder))
    loaded = re.compile(rf"{_WEIGHTS}|{_TOKENIZER}|config\.json")
    return {
        path.name: path
        for path in sorted(Path(folder).iterdir())
        if loaded.fullmatch(path.name) or path.name in code
    }


# --- the folder ----------------------------------------------------------------------------------


def _refuse_links(folder: Path, code: Sequence[str]) -> None:
    """Raise for a link out of the folder: what it leads to was not meant to be sent.

    In the cache of the Hub's client every file is a link, into a folder of the same repository.
    """
    home = Path(os.path.realpath(folder))
    inside = [home]
    if home.parent.name == "snapshots" and (home.parents[1] / "blobs").is_dir():
        inside.append(home.parents[1] / "blobs")
    for path in sorted(folder.iterdir()):
        named = _SENT.fullmatch(path.name) or path.name in (*code, ABLATION_FILE, "peers.json")
        # Not `resolve`, which raises for links in a circle.
        target = Path(os.path.realpath(path))
        if named and path.is_symlink() and not any(map(target.is_relative_to, inside)):
            raise HubError(f"{path}: a link out of the folder: delete it, or put the file there")


def _check_code(folder: Path) -> list[str]:
    """The code files that travel with the model, by name."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        classes = config.get("auto_map", {}).values()
    except FileNotFoundError:
        raise HubError(f"{folder}: no config.json, so this is no model folder") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise HubError(f"{folder / 'config.json'}: not a config: {_line(error)}") from error
    names = sorted({f"{str(name).split('.')[0]}.py" for name in classes})
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise HubError(
            f"{folder}: {', '.join(missing) or 'the code of the model'} is missing, without which "
            "it loads nowhere else: import sentiment_lstm, load the folder and save it again"
        )
    return names


def _contents(folder: Path, repo_id: str, model: PreTrainedModel) -> dict[str, Path | bytes]:
    """What to send by name: a file as it is, or text made of it."""
    code = _check_code(folder)
    contents: dict[str, Path | bytes] = {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and (_SENT.fullmatch(path.name) or path.name in code)
    }
    try:
        results: Results | None = None
        if RESULTS_FILE in contents:
            results = read_results(folder / RESULTS_FILE)
            contents[RESULTS_FILE] = dump_json(dataclasses.asdict(results.redact())).encode()
        if (path := find_baselines(folder)) is not None:
            baselines = redact_baselines(read_baselines(path), results)
            contents[BASELINES_FILE] = dump_baselines(baselines).encode()
        if RECIPE_FILE in contents:
            recipe = read_yaml(folder / RECIPE_FILE)
            contents[RECIPE_FILE] = dump_recipe(redact_recipe(recipe)).encode()
        if CARD_FILE not in contents:
            figures = [name for name in contents if re.fullmatch(_PICTURES, name)]
            if results is None and isinstance(model, SentimentLSTMPreTrainedModel):
                card = model.make_card(repo_id)
            else:
                card = card_of(folder, repo_id, figures)
            contents[CARD_FILE] = card.encode()
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise HubError(f"{folder}: {_line(error)}") from error
    return contents


def _sizes(contents: Mapping[str, Path | bytes]) -> dict[str, int]:
    return {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size
        for name, content in contents.items()
    }


# --- the Hub -------------------------------------------------------------------------------------


def _api(token: str | None, endpoint: str | None) -> HfApi:
    token = token or get_token()
    if not token:
        raise HubError(
            "no token: log in with `hf auth login`, or set HF_TOKEN to an access token that may "
            "write (see https://huggingface.co/settings/tokens)"
        )
    return HfApi(endpoint=endpoint, token=token)


def _check_target(repo_id: str, revision: str | None, create_pr: bool) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise HubError(f"{repo_id}: no name of a repository: give it in full, as USER/NAME")
    if revision and create_pr:
        raise HubError("a pull request is made to `main`: give a revision or create_pr, not both")


def _prepare(
    api: HfApi, repo_id: str, *, private: bool, revision: str | None, create_pr: bool
) -> ModelInfo:
    """Make the repository and the branch where they are missing; the state to build upon."""
    try:
        info = api.model_info(repo_id)
    except RepositoryNotFoundError:
        if create_pr:
            raise
        api.create_repo(repo_id, private=private, exist_ok=True)
        info = api.model_info(repo_id)
    if private and not info.private:
        raise HubError(
            f"{repo_id} exists and is public: make it private in its settings first, or push "
            "without `private`"
        )
    if revision is None:
        return info
    try:
        return api.model_info(repo_id, revision=revision)
    except RevisionNotFoundError:
        api.create_branch(repo_id, branch=revision, exist_ok=True)
        return api.model_info(repo_id, revision=revision)


def _outdated(state: ModelInfo, contents: Mapping[str, Path | bytes]) -> list[str]:
    """Files of an earlier push that are not of the new weights, or have another name now."""
    present = [sibling.rfilename for sibling in state.siblings or []]
    figures = "|".join(map(re.escape, (RESULTS_FILE, RECIPE_FILE, BASELINES_FILE)))
    old = re.compile(rf"{_WEIGHTS}|{_TOKENIZER}|{_PICTURES}|{figures}|peers\.json")
    folders = {f"{path.parent}/" for name in contents if (path := PurePosixPath(name)).parent.name}
    return [
        name
        for name in present
        if name not in contents and (old.fullmatch(name) or name.startswith(tuple(folders)))
    ]


@contextmanager
def _clear_errors(repo_id: str, revision: str | None) -> Iterator[None]:
    """Turn whatever the client raises into one line that says what happened and what to do."""
    try:
        yield
    except HubError:
        raise
    except (TransportError, OSError, RuntimeError, ValueError) as error:
        # The client wraps a failed upload of a large file in a RuntimeError.
        cause = error.__cause__ if isinstance(error, RuntimeError) else None
        raise HubError(_explain(cause or error, repo_id, revision)) from error


def _explain(error: BaseException, repo_id: str, revision: str | None) -> str:
    if isinstance(error, HfHubHTTPError):
        return _explain_answer(error, repo_id, revision)
    if constants.HF_HUB_OFFLINE:
        return "the environment says HF_HUB_OFFLINE=1: unset it to push"
    if isinstance(error, (TransportError, ConnectionError, TimeoutError)):
        reason = _line(error) or type(error).__name__
        return f"the connection to the Hub failed ({reason}). {_AGAIN}"
    return f"{repo_id}: {_line(error)}"


def _explain_answer(error: HfHubHTTPError, repo_id: str, revision: str | None) -> str:
    status = error.response.status_code
    said = _line(error.server_message or "") or error.response.reason_phrase
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{repo_id}: the Hub has no such repository, or the token may not see it: check the "
            "name and the token"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id}: there is no revision {revision or 'main'}"
    explanations = {
        401: "the Hub does not accept the token: log in with `hf auth login`, or set HF_TOKEN",
        403: f"the token may not write to {repo_id} ({said}): use one with the right to write "
        "there, or propose the change as a pull request",
        412: f"{repo_id} was changed by somebody else during the push, and nothing was sent: look "
        "at the change, then push again",
        429: "the Hub asks for patience (too many requests): push again later",
    }
    if status >= 500:
        return f"the Hub has a problem of its own ({status} {said}). {_AGAIN}"
    return explanations.get(status, f"{repo_id}: the Hub refuses the push ({status} {said})")


def _line(error: Any) -> str:
    """The message as one line."""
    return " ".join(str(error).split())
