"""Notebooks that papermill and nbconvert run: a failing cell fails the step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

SETUP = "import amllog; log = amllog.setup()"
PAPERMILL = [
    sys.executable,
    "-m",
    "papermill",
    "n.ipynb",
    "out.ipynb",
    "--no-progress-bar",
    "--kernel",
    "python3",
]
NBCONVERT = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "n.ipynb"]
QUIET = {"AMLLOG_DRIVER_LEVEL": "CRITICAL"}


def write(folder: Path, *cells: str) -> None:
    """Write a notebook."""
    nbformat = pytest.importorskip("nbformat")
    sources = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=sources), folder / "n.ipynb")


@pytest.mark.parametrize(
    ("command", "cell", "result"),
    [
        (PAPERMILL, "1 / 0", "uncaught exception"),
        (PAPERMILL, "log.info('m')", "0"),
        (NBCONVERT, "1 / 0", "uncaught exception"),
    ],
)  # fmt: skip
def test_papermill(
    child: Any, journaled: Any, tmp_path: Path, command: list[str], cell: str, result: str
) -> None:
    """The step has one request, which reports the failing cell, and its exception is one record."""
    write(tmp_path, SETUP, cell)
    ran = child(command, env=QUIET)
    records = journaled()
    assert [data["responseCode"] for data in records.of_type("Request")] == [result], ran.stderr
    assert len(records.of_type("Exception")) == (result != "0")
    assert (ran.returncode == 0) == (result == "0")


def test_a_notebook_inside_a_step(child: Any, journaled: Any, tmp_path: Path) -> None:
    """In a job, the kernel that a step starts with papermill is a span of the step."""
    write(tmp_path, SETUP, "log.info('m')", "1 / 0")
    code = (
        "import amllog; amllog.setup(step_name='train')\nimport papermill\n"
        "papermill.execute_notebook('n.ipynb', 'out.ipynb', progress_bar=False, kernel_name='python3')"
    )
    child(code, env={**QUIET, "AZUREML_RUN_ID": "pipe_1_train", "AMLLOG_METRICS": "none"})
    records = journaled("logs/amllog")
    assert [(data["name"], data["success"]) for data in records.of_type("Request")] == [("train", False)]
    assert [(data["name"], data["resultCode"]) for data in records.of_type("RemoteDependency")] == [
        ("notebook", "uncaught exception")
    ]
