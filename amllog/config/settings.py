"""Read the settings from arguments and the environment.

An argument wins over the environment, which wins over the default. An empty variable counts as not set. `setup()`
reads the settings once. All problems are in one `ConfigError`, so that a user can correct them together.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings_table import BY_NAME, SETTINGS, Setting
from amllog.errors import ConfigError, Problem
from amllog.process import interrupts
from amllog.record.redaction import Redactor, mask_all_values
from amllog.record.secrets import secret_names


@dataclass(frozen=True)
class Settings:
    """The valid settings of a session, from arguments, environment and defaults."""

    connection_string: ConnectionString | None = None
    exporter: str = "auto"
    metrics: str = "auto"
    metrics_ranks: str = "0"
    level: int = logging.INFO
    driver_level: int = logging.INFO
    insights_level: int = logging.INFO
    driver_format: str = "auto"
    directory: Path | None = None
    run_type: str = ""
    # May contain a secret, like the dimensions.
    build_url: str = field(default="", repr=False)
    build_version: str = ""
    step_name: str = ""
    experiment_name: str = ""
    dimensions: Mapping[str, object] = field(default_factory=dict, repr=False)
    capture: tuple[str, ...] = ("logging", "warnings", "exceptions")
    redact: tuple[str, ...] = ()
    grace_seconds: float = 10.0
    journal_max_bytes: int = 1024**3


def resolve_settings(arguments: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """Return the settings from `arguments` and `environ`.

    Raise ConfigError with all problems: unknown arguments and invalid values.
    """
    problems = [_unknown(name, value) for name, value in arguments.items() if name not in BY_NAME]
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        source, value = _given(setting, arguments, environ)
        if value is None:
            continue
        try:
            values[setting.name] = setting.parse(value)
        except (ValueError, TypeError, ArithmeticError, RuntimeError, re.error) as error:
            interrupts.pass_on(error)
            reason = f" ({error})" if isinstance(error, re.error) else ""
            problems.append(
                Problem(source, _shown(value, setting.name), f"allowed is {setting.allowed}{reason}")
            )
    if problems:
        raise ConfigError(problems)
    level = values.setdefault("level", logging.INFO)
    for name in ("driver_level", "insights_level"):
        values.setdefault(name, level)
    return Settings(**values)


def with_connection(settings: Settings, target: ConnectionString) -> Settings:
    """Return the settings with another connection string."""
    return replace(settings, connection_string=target)


def find_secrets(environ: Mapping[str, str], target: ConnectionString | None = None) -> list[str]:
    """Return the values of environment variables with the name of a secret, and tokens in the paths of addresses.

    These values are masked wherever they occur, even if their format is not that of a secret.
    """
    # Copy the names first, because other threads may change the environment in the meantime.
    variables_now = [(name, environ.get(name, "")) for name in list(environ)]
    addresses = [value for _, value in variables_now] + ([target.endpoint] if target else [])
    tokens = [
        token for address in addresses if "://" in address for token in secret_names.path_tokens(address)
    ]
    return [value for name, value in variables_now if secret_names.is_secret_variable(name, value)] + tokens


def _given(
    setting: Setting, arguments: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[str, object | None]:
    if arguments.get(setting.name) is not None:
        return f"setup({setting.name}=…)", arguments[setting.name]
    for variable in setting.variables:
        if environ.get(variable, "").strip():
            return variable, environ[variable].strip()
    return "", None


def _unknown(name: str, value: object) -> Problem:
    near = difflib.get_close_matches(name, BY_NAME, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(BY_NAME)}"
    return Problem(f"setup({name}=…)", _shown(value), f"unknown setting{hint}")


def _shown(value: object, name: str = "") -> object:
    """Return an invalid value as the error shows it: truncated and with secrets masked."""
    if name == "connection_string":
        return mask_all_values(value, ";")
    if name == "dimensions":
        return mask_all_values(value, ",", bare=True)
    if isinstance(value, (int, float, type(None))):
        return value
    return Redactor().mask_and_truncate(Redactor().to_text(value), 200)
