"""The log files of a job by their names, in every layout of Azure ML.

* The legacy runtime: `azureml-logs/70_driver_log.txt` has the lines of the user and of the wrapper. One file per
  process has a number or `-worker-N` in its name. Files with other numbers are those of the runtime.
* The common runtime: `user_logs/std_log.txt`, or `std_log_process_NN.txt` per process, has the lines of the user only.
  The files of the runtime are in `system_logs`.
* ParallelRunStep and `type: parallel`: folders below `logs`, with one file per node and process.

`amllog run` writes the layout of the common runtime. There, `std_log.txt` also has the lines of all processes of a
distributed step, each behind the number of its rank (`[1] loaded`). Names are relative to the folder of the job.
"""

from __future__ import annotations

import re
from enum import Enum

MARKS = frozenset({"azureml-logs", "user_logs", "system_logs"})  # folders that only a job has


class LogKind(Enum):
    """The content of a log file."""

    USER = "user"  # the output of the script, perhaps with lines of the wrapper
    ERROR = "error"  # a summary of errors, or the traceback of one, by ParallelRunStep
    RUNTIME = "runtime"  # everything that the runtime writes about itself


_KINDS = (  # the first that matches decides
    (LogKind.USER, r"azureml-logs/70_driver_log[^/]*\.txt"),
    (LogKind.RUNTIME, r"azureml-logs/.+\.txt"),
    (LogKind.USER, r"user_logs/.+\.(?:txt|log)"),
    (LogKind.RUNTIME, r"system_logs/.+\.(?:txt|log)"),
    (LogKind.USER, r"logs/user/(?:stdout|stderr|entry_script_log)/.+\.(?:txt|log)"),
    (LogKind.ERROR, r"logs/job_error[^/]*\.txt|logs/user/error(?:/.+)?\.txt|logs/sys/error(?:/.+)?\.txt"),
    (LogKind.RUNTIME, r"logs/(?:job_result|job_progress_overview|overview)[^/]*\.txt"),
    (LogKind.RUNTIME, r"logs/(?:sys|perf|azureml)/.+\.(?:txt|log|csv)"),
)
_PATTERNS = tuple((kind, re.compile(rf"(?:{pattern})\Z")) for kind, pattern in _KINDS)
_LEGACY = re.compile(r"azureml-logs/70_driver_log")
STD_LOG = "user_logs/std_log.txt"
_RANK_LOG = re.compile(r"user_logs/std_log_process_\d+\.txt\Z")
_NUMBER = re.compile(r"(\d+)")


def kind_of_file(name: str) -> LogKind | None:
    """Return the kind of the file with this name, or None if it is no log file of a job."""
    return next((kind for kind, pattern in _PATTERNS if pattern.match(name)), None)


def has_wrapper_lines(name: str) -> bool:
    """Return whether the wrapper of the legacy runtime writes to this file, too."""
    return _LEGACY.match(name) is not None


def is_rank_log(name: str) -> bool:
    """Return whether the file has the lines of one process of a distributed step only."""
    return _RANK_LOG.match(name) is not None


def sort_key(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """Return the key that sorts user logs first, and numbers in names by their value."""
    parts = _NUMBER.split(name)
    return kind_of_file(name) is not LogKind.USER, [
        (int(part), "") if part.isdecimal() else (-1, part) for part in parts
    ]
