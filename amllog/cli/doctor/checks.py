"""What a check says, and how a list of checks is told.

In: checks as values. Out: lines with ok, warn or fail, each with what to do; 1 if one failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amllog.cli import rows
from amllog.record.text import escape_controls

_COLOURS = {"ok": rows.GREEN, "warn": rows.YELLOW, "fail": rows.RED}


class Check(NamedTuple):
    """One thing that was looked at: `ok`, `warn` or `fail`; what was found; what to do about it."""

    state: str
    about: str
    found: str
    advice: str = ""


def ok(about: str, found: str) -> Check:
    """Nothing to do."""
    return Check("ok", about, found)


def warn(about: str, found: str, advice: str) -> Check:
    """Works, but not as one would expect."""
    return Check("warn", about, found, advice)


def fail(about: str, found: str, advice: str) -> Check:
    """Will not work."""
    return Check("fail", about, found, advice)


def tell(checks: Sequence[Check], *, as_json: bool) -> int:
    """Print them; 1 if one failed."""
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if as_json:
        rows.answer(rows.as_json([check._asdict() for check in checks]))
        return int(failed > 0)
    abouts = [escape_controls(check.about) for check in checks]  # of a script, the name of its file
    width = max(map(len, abouts), default=0)
    for about, check in zip(abouts, checks):
        state = rows.paint(f"{check.state:<4}", _COLOURS[check.state])
        rows.answer(f"{state}  {about:<{width}}  {escape_controls(check.found)}")
        if check.advice:
            rows.answer(f"{'':<{width + 6}}  → {escape_controls(check.advice)}")
    rows.answer(f"{rows.count(len(checks), 'check')}: {failed} failed, {rows.count(warned, 'warning')}")
    return int(failed > 0)
