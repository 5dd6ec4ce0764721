"""`amllog.debug()` and the setting `debug`: a debugger for the step.

Only the process that is the step listens, and only on rank 0. In a job, nothing of this ends the step: an error is
printed, and the step continues without a debugger.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from amllog.config import parsers
from amllog.config.parsers import Address
from amllog.config.settings import Settings
from amllog.config.settings_table import BY_NAME
from amllog.config.variables import DEBUG_SOURCE
from amllog.context.identity import Identity
from amllog.errors import ConfigError, MissingExtraError, Problem
from amllog.process import debug_server, interrupts
from amllog.session.session import Session

_DEFAULT = Address("127.0.0.1", 5678)
_WORKSPACE = "${workspaceFolder}"  # VS Code's variable for the folder that it has open


def with_arguments(settings: Settings, address: object, seconds: object) -> Settings:
    """Return the settings with the arguments of `amllog.debug()`. Raise ConfigError if one is invalid."""
    values = {"debug_address": address, "debug_seconds": seconds}
    parsed, problems = {}, []
    for name, value in values.items():
        if value is not None:
            try:
                parsed[name] = BY_NAME[name].parse(value)
            except parsers.INVALID as error:
                interrupts.pass_on(error)
                argument = name.partition("_")[2]
                problems.append(Problem(f"debug({argument}=…)", value, f"allowed is {BY_NAME[name].allowed}"))
    if problems:
        raise ConfigError(problems)
    return replace(settings, **parsed)


def is_for_setup(session: Session) -> bool:
    """Return whether setup() waits for a debugger: if it is configured, in the process that is the step."""
    identity = session.identity
    is_step = identity is not None and not identity.is_child and not session.joining.has_joined
    return session.settings.debug and is_step


def wait(session: Session, settings: Settings, identity: Identity, environ: Mapping[str, str]) -> bool:
    """Wait for a debugger. Return whether one is attached.

    Raise MissingExtraError if debugpy is not installed. In a job, print the error instead.
    """
    if not session.step.is_here or (identity.rank or 0) != 0:
        return False

    def report(message: str) -> None:
        # The level is at least that of the driver log, because the step stands still.
        session.notice(message, max(logging.WARNING, session.settings.driver_level))

    address = settings.debug_address or _DEFAULT
    options = debug_server.DebugOptions(
        *address,
        is_port_fixed=settings.debug_address is not None,
        seconds=settings.debug_seconds,
        source=environ.get(DEBUG_SOURCE, "") or (_WORKSPACE if identity.in_job else ""),
        name=f"amllog: {identity.step_name}",
    )
    try:
        return debug_server.wait_for_debugger(options, report, interrupts.pass_on)
    except ImportError as error:
        missing = MissingExtraError("debugpy", "debug")
        if not identity.in_job:
            raise missing from error
        report(f"no debugger: {missing}")
    except (OSError, RuntimeError) as error:
        interrupts.pass_on(error)
        report(f"no debugger: {error}")
    return False
