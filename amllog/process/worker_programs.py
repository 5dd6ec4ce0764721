"""Determine whether this process runs the worker program of a parallel framework.

Workers of `multiprocessing` know that they are workers. Other frameworks start a program of their own, which is the
main module of the process. The names of these programs are those of Ray 2, Spark 3 and 4, Dask 2021 and later.
"""

from __future__ import annotations

import os
import sys

# The framework, a folder in the path of its program, and the name of the program.
_PROGRAMS = (
    ("Ray", "ray", "default_worker.py"),
    ("Spark", "pyspark", "daemon.py"),
    ("Spark", "pyspark", "worker.py"),
    ("Dask", "distributed", "dask_worker.py"),
    ("Dask", "distributed", "dask_spec.py"),
    ("MPI", "mpi4py", "__main__.py"),
)
# `dask worker`: the console script and its subcommands.
_DASK, _SUBCOMMANDS = {"dask", "dask-worker", "dask-spec"}, {"worker", "spec"}


def worker_program() -> str:
    """Return the framework whose worker program this process runs, or "".

    A worker that `multiprocessing` has spawned has the main module of the process that started it.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(main, str):
        return ""
    *folders, name = main.replace(os.sep, "/").split("/")  # not pathlib, which takes time to import
    if name in _DASK:
        return "Dask" if name != "dask" or _SUBCOMMANDS.intersection(sys.argv[1:2]) else ""
    return next(
        (framework for framework, folder, file in _PROGRAMS if name == file and folder in folders), ""
    )
