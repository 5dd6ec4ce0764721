"""Answers in a real Jupyter kernel: escaped HTML, and plain text beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from ...insights.conftest import RUN, failure, log, step  # isort: skip

nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SCRIPT = "<script>alert(1)</script>"
CELLS = ("q.logs()", f"q.story('{RUN}')", f"q.compare('{RUN}', 'other')", f"q.tree('{RUN}')")


def test_answers_are_escaped_html(journal: Callable[..., Path]) -> None:
    """The HTML of a table, a story, a comparison and a tree is escaped, and a long table is shortened."""
    path = journal(
        *(log(f"{SCRIPT} {number}", 2) for number in range(50)),
        failure("<b>no</b>"),
        step("train", success=False),
        log("fine", parent_run_id="other"),
    )
    setup = f"from amllog import insights\nq = insights.connect({str(path.parent)!r})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in (setup, *CELLS)])
    nbclient.NotebookClient(notebook, timeout=900, startup_timeout=600, kernel_name="python3").execute()
    shown = [cell.outputs[0].data for cell in notebook.cells[1:]]
    for data in shown:
        assert "&lt;script&gt;" in data["text/html"]
        assert not [tag for tag in ("<script", "<b>no") if tag in data["text/html"]]
        assert "<script>" in data["text/plain"]
    assert shown[0]["text/html"].count("<tr>") == 41
    assert "<p>52 rows, the first 40 shown</p>" in shown[0]["text/html"]
    assert shown[0]["text/plain"].endswith("(52 rows, the first 40 shown)")
