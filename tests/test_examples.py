"""Every example runs, as a job on Azure on this machine, and what it logs arrives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# A folder with a run.py is one example, started there; every other script and notebook is one of its own.
FOLDERS = {path.parent for path in EXAMPLES.rglob("run.py")}
SCRIPTS = [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.ipynb")]
RUN = sorted(path for path in SCRIPTS if path.name == "run.py" or not FOLDERS & {*path.parents})
ARGUMENTS: dict[str, list[str]] = {}


@pytest.mark.parametrize("example", RUN, ids=[str(path.relative_to(EXAMPLES)) for path in RUN])
def test_example_runs(example: Path, azure, child, tmp_path: Path) -> None:
    """The example ends well in a job, and its lines are in Application Insights."""
    copy = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", ".amllog", "logs"))
    script = copy / example.relative_to(EXAMPLES)
    if example.name == "run.py":  # brings its own far side
        ran = child(script, timeout=300)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return
    job = azure.job_environment(run_id="example_1", step_name=example.stem, parent_run_id="examples")
    if example.suffix == ".ipynb":
        run_notebook(script, job)
    else:
        ran = child(script, *ARGUMENTS.get(example.name, []), env=job, cwd=script.parent)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert azure.envelopes


def run_notebook(path: Path, job: dict[str, str]) -> None:
    """Run all cells in a kernel of its own; a cell that raises is a failure."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    os.environ.update(job)
    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()
