"""Every error and warning that amllog raises.

AmllogError (Exception)
 ├── ConfigError          Settings are invalid. setup() raises it with all problems.
 ├── MetricError          The value or the name of a metric is invalid. Also a TypeError and a ValueError.
 ├── PipelineError        A pipeline cannot run on this machine. `findings` has every reason with its line.
 ├── MissingExtraError    An optional package is not installed. The message has the pip command.
 ├── ServiceError         The query service did not answer: throttled, too slow or unreachable. Retry later.
 └── UsageError           A command or a query cannot be answered with its arguments.

AmllogWarning (UserWarning)  Issued through `warnings` for the developer of the script.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from amllog.record.text import escape_controls


class _Unshown:
    """The value of a problem whose message does not contain the value."""

    def __repr__(self) -> str:
        return "(not shown)"


UNSHOWN = _Unshown()


class Problem(NamedTuple):
    """An invalid setting: where it was set, its value, and what is allowed."""

    variable: str
    value: object
    allowed: str

    def __str__(self) -> str:
        if self.value is UNSHOWN:
            return f"{self.variable} {self.allowed}"
        return f"{self.variable} = {self.value!r}: {self.allowed}"


class AmllogError(Exception):
    """Base class of all errors that amllog raises."""


class ConfigError(AmllogError, ValueError):
    """The error of invalid settings. `problems` lists all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = "1 setting is invalid" if count == 1 else f"{count} settings are invalid"
        return "\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)])


class MetricError(AmllogError, TypeError, ValueError):
    """The value of a metric is not a number, or its name is empty or too long."""


class PipelineError(AmllogError, ValueError):
    """A pipeline cannot run on this machine. `findings` lists every reason, with its file and its line."""

    def __init__(self, findings: Sequence[object]) -> None:
        self.findings = tuple(findings)
        super().__init__(self.findings)

    def __str__(self) -> str:
        count = len(self.findings)
        head = "1 error prevents the run" if count == 1 else f"{count} errors prevent the run"
        return "\n".join([f"{head}:", *(escape_controls(str(finding)) for finding in self.findings)])


class MissingExtraError(AmllogError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is not installed: pip install 'amllog[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        # A worker process passes it to its parent with both arguments.
        return type(self), (self.package, self.extra)


class _EscapedMessage(Exception):
    """A part of errors whose message may quote records. It is one line with control characters escaped."""

    def __init__(self, message: str) -> None:
        super().__init__(escape_controls(message))


class ServiceError(_EscapedMessage, AmllogError):
    """The query service did not answer a valid query. The message says what to do."""


class UsageError(_EscapedMessage, AmllogError, ValueError):
    """A command or a query cannot be answered with its arguments. The message says what to do."""


class AmllogWarning(UserWarning):
    """A problem that the developer of a script should know about."""


def warn(message: str) -> None:
    """Issue an AmllogWarning at the line of the script that called amllog, at any depth of calls inside amllog."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "amllog":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, AmllogWarning, stacklevel=level)
