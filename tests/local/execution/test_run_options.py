"""The options of a run."""

from __future__ import annotations

from pathlib import Path

from amllog.local.execution.run_options import RunOptions


def test_the_folder_of_runs_is_absolute(tmp_path: Path) -> None:
    """The folder of runs is below the directory, unless the option is an absolute path."""
    assert RunOptions(directory=tmp_path).runs == tmp_path / "amllog-runs"
    assert RunOptions(directory=tmp_path, runs_directory=Path("x")).runs == tmp_path / "x"
    assert RunOptions(directory=Path("a"), runs_directory=tmp_path / "y").runs == tmp_path / "y"
