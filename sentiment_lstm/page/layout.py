"""The page itself, by Gradio (extra `page`): laid out, and served to this machine alone.

Nothing of it comes from elsewhere, fonts and scripts included, and nothing goes elsewhere: there is
no telemetry, and no history of what was asked. Files that were uploaded or made for download are
deleted when they are an hour old, and when the page ends.
"""

from __future__ import annotations

import html
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..extras import require
from ..inference.predictor import SentimentPredictor
from .contents import (
    FORMATS,
    Answers,
    check_words,
    histogram,
    is_regression,
    read_pasted,
    read_uploaded,
    score_axis,
    score_cuts,
)

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
with require("page"):
    import gradio as gr
    import pandas as pd  # which Gradio brings along

TITLE = "Which words decided?"
HOST = "127.0.0.1"

_EXAMPLES = [
    "Sturdy little lamp: bright, easy to set up, and it arrived a day early.",
    "I wanted to love these headphones, but the left side died on the third day.",
    "Not what I expected, better! My daughter will not put it down.",
]
_KEPT_SECONDS = 3600
_LARGEST_FILE = "20mb"
# As in an explanation: orange for the first of two labels, blue for the second.
_COLOURS = ("#D55E00", "#0072B2")
_PLOT_HEIGHT = 220

# Component -> what becomes of it.
_Changes = dict[Any, Any]


def open_page(
    model: str | os.PathLike[str],
    *,
    host: str = HOST,
    port: int | None = None,
    trust_remote_code: bool = False,
) -> None:
    """Serve the page until the process is interrupted.

    Args:
        model: A model folder or a Hub repository.
        host: The address to listen at. Defaults to one that only this machine reaches.
        port: Defaults to the first free one from 7860 on.
        trust_remote_code: See `SentimentPredictor.from_pretrained`.

    Raises:
        ModelError: See `SentimentPredictor.from_pretrained`.
        OSError: If it cannot listen there.
    """
    predictor = SentimentPredictor.from_pretrained(model, trust_remote_code=trust_remote_code)
    page = build_page(predictor)
    try:
        try:
            _, url, _ = page.launch(
                server_name=host,
                server_port=port,
                share=False,
                run_history=False,
                footer_links=[],
                max_file_size=_LARGEST_FILE,
                theme=gr.themes.Default(primary_hue="blue"),
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            where = f"{host}:{port}" if port else host
            raise OSError(
                f"{where}: the page cannot listen there: the port is taken, or this machine has no "
                "such address; choose others (`--host`, `--port`)"
            ) from error
        sys.stderr.write(f"the page is at {url} until Ctrl-C ends it\n")
        sys.stderr.flush()
        while page.is_running:
            time.sleep(0.2)
    finally:
        page.close(verbose=False)


def build_page(predictor: SentimentPredictor) -> gr.Blocks:
    """Lay the page out.

    Args:
        predictor: Who answers.

    Returns:
        The page, for `launch`.
    """
    page = gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(_KEPT_SECONDS, _KEPT_SECONDS)
    )
    with page:
        gr.Markdown(f"# {TITLE}")
        with gr.Tab("Paste"):
            pasted = gr.Textbox(
                label="Reviews, one a line", lines=4, max_lines=12, elem_id="pasted"
            )
            gr.Examples(
                _EXAMPLES, pasted, cache_examples=False, preload=False, api_visibility="private"
            )
            answer_pasted = gr.Button("Answer", variant="primary", elem_id="answer-pasted")
        with gr.Tab("File"):
            uploaded = gr.File(
                label="A csv file with a column text, lines of text, or JSON lines",
                file_types=list(FORMATS),
                elem_id="uploaded",
            )
            answer_file = gr.Button("Answer", variant="primary", elem_id="answer-file")
        view = _View(predictor)
        answer_pasted.click(
            view.answering(read_pasted), pasted, view.answered, api_visibility="private"
        )
        answer_file.click(
            view.answering(read_uploaded), uploaded, view.answered, api_visibility="private"
        )
        view.table.select(view.explain_row, view.texts, view.explained, api_visibility="private")
    return page


class _View:
    """What is below the questions, and the events that fill it; made inside of a page."""

    def __init__(self, predictor: SentimentPredictor) -> None:
        self.predictor = predictor
        labels = list((predictor.model.config.id2label or {}).values())
        self.texts = gr.State([], time_to_live=_KEPT_SECONDS)
        self.said = gr.HTML(elem_id="said")
        self.table = gr.Dataframe(
            headers=["number", "label", "score", "review"],
            datatype="str",  # which is shown as it is, HTML or not
            column_widths=["10%", "15%", "10%", "65%"],
            label="A click on a row explains it",
            interactive=False,
            wrap=True,
            max_height=300,
            visible=False,
            elem_id="table",
        )
        self.why = gr.HTML(elem_id="why")
        self.cuts = gr.LinePlot(
            x="words",
            y="score",
            y_lim=None if is_regression(predictor) else [0, 1],
            tooltip="all",
            height=_PLOT_HEIGHT,
            visible=False,
            elem_id="cuts",
        )
        self.bars = gr.BarPlot(
            x="from",
            y="reviews",
            x_title=score_axis(predictor),
            color="label",
            color_map=dict(zip(labels, _COLOURS, strict=True)) if len(labels) == 2 else None,
            height=_PLOT_HEIGHT,
            visible=False,
            elem_id="bars",
        )
        self.download = gr.DownloadButton(
            "Download the answers (csv)", visible=False, elem_id="download"
        )
        self.explained = [self.why, self.cuts]
        self.answered = [
            self.said,
            self.texts,
            self.table,
            self.bars,
            self.download,
            *self.explained,
        ]

    def answering(self, read: Callable[[str | None], list[str]]) -> Callable[..., Any]:
        """The event that answers the reviews which `read` finds."""

        def answer(source: str | None) -> Iterator[_Changes]:
            try:
                texts = read(source)
                answers = Answers(texts, self.predictor.predict(texts), self.predictor.label_set)
            except (OSError, ValueError) as error:
                yield self._refuse(error)
                return
            several = len(texts) > 1
            bars = pd.DataFrame(histogram(self.predictor, answers.predictions))
            bars["from"] = bars["start"].map("{:.2f}".format)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "answers.csv")
                path.write_text(answers.to_csv(), encoding="utf-8", newline="")
                yield {
                    self.said: _paragraph(answers.summary),
                    self.texts: texts,
                    self.table: gr.update(value=answers.to_rows(), visible=several),
                    self.bars: gr.update(value=bars, visible=several),
                    self.download: gr.update(value=str(path), visible=True),
                    **self._explain(texts[0]),
                }
                # When it asks for more, Gradio has made its own copy of the file.

        return answer

    def explain_row(self, texts: list[str], event: gr.SelectData) -> _Changes:
        """The event that explains the review of a row, wherever sorting has put it."""
        return self._explain(texts[int(event.row_value[0]) - 1])

    def _explain(self, text: str) -> _Changes:
        try:
            check_words(self.predictor, text)
            explanation = self.predictor.explain(text)
            cuts = score_cuts(self.predictor, explanation)
        except (OSError, ValueError) as error:
            return {self.why: _paragraph(str(error)), self.cuts: gr.update(visible=False)}
        score = f"score of {explanation.label}"
        note = (
            f"Blue speaks for {explanation.label}, orange against it. Below: the {score} if the "
            "review ended after so many words, each time read as a review of its own."
        )
        return {
            self.why: explanation.to_html() + _paragraph(note),
            self.cuts: gr.update(
                value=pd.DataFrame(cuts), y_title=score, visible=bool(explanation.words)
            ),
        }

    def _refuse(self, error: Exception) -> _Changes:
        """Say what is wrong, and show nothing of what was answered before."""
        hidden = gr.update(value=None, visible=False)
        return {
            self.said: _paragraph(str(error)),
            self.texts: [],
            self.why: "",
            **dict.fromkeys([self.table, self.bars, self.download, self.cuts], hidden),
        }


def _paragraph(text: str) -> str:
    return f'<p role="status">{html.escape(text)}</p>'
