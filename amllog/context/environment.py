"""Reads the script, the working directory, the build and the rank from the process and its environment.

In: the environment as a mapping. Out: plain values, empty where nothing is known.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from amllog.process import interrupts
from amllog.record import text

if TYPE_CHECKING:
    from pathlib import Path


def script_name() -> str:
    """The file name of the script; "" if `sys.argv` does not have one."""
    arguments = getattr(sys, "argv", None)
    first_one = arguments[0] if isinstance(arguments, (list, tuple)) and arguments else ""
    name = os.fsdecode(first_one) if isinstance(first_one, (str, bytes)) else ""
    if isinstance(first_one, os.PathLike):  # its own methods may fail
        name = text.to_text(first_one)
    return os.path.basename(name)


def working_directory() -> Path | None:
    """The working directory; None if it has been deleted or may not be read."""
    from pathlib import Path  # here: `import amllog` must stay light

    try:
        return Path.cwd()
    except OSError as error:
        interrupts.pass_on(error)
        return None


def absolute_path(path: str | Path) -> Path:
    """The path, absolute if there is a working directory. Without one it stays as it is, and opening it fails."""
    from pathlib import Path  # here: `import amllog` must stay light

    return (working_directory() or Path()) / path


def file_uri(path: Path) -> str:
    """The path as a `file:` URI; "" for a relative path."""
    return path.as_uri() if path.is_absolute() else ""


def build_info(environ: Mapping[str, str], properties: Mapping[str, str]) -> tuple[str, str]:
    """(build_url, build_version) from Azure DevOps, GitHub Actions, or git as the submitter saw it."""
    server, project = environ.get("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"), environ.get("SYSTEM_TEAMPROJECT")
    if environ.get("BUILD_BUILDID") and server and project:
        from urllib.parse import quote  # here: `import amllog` must stay light

        url = f"{server.rstrip('/')}/{quote(project)}/_build/results?buildId={environ['BUILD_BUILDID']}"
        return url, environ.get("BUILD_BUILDNUMBER") or environ["BUILD_BUILDID"]
    repository, run = environ.get("GITHUB_REPOSITORY"), environ.get("GITHUB_RUN_ID")
    if repository and run:
        url = f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}/actions/runs/{run}"
        return url, environ.get("GITHUB_SHA", run)
    url = first_non_empty(environ.get("AZUREML_GIT_BUILD_URI"), properties.get("azureml.git.build_uri"))
    version = first_non_empty(
        environ.get("AZUREML_GIT_BUILD_ID"),
        properties.get("azureml.git.build_id"),
        environ.get("AZUREML_GIT_COMMIT"),
        properties.get("azureml.git.commit"),
        properties.get("mlflow.source.git.commit"),
    )
    return url, version


def rank(environ: Mapping[str, str]) -> int | None:
    """The process's rank: PyTorch, Open MPI, Intel MPI/MPICH, TensorFlow, then Azure ML's node index."""
    for name in ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        number = _number(environ.get(name))
        if number is not None:
            return number
    tensorflow = _tensorflow_rank(json_object(environ, "TF_CONFIG"))
    if tensorflow is not None:
        return tensorflow
    for name in ("AZUREML_CR_NODE_RANK", "AZ_BATCHAI_TASK_INDEX"):
        number = _number(environ.get(name))
        if number is not None:
            return number
    return None


def _tensorflow_rank(config: Mapping[str, Any]) -> int | None:
    """The task's place among all tasks of TF_CONFIG, chief first: only one process may be 0."""
    cluster, task = config.get("cluster"), config.get("task")
    index = _number(task.get("index")) if isinstance(task, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict) or index is None:
        return None
    before = 0
    for kind in ("chief", "master", "worker", "ps", "evaluator"):
        if kind == task.get("type"):
            return before + index
        tasks = cluster.get(kind)
        before += len(tasks) if isinstance(tasks, (list, dict)) else 0
    return None


def _number(value: object) -> int | None:
    """The number that a variable holds, if it is one that a rank could be."""
    digits = str(value)
    return int(digits) if len(digits) <= 9 and digits.isascii() and digits.isdigit() else None


def json_object(environ: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """The JSON object that a variable holds; empty if it holds none."""
    try:
        found = json.loads(environ.get(name) or "{}")
    except ValueError as error:  # not ours to judge: the other variables tell enough
        interrupts.pass_on(error)
        return {}
    return found if isinstance(found, dict) else {}


def first_non_empty(*candidates: object) -> str:
    """The first that is a text with something in it."""
    return next((str(value) for value in candidates if value not in (None, "")), "")
