"""`Pipeline`: what it runs, and what prevents a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.errors import PipelineError
from amllog.local import Pipeline


def load(rows: int) -> list[int]:
    """Return rows."""
    print("loading")
    return list(range(rows))


def train(load: list[int], rate: float = 0.5) -> float:
    """Return a number, or fail for too many rows."""
    if len(load) > 3:
        raise ValueError(f"{len(load)} rows")
    return len(load) * rate


def test_functions_run_in_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each function is a step whose lines are shown, and its value is kept. The run is recorded in the folder."""
    pipeline = Pipeline([load, train], inputs={"rows": 3})
    assert pipeline.check() == []
    result = pipeline.run()
    assert result.exit_code == 0
    assert pipeline.returned(result, "train") == 1.5
    assert "load  | loading\n" in capsys.readouterr().out
    assert result.folder.parent == tmp_path / "amllog-runs"
    assert result.journal_directory == tmp_path / ".amllog"


def test_a_missing_value_prevents_the_run(tmp_path: Path) -> None:
    """The error has each finding, and nothing is run."""
    pipeline = Pipeline([load, train])
    with pytest.raises(PipelineError) as caught:
        pipeline.run(report=lambda line: None)
    (finding,) = caught.value.findings
    assert str(finding).startswith(
        f"{__file__}:{load.__code__.co_firstlineno}: the parameter rows of load has no"
    )
    assert "1 error prevents the run:" in str(caught.value)
    assert pipeline.check() == [finding]
    assert list(tmp_path.iterdir()) == []


NESTED = """\
type: pipeline
inputs: {data: {type: uri_file}}
jobs:
  read: {command: 'cat ${{inputs.data}}', environment: azureml:e, inputs: {data: '${{parent.inputs.data}}'}}
  end: {command: 'true', environment: azureml:e}
"""


def test_steps_that_are_not_selected_have_no_findings(tmp_path: Path) -> None:
    """The data of a step that `only` leaves out may be missing, also inside of a component that a map finds."""
    (tmp_path / "nested.yml").write_text(NESTED)
    (tmp_path / "amllog.yml").write_text("components:\n  nested: nested.yml\n")
    step = "component: azureml:nested@latest, inputs: {data: {type: uri_file, path: missing.csv}}"
    file = tmp_path / "pipeline.yml"
    file.write_text(f"type: pipeline\njobs:\n  outer: {{type: pipeline, {step}}}\n")
    assert "missing.csv does not exist" in str(Pipeline(file).check()[0])
    assert Pipeline(file).check(only=["outer.end"]) == []
    assert Pipeline(file).check(start_from="outer.end") == []
