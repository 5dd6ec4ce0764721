"""Recognize the lines that Azure ML's own wrapper writes into the driver log of the legacy runtime.

The legacy runtime mixes the lines of its control script with those of the user in `70_driver_log.txt`. There are two
generations: scripts (2018 to 2021) and commands (2021 and later). The common runtime keeps its lines in `system_logs`.

Only lines of a known form are recognized, so that no line of a script is hidden. The examples are in Microsoft's
tutorials and in public issues of the time.
"""

from __future__ import annotations

import re

_STAMP = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?\] ?"
_STAMPED = (  # behind a time in brackets
    r"Entering context manager injector",
    r"Entering job preparation|Starting job preparation|Extracting the control code",
    r"Command ?=",
    r"Command Working Directory ?=",
    r"Starting Linux command ?:",
    r"Command finished with return code -?\d+",
    r"Script type ?=",
    r"TimeoutHandler __(?:init|enter|exit)__",
    r"The experiment (?:completed successfully|failed)\. Finalizing run",
    r"Logging experiment (?:\w+ )?status in history service",
    r"Start FileSystem|Starting the daemon thread|Finished context manager injector",
    r"Entering Run History Context Manager|Job preparation is complete",
)
_PLAIN = (  # with or without a time in front
    r"\[?context_manager_injector\.py\]? Command line Options: Namespace\(",
    r"Script type = (?:COMMAND|None)$",
    r"Starting the daemon thread to refresh tokens in background for process with pid = \d+",
    r"Entering Run History Context Manager\.?$",
    r"Current directory:  /",
    r"Preparing to call script \[",
    r"After variable expansion, calling script \[",
    r"The experiment (?:completed successfully|failed)\. Finalizing run\.\.\.",
    r"Logging experiment (?:\w+ )?status in history service\.?$",
    r"Cleaning up all outstanding Run operations, waiting [\d.]+ seconds",
    r"\d+ items? cleaning up\.\.\.",
    r"Cleanup took [\d.e-]+ seconds",
    r"Set Dataset \S+'s target path to ",
    r"(?:Initialize|Enter __enter__ of|Exit __exit__ of) DatasetContextManager\.?",
    r"SDK version: azureml-core==\S+ azureml-dataprep==",
)
_RUNTIME = re.compile(rf"(?:{_STAMP}(?:{'|'.join(_STAMPED)})|(?:{_STAMP})?(?:{'|'.join(_PLAIN)}))")


def is_runtime_line(line: str) -> bool:
    """Return whether a line of a legacy driver log is one of the wrapper."""
    return _RUNTIME.match(line) is not None
