"""Defines every error and warning of amllog.

AmllogError (Exception)
 ├── ConfigError          settings are wrong; raised by setup() with every problem in it
 ├── MetricError          a metric that is no number, or a name that cannot be one (also a TypeError/ValueError)
 ├── MissingExtraError    an optional package is needed; says the install line
 ├── ServiceError         the query service gave no answer: throttled, too slow, out of reach; asking later may help
 └── UsageError           a command or a question cannot be answered as it was asked

AmllogWarning (UserWarning)  said once through `warnings`, for the developer of the script
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from amllog.record.text import escape_controls


class Problem(NamedTuple):
    """One wrong setting: what was set, to which value, and what is allowed."""

    variable: str
    value: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.variable} = {self.value!r}: {self.allowed}"


class AmllogError(Exception):
    """Base of every error that amllog raises."""


class ConfigError(AmllogError, ValueError):
    """Settings are wrong: `problems` has every one of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = "1 setting is wrong" if count == 1 else f"{count} settings are wrong"
        return "\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)])


class MetricError(AmllogError, TypeError, ValueError):
    """A metric's value is no number, or its name is empty or too long."""


class MissingExtraError(AmllogError, ImportError):
    """An optional package is needed for what was asked."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is not installed: pip install 'amllog[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.package, self.extra)  # it comes back whole from a worker process


class _VisibleError(AmllogError):
    """An error whose text may quote records: control characters are written out, and it is one line."""

    def __init__(self, told: str) -> None:
        super().__init__(escape_controls(told))


class ServiceError(_VisibleError):
    """The query service gave no answer to a question that is right; the text says what to do."""


class UsageError(_VisibleError, ValueError):
    """A command or a question cannot be answered as it was asked; the text says what to do."""


class AmllogWarning(UserWarning):
    """Something that the developer of a script should know, said once."""


def warn(told: str) -> None:
    """An AmllogWarning at the line of the script that led here, however deep inside amllog that was seen."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "amllog":
        frame, level = frame.f_back, level + 1
    warnings.warn(told, AmllogWarning, stacklevel=level)
