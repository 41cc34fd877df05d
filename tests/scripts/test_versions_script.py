"""What `scripts/versions.py` makes of environments that load a model folder."""

import sys
from pathlib import Path

import pytest
import versions
from transformers import __version__


def test_an_environment_answers_as_it_does(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(sys.executable)
    result = versions.score([here, here], model_folder)
    for entry in result["environments"]:
        assert entry["transformers"] == __version__
        assert (entry["same_labels"], entry["largest_difference"]) == (len(versions.TEXTS), 0)
        assert all(label and 0.5 <= score <= 1 for label, score in entry["answers"])

    # An environment whose answers are others is not called the same.
    one, last = result["environments"]
    label, score = last["answers"][0]
    other = "NEGATIVE" if label == "POSITIVE" else "POSITIVE"
    found = iter([one | {"answers": [[other, score], *one["answers"][1:]]}, last])
    monkeypatch.setattr(versions, "_score", lambda *_: next(found))
    result = versions.score([here, here], model_folder)
    first = result["environments"][0]
    assert first["same_labels"] == len(versions.TEXTS) - 1
    assert first["largest_difference"] == pytest.approx(2 * score - 1)
    line = versions.describe(result).splitlines()[0]
    assert f"transformers {__version__}" in line
    assert f"{len(versions.TEXTS) - 1} of {len(versions.TEXTS)} labels" in line


def test_a_folder_that_does_not_load_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(versions, "VERSIONS", tmp_path)
    monkeypatch.setattr("sys.argv", ["versions.py", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match=r"no environment below .*: make test-versions"):
        versions.main()
    with pytest.raises(ValueError, match=r"python.*: cannot load .*none \(.*none.*\)"):
        versions.score([Path(sys.executable)], tmp_path / "none")
