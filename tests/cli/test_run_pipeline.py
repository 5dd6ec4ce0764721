"""`amllog run` with a file of Azure ML's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_options_of_pipelines_before_a_script(cli: Any, tmp_path: Path) -> None:
    """They are rejected, because the script would not get them."""
    (tmp_path / "train.py").write_text("print('ran')")
    ran = cli("run", "--check", "--jobs", "2", "train.py")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--check, --jobs: for a pipeline, a job or a component" in ran.stderr


@pytest.mark.parametrize("words", [["missing.yml"], ["--check", "missing.yml"]])
def test_a_missing_file(cli: Any, words: list[str]) -> None:
    """A file that does not exist is wrong usage."""
    ran = cli("run", *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "there is no file missing.yml in" in ran.stderr
