"""Notices on the driver log, each printed once. They are not records of the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from amllog.config.settings import Settings
from amllog.exporters.driver_log import DriverLog, Line


class Notices:
    """The printer of notices. `settings` returns the current settings, which define format and level."""

    def __init__(self, settings: Callable[[], Settings], environ: Mapping[str, str]) -> None:
        self._settings, self._environ = settings, environ
        self._printed: set[str] = set()

    def print(self, message: str, level: int = logging.INFO) -> None:
        """Print `message`, unless it was printed before or the level of the driver log is above `level`."""
        settings = self._settings()
        if message not in self._printed and level >= settings.driver_level:
            self._printed.add(message)
            terminal = self._environ.get("TERM", "")
            driver = DriverLog(settings.driver_format, settings.driver_level, {}, terminal)
            driver.write(Line(time.time(), level, logging.getLevelName(level), "amllog", message, {}))
