"""The service of docs/serve.md: everyone gets the answer to their own text, or is told why not."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from support import ROOT, code_blocks, serving

from sentiment_lstm import DEFAULT_MODEL, SentimentPredictor
from sentiment_lstm.inference.predictor import Prediction

(SERVICE,) = code_blocks((ROOT / "docs/serve.md").read_text(encoding="utf-8"), "python")


class Recorder:
    """Answers as a predictor does, and keeps what it was asked; it waits for leave to begin."""

    def __init__(self, predictor: SentimentPredictor) -> None:
        self.predictor = predictor
        self.batches: list[list[str]] = []
        self.begun, self.leave = threading.Event(), threading.Event()

    def predict(self, texts: Iterable[str]) -> list[Prediction]:
        self.batches.append([*texts])
        self.begun.set()
        assert self.leave.wait(20)
        if "bomb" in self.batches[-1]:
            raise RuntimeError("bang")
        return self.predictor.predict(self.batches[-1])

    @property
    def texts(self) -> list[str]:
        """All that it was asked."""
        return [text for batch in self.batches for text in batch]


@pytest.fixture(scope="module")
def predictor() -> SentimentPredictor:
    return SentimentPredictor.from_pretrained(DEFAULT_MODEL)


@pytest.fixture
def service() -> Any:
    """The module of the page, which loads the released checkpoint."""
    module = ModuleType("service")
    exec(compile(SERVICE, "docs/serve.md", "exec"), module.__dict__)
    return module


@pytest.fixture
def recorder(service: Any, predictor: SentimentPredictor) -> Recorder:
    recorder = Recorder(predictor)
    service.predictor = recorder
    return recorder


Post = Callable[[Any], Coroutine[Any, Any, httpx.Response]]


def talk(service: Any, conversation: Callable[[Post], Coroutine[Any, Any, None]]) -> None:
    """Run the service in this process, as a server does it, while a client talks to it."""

    async def run() -> None:
        transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
        async with (
            service.lifespan(service.app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):

            async def post(text: Any) -> httpx.Response:
                body = json.dumps({"text": text})  # in ASCII, which half a character passes, too
                headers = {"content-type": "application/json"}
                return await client.post("/predict", content=body, headers=headers)

            await asyncio.wait_for(conversation(post), 20)

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


def answer_of(predictor: SentimentPredictor, text: str) -> dict[str, Any]:
    (prediction,) = predictor.predict([text])
    return {"label": prediction.label, "score": pytest.approx(prediction.score, abs=1e-6)}


def test_concurrent_clients_get_the_answers_of_the_predictor(
    predictor: SentimentPredictor, reviews: list[tuple[str, int]], tmp_path: Path
) -> None:
    """A server in a process of its own, and a client with a connection of its own for each text."""
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    texts = [*[text for text, _ in reviews], "", "naïve 👍", " ".join(["Fine."] * 2000)]

    def ask(text: str) -> httpx.Response:
        return httpx.post(f"{address}/predict", json={"text": text}, timeout=120)

    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", "0"]
    with serving(command, tmp_path) as address, ThreadPoolExecutor(16) as pool:
        answers = [*pool.map(ask, texts)]
    assert [answer.status_code for answer in answers] == [200] * len(texts)
    assert [answer.json() for answer in answers] == [answer_of(predictor, text) for text in texts]
    assert len({answer.json()["score"] for answer in answers}) > 10, "or this shows little"


SLOW = """
import time
from pathlib import Path
from types import SimpleNamespace
import service
from service import app

def predict(texts, ask=service.predictor.predict):
    Path("begun").touch()
    time.sleep(1)
    return ask(texts)

service.predictor = SimpleNamespace(predict=predict)
"""


def test_a_server_that_is_stopped_answers_first(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "uvicorn", "slow:app", "--port", "0"]
    with ThreadPoolExecutor(1) as pool:
        with serving(command, tmp_path) as address:
            asked = pool.submit(
                httpx.post, f"{address}/predict", json={"text": "Fine."}, timeout=60
            )
            while not (tmp_path / "begun").exists():
                assert not asked.done()
        assert asked.result().json()["label"] == "POSITIVE"


def test_what_waits_is_joined_to_batches_of_bounded_size(
    service: Any, recorder: Recorder, predictor: SentimentPredictor
) -> None:
    service.MAX_BATCH = 4
    texts = [f"Text {letter} is good." for letter in "abcdefgh"]

    async def conversation(post: Post) -> None:
        first = asyncio.create_task(post(texts[0]))
        await until(recorder.begun.is_set)
        others = [asyncio.create_task(post(text)) for text in texts[1:]]
        await until(lambda: service.waiting.qsize() == len(others))
        recorder.leave.set()
        answers = await asyncio.gather(first, *others)
        assert [a.json() for a in answers] == [answer_of(predictor, text) for text in texts]

    talk(service, conversation)
    assert [len(batch) for batch in recorder.batches] == [1, 4, 3]
    assert sorted(recorder.texts) == texts


def test_a_full_queue_refuses_and_recovers(service: Any, recorder: Recorder) -> None:
    assert service.waiting.maxsize == service.MAX_WAITING
    service.waiting = asyncio.Queue(2)

    async def conversation(post: Post) -> None:
        first = asyncio.create_task(post("first"))
        await until(recorder.begun.is_set)
        queued = [asyncio.create_task(post("queued")) for _ in range(2)]
        await until(service.waiting.full)
        refused = await post("one more")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "try again" in refused.json()["detail"]
        recorder.leave.set()
        answers = [*await asyncio.gather(first, *queued), await post("later")]
        assert [answer.status_code for answer in answers] == [200] * 4

    talk(service, conversation)
    assert "one more" not in recorder.texts


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("x" * 20_001, 413, "at most 20000 characters"),
        ("half \ud83d", 422, "half a character"),
        (None, 422, "valid string"),
        (3, 422, "valid string"),
        (["a", "b"], 422, "valid string"),
    ],
    ids=["long", "half", "null", "number", "list"],
)
def test_what_cannot_be_answered_never_reaches_the_queue(
    service: Any, recorder: Recorder, text: Any, status: int, said: str
) -> None:
    recorder.leave.set()

    async def conversation(post: Post) -> None:
        answer = await post(text)
        assert answer.status_code == status
        assert said in answer.text
        assert len(answer.content) < 1000, "what was too long is not sent back"
        assert (await post("x" * 20_000)).status_code == 200

    talk(service, conversation)
    assert recorder.batches == [["x" * 20_000]]


def test_a_failure_is_an_answer_and_the_next_batch_is_none_the_worse(
    service: Any, recorder: Recorder
) -> None:
    recorder.leave.set()

    async def conversation(post: Post) -> None:
        assert (await post("bomb")).status_code == 500
        assert (await post("fine")).status_code == 200

    talk(service, conversation)


def test_a_client_that_goes_takes_nobody_along(service: Any, recorder: Recorder) -> None:
    async def conversation(post: Post) -> None:
        gone = asyncio.create_task(post("gone"))
        await until(recorder.begun.is_set)
        stays = asyncio.create_task(post("stays"))
        await until(lambda: service.waiting.qsize() == 1)
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        recorder.leave.set()
        assert (await stays).status_code == 200
        assert (await post("later")).status_code == 200

    talk(service, conversation)
