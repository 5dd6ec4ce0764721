"""Tests of conda files."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.plan.conda_files import read_conda
from amllog.local.plan.planned_steps import SourceLine

LINE = SourceLine(Path("/project/pipeline.yml"), 7)
FILE = """\
name: train
channels: [conda-forge]
dependencies:
  - python=3.10.4
  - pip=23
  - numpy=1.21
  - conda-forge::lightgbm
  - pip:
      - pandas==1.5.3
      - scikit_learn[extra] == 1.3
      - mlflow>=2
      - -r requirements.txt
      - https://host/x.whl
"""


def test_the_parts_of_a_file(tmp_path: Path) -> None:
    """A conda file has a Python, packages that only conda installs, and a pip part."""
    (tmp_path / "conda.yml").write_text(FILE)
    conda, findings = read_conda(tmp_path / "conda.yml", LINE)
    assert conda is not None
    assert (conda.python, conda.conda, findings) == ("3.10", ("numpy=1.21", "conda-forge::lightgbm"), [])
    assert conda.pip[-2:] == ("-r requirements.txt", "https://host/x.whl")
    assert conda.pinned() == {"pandas": "1.5.3", "scikit-learn": "1.3", "mlflow": ""}
    assert conda.folder == tmp_path


def test_an_inline_mapping() -> None:
    """The mapping in a pipeline file has the lines and the folder of this file."""
    conda, findings = read_conda({"dependencies": ["python>=3.8", {"pip": ["a"]}]}, LINE)
    assert conda is not None
    assert (conda.python, conda.pip, conda.folder, conda.position) == ("", ("a",), Path("/project"), LINE)
    assert findings == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, f"{LINE}: conda_file {{}}: the file does not exist"),
        ("a: [", "{}:1: invalid YAML"),
        ("- a\n", "{}: the conda file has no list `dependencies`"),
        ("dependencies: x\n", "{}: the conda file has no list `dependencies`"),
    ],
)
def test_invalid_files(tmp_path: Path, text: str | None, message: str) -> None:
    """A missing file is an error of the line that names it, any other of its own line."""
    file = tmp_path / "conda.yml"
    if text is not None:
        file.write_text(text)
    conda, findings = read_conda(file, LINE)
    assert conda is None
    assert [str(f)[: len(message.format(file))] for f in findings] == [message.format(file)]
