"""Read the settings from arguments and the environment.

An argument wins over the environment, which wins over the default. An empty variable counts as not set. `setup()`
reads the settings once. All problems are in one `ConfigError`, so that a user can correct them together.

An invalid argument always raises. An invalid variable raises where a person sees it at once, which is outside a job, or
if `strict` is true. In a job, it must not end a run that has waited for its node. There, the default replaces it, and
`Settings.problems` has the problem.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amllog.config import parsers
from amllog.config.parsers import Address, ConnectionString
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
    capture: tuple[str, ...] = ("logging", "warnings", "exceptions", "loguru")
    redact: tuple[str, ...] = ()
    grace_seconds: float = 10.0
    journal_max_bytes: int = 1024**3
    debug: bool = False
    debug_address: Address | None = None
    debug_seconds: float = 300.0
    # Whether an invalid variable raises. `auto` is resolved already.
    strict: bool = True
    # Invalid variables that did not raise.
    problems: tuple[Problem, ...] = field(default=(), compare=False, repr=False)

    def is_invalid(self, name: str) -> bool:
        """Return whether a variable of the setting `name` is invalid."""
        return any(problem.variable in BY_NAME[name].variables for problem in self.problems)


def resolve_settings(
    arguments: Mapping[str, object], environ: Mapping[str, str], *, in_job: bool
) -> Settings:
    """Return the settings from `arguments` and `environ`. `in_job`: `strict=auto` is false.

    Raise ConfigError with all problems, if there are unknown or invalid arguments, or invalid variables that raise.
    """
    of_arguments = [_unknown(name, value) for name, value in arguments.items() if name not in BY_NAME]
    of_variables: list[Problem] = []
    notes: dict[str, str] = {}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        source, value = _given(setting, arguments, environ)
        if value is None:
            continue
        try:
            values[setting.name] = setting.parse(value)
        except parsers.INVALID as error:
            interrupts.pass_on(error)
            reason = f" ({error})" if isinstance(error, (re.error, Warning)) else ""
            problem = Problem(source, _shown(value, setting.name), f"allowed is {setting.allowed}{reason}")
            if source not in setting.variables:
                of_arguments.append(problem)
                continue
            of_variables.append(problem)
            replacement = setting.fallback(str(value)) if setting.fallback else None
            if replacement is not None:
                values[setting.name] = replacement
                notes[source] = f" ({replacement!r} is used)"
    chosen = values.get("strict", "auto")
    values["strict"] = chosen == "true" or (chosen == "auto" and not in_job)
    if of_arguments or (of_variables and values["strict"]):
        raise ConfigError([*of_arguments, *of_variables])
    level = values.setdefault("level", logging.INFO)
    for name in ("driver_level", "insights_level"):
        values.setdefault(name, level)
    noted = (
        problem._replace(allowed=problem.allowed + notes.get(problem.variable, ""))
        for problem in of_variables
    )
    return Settings(**values, problems=tuple(noted))


def inspect_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings of the environment as in a job, where nothing raises, with all problems in `problems`."""
    settings = resolve_settings({"strict": False}, environ, in_job=True)
    try:
        resolve_settings(
            {}, {name: environ.get(name, "") for name in BY_NAME["strict"].variables}, in_job=False
        )
    except ConfigError as error:
        interrupts.pass_on(error)
        return replace(settings, problems=(*settings.problems, *error.problems))
    return settings


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
