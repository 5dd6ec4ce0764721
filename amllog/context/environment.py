"""Read the script, the working directory, the build and the rank from the process and its environment."""

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
    """Return the file name of the script, `notebook` in a kernel, or "" if `sys.argv` has no script."""
    arguments = getattr(sys, "argv", None)
    script = arguments[0] if isinstance(arguments, (list, tuple)) and arguments else ""
    name = os.fsdecode(script) if isinstance(script, (str, bytes)) else ""
    if isinstance(script, os.PathLike):  # its methods may raise
        name = text.to_text(script)
    file = os.path.basename(name)
    return "notebook" if "ipykernel" in file else file


def working_directory() -> Path | None:
    """Return the working directory. None if it was deleted or is not readable."""
    from pathlib import Path  # here: `import amllog` must stay light

    try:
        return Path.cwd()
    except OSError as error:
        interrupts.pass_on(error)
        return None


def absolute_path(path: str | Path) -> Path:
    """Return the path as an absolute one. Without a working directory it is unchanged, and opening it fails."""
    from pathlib import Path  # here: `import amllog` must stay light

    return (working_directory() or Path()) / path


def file_uri(path: Path) -> str:
    """Return the path as a `file:` URI, or "" for a relative path."""
    return path.as_uri() if path.is_absolute() else ""


def build_info(environ: Mapping[str, str], properties: Mapping[str, str]) -> tuple[str, str]:
    """Return (build_url, build_version) from Azure DevOps, GitHub Actions, or the submitter's git repository."""
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
    """Return the rank of the process, or None.

    Read in this order: PyTorch, Open MPI, Intel MPI and MPICH, TensorFlow, the node index of Azure ML.
    """
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
    """Return the index of the task among all tasks of TF_CONFIG, chief first, so that only one process has rank 0."""
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
    """Return the value of a variable as a number, or None if it is not a valid rank."""
    digits = str(value)
    return int(digits) if len(digits) <= 9 and digits.isascii() and digits.isdigit() else None


def json_object(environ: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """Return the JSON object in a variable. Empty if the variable contains anything else."""
    try:
        value = json.loads(environ.get(name) or "{}")
    except ValueError as error:  # the other variables are enough
        interrupts.pass_on(error)
        return {}
    return value if isinstance(value, dict) else {}


def first_non_empty(*candidates: object) -> str:
    """Return the first candidate that is not None and not "", as a string. Without one, return ""."""
    return next((str(value) for value in candidates if value not in (None, "")), "")
