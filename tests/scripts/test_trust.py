"""No script lets transformers ask on standard input whether code of others may run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

SOURCES = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "sentiment_lstm").rglob("*.py")]


def calls_that_may_ask(source: str) -> Iterator[ast.Call]:
    """Calls of Auto classes and of `pipeline` with a name that say nothing of trust."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        loads = name.startswith("Auto") and name.endswith(".from_pretrained")
        by_name = any(word.arg == "model" and isinstance(word.value, ast.Call)
                      for word in node.keywords)  # fmt: skip
        said = {word.arg for word in node.keywords}  # None for `**options`
        if (loads or (name == "pipeline" and by_name)) and not said & {"trust_remote_code", None}:
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_call_says_whether_code_of_others_may_run(path: Path) -> None:
    found = [ast.unparse(call) for call in calls_that_may_ask(path.read_text(encoding="utf-8"))]
    assert not found


def test_the_check_sees_what_it_is_for() -> None:
    source = """
AutoTokenizer.from_pretrained(folder)
pipeline("text-classification", model=str(folder))
AutoModel.from_pretrained(folder, trust_remote_code=False)
AutoModel.from_pretrained(folder, **options)
pipeline("text-classification", model=loaded, tokenizer=tokenizer)
"""
    assert [call.lineno for call in calls_that_may_ask(source)] == [2, 3]
