"""The result of a check, and the output of all checks of `amllog doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amllog.cli import output
from amllog.insights.reports.rendering import pluralize
from amllog.record.text import escape_controls

_COLOURS = {"ok": output.GREEN, "warn": output.YELLOW, "fail": output.RED}


class Check(NamedTuple):
    """The result of one check: `ok`, `warn` or `fail`, the subject, the finding, the advice, and files."""

    state: str
    about: str
    found: str
    advice: str = ""
    files: Sequence[str] = ()


def ok(about: str, found: str, advice: str = "", files: Sequence[str] = ()) -> Check:
    """Return a check that needs no action."""
    return Check("ok", about, found, advice, files)


def warn(about: str, found: str, advice: str) -> Check:
    """Return a check of something that works, but probably not as expected."""
    return Check("warn", about, found, advice)


def fail(about: str, found: str, advice: str) -> Check:
    """Return a check of something that does not work."""
    return Check("fail", about, found, advice)


def print_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """Print the checks. Return 1 if one failed."""
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if as_json:
        output.print_answer(output.to_json([check._asdict() for check in checks]))
        return int(failed > 0)
    # The subject may be the file name of a script.
    subjects = [escape_controls(check.about) for check in checks]
    width = max(map(len, subjects), default=0)
    for subject, check in zip(subjects, checks):
        state = output.paint(f"{check.state:<4}", _COLOURS[check.state])
        output.print_answer(f"{state}  {subject:<{width}}  {escape_controls(check.found)}")
        if check.advice:
            output.print_answer(f"{'':<{width + 6}}  → {escape_controls(check.advice)}")
    output.print_answer(f"{pluralize(len(checks), 'check')}: {failed} failed, {pluralize(warned, 'warning')}")
    return int(failed > 0)
