"""Capture warnings below `warnings.showwarning`, which programs replace and restore."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

from amllog.process.hooks import Hook
from amllog.record import log_call, text
from amllog.sources.messages import Messages


def warnings_hook(messages: Messages) -> Hook:
    """Return a hook that records each warning that is shown, and then lets the program show it.

    Python calls `warnings._showwarnmsg`. Its docstring allows to replace it. It calls `warnings.showwarning`. Warnings
    that are collected or written to a file of the program are not recorded, and those of `logging.captureWarnings` are
    records of logging.
    """
    around = _collector()  # setup() may be called while warnings are collected, as in pytest

    def show(shown: Any) -> None:
        collector = _collector()
        is_collected = collector is not None and collector is not around
        if (
            shown.file is None
            and not is_collected
            and not _is_of_logging(getattr(warnings, "showwarning", None))
        ):
            place = log_call.line_site(shown.filename, shown.lineno)
            messages.captured_line(logging.WARNING, "py.warnings", text.to_text(shown.message), place)
        hook.before(shown)

    hook = Hook(warnings, "_showwarnmsg", show)
    return hook


def _collector() -> object:
    """Return the list of the innermost `warnings.catch_warnings(record=True)`, or None."""
    if sys.version_info >= (3, 14):
        collected: object = getattr(warnings._get_context(), "log", None)  # type: ignore[attr-defined]  # private
        if collected is not None:
            return collected
    owner = getattr(getattr(warnings, "_showwarnmsg_impl", None), "__self__", None)
    return owner if isinstance(owner, list) else None


def _is_of_logging(show: Any) -> bool:
    """Return whether logging shows warnings (logging.captureWarnings), also after a reload of logging."""
    return getattr(show, "__module__", "") == "logging"
