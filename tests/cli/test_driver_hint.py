"""The hint at driver logs in answers without records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amllog.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE = """
type: pipeline
jobs:
  one: {command: echo hello, environment: azureml:e@latest}
  two: {command: echo world, environment: azureml:e@latest}
"""
HINT = "what was printed is in the driver logs: amllog logs --driver"


def test_a_run_whose_steps_only_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer without lines names the command that has them, and that command shows them."""
    (tmp_path / "p.yml").write_text(PIPELINE)

    def ask(*words: str) -> tuple[str, str]:
        main(words)
        shown = capsys.readouterr()
        return shown.out, shown.err

    ask("run", "p.yml")
    (folder,) = tmp_path.glob("amllog-runs/*_*_*")
    for words in (["logs"], ["logs", "-n", "3"], ["logs", "--json"], ["errors"], ["tail"]):
        assert ask(*words)[1].endswith(f"{HINT} {folder.name}\n"), words
    assert f"amllog logs --driver {folder.name}   all lines" in ask("story")[0]
    assert ask("logs", "--step-name", "one")[1].endswith(f"{HINT} {folder.name} --step-name one\n")
    step_id = ask("steps", "--step-name", "one")[0].split()[-1]
    assert ask("logs", step_id)[1].endswith(f"{HINT} {folder.name} --step-id {step_id}\n")
    assert ask("logs", "--driver", folder.name, "--step-id", step_id)[0] == "hello\n"
    folder.rename(folder.with_name("elsewhere"))
    assert HINT not in ask("logs")[1] and "--driver" not in ask("story")[0]
