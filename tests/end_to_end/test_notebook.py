"""amllog in a real Jupyter kernel: lines below the cell that logged them, and errors as records."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SETUP = "import amllog\nlog = amllog.setup()"
EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


class Notebook:
    """Runs cells in a new kernel in the test's folder, and returns their outputs."""

    def __init__(self, folder: Path, **environment: str) -> None:
        os.environ.update(environment)
        self.folder = folder
        self.notebook = nbformat.v4.new_notebook()
        self.client = nbclient.NotebookClient(
            self.notebook,
            timeout=900,
            startup_timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )

    def run(self, *sources: str) -> list[list[Any]]:
        """Run the cells in order in one kernel, and return the outputs of each."""
        for source in sources:
            cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]})
            self.notebook.cells.append(cell)
        self.client.execute()
        return [cell.outputs for cell in self.notebook.cells]

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return the journal's records of one type, without those of the kernel's own errors.

        If the main thread of a kernel ends before its control thread, tornado logs an error of the closed sockets.
        """
        files = sorted(self.folder.glob(".amllog/*.jsonl"))
        data_of_lines = [json.loads(line)["data"] for file in files for line in file.open("rb")]
        found = [data["baseData"] for data in data_of_lines if data["baseType"] == kind]
        return [data for data in found if not data["properties"].get("logger", "").startswith("tornado")]


def text(outputs: list[Any]) -> str:
    """Return everything that a cell printed, without colours."""
    printed = "".join(output.get("text", "") for output in outputs)
    return re.sub(r"\x1b\[[0-9;]*m", "", printed)


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    """Return an empty notebook in an empty folder."""
    return Notebook(tmp_path)


def test_cells_run_twice_log_once_each_time(notebook) -> None:
    """If setup() and a logging cell run twice, each run shows and keeps its lines once."""
    log = "import logging\nlog.info('ours')\nlogging.getLogger('lib').info('theirs')"
    _, first, _, second = notebook.run(SETUP, log, SETUP, log)
    for outputs in (first, second):
        assert [line.split(": ")[-1] for line in text(outputs).splitlines()] == ["ours", "theirs"]
    messages = [record["message"] for record in notebook.records("MessageData")]
    assert messages == ["ours", "theirs", "ours", "theirs"]


def test_lines_are_below_their_own_cell(notebook) -> None:
    """Lines of a cell are in its output, also those of a thread for which it waits."""
    thread = "import threading\nt = threading.Thread(target=log.info, args=('from a thread',)); t.start(); t.join()"
    _, first, second, third = notebook.run(SETUP, "log.info('one')", thread, "log.warning('three')")
    assert [text(outputs).rpartition(": ")[2].strip() for outputs in (first, second, third)] == [
        "one",
        "from a thread",
        "three",
    ]


def test_an_exception_in_a_cell_is_a_record(notebook) -> None:
    """An exception is recorded once with type, stack and line, and the notebook shows it as usual."""
    outputs = notebook.run(SETUP, SETUP, "def f():\n    return {}['loss']\nf()", "log.info('goes on')")
    assert [output.output_type for output in outputs[2]] == ["error"]
    [error] = notebook.records("ExceptionData")
    assert error["exceptions"][0]["typeName"] == "KeyError"
    assert "in f" in error["exceptions"][0]["stack"]
    assert [record["message"] for record in notebook.records("MessageData")] == ["goes on"]


def test_an_interrupted_cell_is_not_an_error(notebook) -> None:
    """An interrupt from the notebook's menu is not recorded as an exception."""
    notebook.run(SETUP, "raise KeyboardInterrupt", "log.info('goes on')")
    assert notebook.records("ExceptionData") == []


def test_progress_is_a_bar_and_no_lines(notebook) -> None:
    """A progress bar reaches its end in the cell, without a warning, and yields the items."""
    _, outputs = notebook.run(SETUP, "sum(log.progress(range(5), 'adding'))")
    result = [output for output in outputs if output.output_type == "execute_result"]
    assert result[0].data["text/plain"] == "10"
    shown = text(outputs) + "".join(
        output.data.get("text/plain", "") for output in outputs if "data" in output
    )
    assert "adding" in shown
    assert "Warning" not in shown
    assert notebook.records("MessageData") == []


def test_the_run_remembers_values_without_azure(notebook) -> None:
    """Outside a job, metrics, tags and tables of log.run can be read back."""
    cells = (
        "log.metric('loss', 0.5)\nlog.run.tag('author', 'me')",
        "print(log.run.get_metrics(), log.run.get_tags())",
    )
    *_, outputs = notebook.run(SETUP, *cells)
    assert text(outputs).strip() == "{'loss': 0.5} {'author': 'me'}"


def test_in_a_job_metrics_reach_run_history(tmp_path: Path, azure) -> None:
    """With a job's variables, the metric is in run history and the line in Application Insights."""
    job = azure.job_environment(run_id="nb_1", step_name="explore")
    notebook = Notebook(tmp_path, **job)
    *_, outputs = notebook.run(
        SETUP, "log.metric('loss', 0.25)\nlog.info('hello')", "print(amllog.flush(200))"
    )
    assert " 0 waiting, 0 refused" in text(outputs)
    assert azure.values("nb_1") == {"loss": [0.25]}
    messages = [envelope["data"]["baseData"].get("message") for envelope in azure.envelopes]
    assert messages.count("hello") == 1


def test_the_example_notebook(tmp_path: Path) -> None:
    """examples/notebook.ipynb shows no warnings and no line twice, and one exception is recorded."""
    notebook = Notebook(tmp_path)
    cells = [cell.source for cell in nbformat.read(EXAMPLE, as_version=4).cells if cell.cell_type == "code"]
    outputs = notebook.run(*cells)
    lines = [line for shown in outputs for line in text(shown).splitlines()]
    assert len([line for line in lines if "scaled 61 columns" in line]) == 1
    assert not [line for line in lines if "Warning:" in line]
    assert len(notebook.records("ExceptionData")) == 1
    assert len(notebook.records("MetricData")) == 5


@pytest.mark.parametrize(
    ("cells", "code", "count"),
    [
        (("1 / 0",), "uncaught exception", 1),
        (("import sys; sys.exit(3)",), "exit code 3", 1),
        (("1 / 0", "log.info('goes on')"), "0", 1),
        (("get_ipython().events.callbacks['post_run_cell'].clear()", "1 / 0"), "uncaught exception", 1),
        (("get_ipython().set_custom_exc((Exception,), lambda *args, **named: None)", "1 / 0"), "uncaught exception", 1),
    ],
)  # fmt: skip
def test_the_last_cell_decides(notebook, cells: tuple[str, ...], code: str, count: int) -> None:
    """The step fails if its last cell does, also if a cell has removed or replaced the hooks of the notebook."""
    notebook.run(SETUP, *cells)
    assert [record["responseCode"] for record in notebook.records("RequestData")] == [code]
    assert len(notebook.records("ExceptionData")) == count
