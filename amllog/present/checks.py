"""What a check says, and how a list of checks is told.

In: checks as values. Out: lines with ok, warn or fail, each with what to do; 1 if one failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amllog.present import show

_COLOURS = {"ok": show.GREEN, "warn": show.YELLOW, "fail": show.RED}


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
        show.answer(show.as_json([check._asdict() for check in checks]))
        return int(failed > 0)
    abouts = [show.visible(check.about) for check in checks]  # of a script, the name of its file
    width = max(map(len, abouts), default=0)
    for about, check in zip(abouts, checks):
        state = show.paint(f"{check.state:<4}", _COLOURS[check.state])
        show.answer(f"{state}  {about:<{width}}  {show.visible(check.found)}")
        if check.advice:
            show.answer(f"{'':<{width + 6}}  → {show.visible(check.advice)}")
    show.answer(f"{show.count(len(checks), 'check')}: {failed} failed, {show.count(warned, 'warning')}")
    return int(failed > 0)
