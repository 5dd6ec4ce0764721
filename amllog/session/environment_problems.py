"""Report the problems of the environment variables: in one WARNING record, and in the account.

The record reaches Application Insights and the journal, where the person who is responsible for the step looks. It is
written once in a process, also after another setup() with the same problems.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType

from amllog.config.settings import Settings
from amllog.config.unknown_variables import find_unknown
from amllog.context.identity import Identity
from amllog.delivery.account import Account, OutletAccount
from amllog.exporters.driver_log import DriverLog
from amllog.session.step import Step
from amllog.sources.messages import Messages

_WAITING = " Records wait in the journal until `amllog deliver` has a valid connection string."


class EnvironmentProblems:
    """The problems of the last setup(), and those that were reported."""

    def __init__(self) -> None:
        self._present: tuple[str, ...] = ()
        self._reported: tuple[str, ...] = ()
        self._has_destination = True

    def report(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        identity: Identity,
        messages: Messages,
        step: Step,
    ) -> None:
        """Record one WARNING with all invalid and unknown variables, unless it was recorded before.

        Processes that belong to the step of another process have the same environment, and record none.
        """
        self._present = tuple(map(str, (*settings.problems, *find_unknown(environ))))
        self._has_destination = not settings.is_invalid("connection_string")
        if step.is_here and not identity.is_child and self._present and self._present != self._reported:
            self._reported = self._present
            count = len(self._present)
            head = "1 environment variable is" if count == 1 else f"{count} environment variables are"
            text = f"{head} invalid, and defaults are used: {'; '.join(self._present)}."
            text += "" if self._has_destination else _WAITING
            messages.log(logging.WARNING, "amllog", text, (), {}, {}, _frame_of_script())

    def complete(self, account: Account, driver_log: OutletAccount) -> Account:
        """Return the account of the journal with the driver log and the problems."""
        return replace(account.with_outlet(DriverLog.name, driver_log), problems=self._present)


def _frame_of_script() -> FrameType:
    """Return the frame that called amllog, or the outermost one of amllog."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "amllog":
        frame = frame.f_back
    return frame
