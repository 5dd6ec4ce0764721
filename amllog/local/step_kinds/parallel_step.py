"""The command of a parallel step: what its driver and its workers need to know."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.local.execution.command_text import CommandValues, replace_expressions
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import LiteralValue, ParallelTask, PlannedStep, literals_of
from amllog.local.step_kinds.mltable_file import table_of

_FOLDER = Path(__file__).parent
_FILES_PER_BATCH, _BYTES_PER_BATCH = 10, 1 << 20
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_ROWS_FILE = "parallel_run_step.txt"  # in an output that is a folder
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def command(step: PlannedStep, values: StepValues) -> tuple[str, ...]:
    """Return the words that start the driver of a parallel step. Raises UsageError with the line of the step."""
    try:
        task = _task(step, values)
    except (UsageError, ValueError) as error:  # ValueError: a quote in program_arguments does not end
        raise UsageError(f"{step.position}: {step.name}: {error}") from None
    # The driver needs only the standard library. The scripts that it starts run in the interpreter of the step.
    return (sys.executable, "-I", "-S", os.fspath(_FOLDER / "parallel_driver.py"), json.dumps(task))


def problems(step: PlannedStep) -> list[str]:
    """Return what is invalid in a step if it is parallel, as far as it is known before its input exists."""
    parallel = step.parallel
    if parallel is None:
        return []
    value = step.inputs.get(parallel.input_data)
    size = _table_size if getattr(value, "type", "") == "mltable" else _file_count
    messages = []
    for check in (lambda: _check_level(parallel), lambda: size(parallel.mini_batch_size)):
        try:
            check()
        except UsageError as error:
            messages.append(str(error))
    return messages


def _check_level(parallel: ParallelTask) -> None:
    if parallel.logging_level.upper() not in _LEVELS:
        raise UsageError(
            f"logging_level is {parallel.logging_level!r}, which must be one of {', '.join(_LEVELS)}"
        )


def _task(step: PlannedStep, values: StepValues) -> dict[str, Any]:
    parallel = step.parallel
    if parallel is None:
        raise UsageError("it has no parallel task")
    script = values.work / parallel.entry_script
    if not script.is_file():
        raise UsageError(f"entry_script {parallel.entry_script!r} does not exist in the code of the step")
    _check_level(parallel)
    texts = CommandValues(values.inputs, values.outputs, literals_of(step))
    words = shlex.split(replace_expressions(parallel.program_arguments, texts, is_shell=True))
    table = _input(step, parallel, values)
    return {
        "python": str(values.python),
        "input_python": str(step.interpreter or sys.executable),  # no debugger stops it
        "input_program": str(_FOLDER / "mini_batches.py"),
        "worker_program": str(_FOLDER / "parallel_worker.py"),
        "input": table,
        "processes": _process_count(parallel),
        "max_retries": max(0, parallel.max_retries),
        "mini_batch_error_threshold": parallel.mini_batch_error_threshold,
        "error_threshold": int(_number(words, "--error_threshold", -1)),
        "allowed_failed_percent": _number(words, "--allowed_failed_percent", 100),
        "append_to": _rows_file(parallel, texts),
        "logs": str(values.work / "logs"),
        "directory": str(values.folder),
        "worker": {
            "entry_script": str(script),
            "arguments": [*words, *_service_arguments(parallel, table["size"], words)],
            "work": str(values.work),
            "logging_level": parallel.logging_level.upper(),
            "timeout_seconds": parallel.timeout_seconds,
        },
    }


def _process_count(parallel: ParallelTask) -> int:
    return max(1, parallel.max_concurrency_per_instance or os.cpu_count() or 1)


def _input(step: PlannedStep, parallel: ParallelTask, values: StepValues) -> dict[str, Any]:
    """Return what is divided: files, or a table if the input is an mltable with a transformation that reads."""
    value = step.inputs.get(parallel.input_data)
    path = values.inputs.get(parallel.input_data)
    if value is None or path is None or isinstance(value, LiteralValue):
        raise UsageError(
            f"input_data is {parallel.input_data!r}, which must be an input with files or a table"
        )
    if value.type == "mltable":
        table = table_of(Path(path))
    else:
        table = {"folder": path, "paths": [{"folder": "."}], "transformations": [], "has_file": False}
    is_table = bool(table["transformations"])
    if parallel.partition_keys and not is_table:
        raise UsageError(
            f"partition_keys need a table, and the input {parallel.input_data!r} is a list of files"
        )
    size = _table_size(parallel.mini_batch_size) if is_table else _file_count(parallel.mini_batch_size)
    return {
        **table,
        "name": parallel.input_data,
        "size": size,
        "partition_keys": list(parallel.partition_keys),
    }


def _file_count(text: str) -> int:
    if text and (not text.isdecimal() or int(text) < 1):
        raise UsageError(f"mini_batch_size is {text!r}, which must be a number of files, such as 10")
    return int(text or _FILES_PER_BATCH)


def _table_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip() or str(_BYTES_PER_BATCH))
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size < 1:
        raise UsageError(f"mini_batch_size is {text!r}, which must be a size, such as 10kb or 1MB")
    return size


def _number(words: list[str], option: str, default: float) -> float:
    """Return the value of an option of the service in the program arguments."""
    for word, following in zip(words, [*words[1:], ""]):
        name, separator, text = word.partition("=")
        if name == option:
            text = text if separator else following
            try:
                return float(text)
            except ValueError:
                raise UsageError(f"{option} is {text!r}, which must be a number") from None
    return default


def _rows_file(parallel: ParallelTask, texts: CommandValues) -> str:
    """Return the file for the rows that `run` returns, or an empty string without `append_row_to`."""
    path = replace_expressions(parallel.append_row_to, texts) if parallel.append_row_to else ""
    return os.path.join(path, _ROWS_FILE) if path and os.path.isdir(path) else path


def _service_arguments(parallel: ParallelTask, size: int, words: list[str]) -> list[str]:
    """Return words that the service adds too. A script that does not use parse_known_args fails here as there."""
    given = {word.partition("=")[0] for word in words}
    arguments = {
        "--scoring_module_name": parallel.entry_script,
        "--mini_batch_size": str(size),
        "--error_threshold": "-1",
        "--logging_level": parallel.logging_level,
        "--run_invocation_timeout": f"{parallel.timeout_seconds:g}",
        "--run_max_try": str(parallel.max_retries + 1),
        "--process_count_per_node": str(_process_count(parallel)),
    }
    if parallel.partition_keys:
        arguments["--partition_keys"] = json.dumps(list(parallel.partition_keys))
    return [word for name, value in arguments.items() if name not in given for word in (name, value)]
