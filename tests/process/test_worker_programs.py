"""The worker programs of parallel frameworks."""

from __future__ import annotations

from typing import Any

import pytest

PRINT = "from amllog.process.worker_programs import worker_program\nprint(repr(worker_program()))\n"


@pytest.mark.parametrize(
    ("path", "arguments", "framework"),
    [
        ("ray/_private/workers/default_worker.py", [], "Ray"),
        ("pyspark/daemon.py", [], "Spark"),
        ("distributed/cli/dask_worker.py", [], "Dask"),
        ("bin/dask", ["worker"], "Dask"),
        ("bin/dask", ["scheduler"], ""),
        ("bin/dask-worker", [], "Dask"),
        ("mpi4py/futures/__main__.py", [], "MPI"),
        ("mine/default_worker.py", [], ""),
        ("ray/train.py", [], ""),
    ],
)
def test_main_module(child: Any, tmp_path: Any, path: str, arguments: list[str], framework: str) -> None:
    """The framework is recognized by the path of the main module."""
    script = tmp_path / path
    script.parent.mkdir(parents=True)
    script.write_text(PRINT)
    assert child(script, *arguments).stdout == f"{framework!r}\n"


def test_no_main_module(child: Any) -> None:
    """A process without a main file is no worker program."""
    assert child(PRINT).stdout == "''\n"
