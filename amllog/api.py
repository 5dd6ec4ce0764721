"""The public functions, and the one global behind them: the session of this process.

In: what scripts call. Out: loggers, accounts, the identity. Nothing happens at import.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from amllog import identity as identities, settings as config
from amllog.account import Account
from amllog.identity import Identity, RunFacts
from amllog.logger import Logger, Voice
from amllog.session import Session, host

SESSION = Session()


def voice(name: str) -> Voice:
    """The voice of a logger's name; how pickled loggers find the session of their process."""
    return Voice(name, SESSION.gate, voice)


def setup(**settings: Any) -> Logger:
    """Put run metrics, the driver log and Application Insights behind one logger, and return it.

    Everything comes from the environment where it is not given here; docs/settings.md lists all settings. Calling it
    again reconfigures and never doubles. Raises ConfigError with every problem; nothing else for what the services do.
    """
    SESSION.setup(settings)
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")
    return get_logger(caller)


def get_logger(name: str = "__main__", **dimensions: object) -> Logger:
    """A logger, also before setup(); `dimensions` are bound to it."""
    return Logger(voice(name), (), dict(dimensions))


def flush(timeout: float = 10.0) -> Account:
    """Deliver what waits, for at most `timeout` seconds; the account says what still waits."""
    return SESSION.flush(timeout)


def shutdown(timeout: float | None = None) -> Account:
    """End amllog in this process within `timeout` seconds (default: grace_seconds); what waits stays on disk."""
    return SESSION.shutdown(timeout)


def status() -> Account:
    """The account: what was accepted in this process, and what of it is delivered, waiting or refused."""
    return SESSION.status()


def identity() -> Identity:
    """Which run, step, experiment, node and rank this process is; before setup(), as setup() would find it."""
    if SESSION.identity is not None:
        return SESSION.identity
    settings = config.resolve({}, os.environ)
    return identities.discover(os.environ, host(), settings, RunFacts())
