"""The table of settings, and the function that reads them from arguments and the environment.

An argument wins over the environment, which wins over the default. An empty variable counts as not set. `setup()`
reads the settings once. All problems are in one `ConfigError`, so that a user can correct them together.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from amllog.config import parsers, variables
from amllog.config.parsers import ConnectionString
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


class Setting(NamedTuple):
    """One row of the table: the name of a setting, what it accepts and what it does."""

    name: str
    variables: tuple[str, ...]
    default: str
    allowed: str
    sentence: str
    parse: Callable[[Any], Any]


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


_LEVELS = "a level name (DEBUG, INFO, WARNING, ERROR, CRITICAL) or a number >= 0"

SETTINGS = (
    Setting(
        "connection_string",
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "APPINSIGHTS_INSTRUMENTATIONKEY", "AML_APP_INSIGHTS_KEY"),
        "none",
        "a connection string as the Azure portal shows it (InstrumentationKey=<GUID>;IngestionEndpoint=https://…)"
        " or a bare instrumentation key",
        "The Application Insights resource. Without it, records go to the journal and the driver log only.",
        parsers.parse_connection_string,
    ),
    Setting(
        "exporter",
        ("AMLLOG_EXPORTER",),
        "auto",
        "auto, opencensus, opentelemetry or none",
        "The exporter for Application Insights. auto is opencensus if a connection string is set.",
        parsers.parse_choice("auto", "opencensus", "opentelemetry", "none"),
    ),
    Setting(
        "metrics",
        ("AMLLOG_METRICS",),
        "auto",
        "auto, azureml, mlflow or none",
        "The exporter for run metrics. auto is azureml in a job, else mlflow if MLFLOW_TRACKING_URI is set.",
        parsers.parse_choice("auto", "azureml", "mlflow", "none"),
    ),
    Setting(
        "metrics_ranks",
        ("AMLLOG_METRICS_RANKS",),
        "0",
        "0 or all",
        "The ranks of a distributed step that write run metrics. All ranks write to Application Insights.",
        parsers.parse_choice("0", "all"),
    ),
    Setting(
        "level",
        ("AMLLOG_LEVEL",),
        "INFO",
        _LEVELS,
        "Records below this level are dropped.",
        parsers.parse_level,
    ),
    Setting(
        "driver_level",
        ("AMLLOG_DRIVER_LEVEL",),
        "level",
        _LEVELS,
        "The same for the driver log only.",
        parsers.parse_level,
    ),
    Setting(
        "insights_level",
        ("AMLLOG_INSIGHTS_LEVEL",),
        "level",
        _LEVELS,
        "The same for Application Insights only.",
        parsers.parse_level,
    ),
    Setting(
        "driver_format",
        ("AMLLOG_DRIVER_FORMAT",),
        "auto",
        "auto, console, plain or json",
        "The format of lines on stdout. auto is console on a terminal and in a notebook, otherwise plain.",
        parsers.parse_choice("auto", "console", "plain", "json"),
    ),
    Setting(
        "directory",
        (variables.DIRECTORY,),
        f"./{variables.JOB_DIRECTORY} in an Azure ML job, else ./{variables.LOCAL_DIRECTORY}",
        "a path",
        "The directory of the journal. If it is not writable, a temporary directory replaces it, with a notice.",
        parsers.parse_path,
    ),
    Setting(
        "run_type",
        ("AMLLOG_RUN_TYPE",),
        "none",
        "a string",
        "A dimension on every record, such as training or scoring.",
        parsers.parse_string,
    ),
    Setting(
        "build_url",
        ("AMLLOG_BUILD_URL",),
        "from Azure DevOps, GitHub Actions or the run's git properties",
        "a string",
        "A dimension on every record: the address of the build of this code.",
        parsers.parse_string,
    ),
    Setting(
        "build_version",
        ("AMLLOG_BUILD_VERSION",),
        "from Azure DevOps, GitHub Actions or the run's git properties",
        "a string",
        "A dimension on every record: the number of the build, or the commit.",
        parsers.parse_string,
    ),
    Setting(
        "step_name",
        ("AMLLOG_STEP_NAME",),
        "from the run, locally the name of the script",
        "a string",
        "The dimension step_name.",
        parsers.parse_string,
    ),
    Setting(
        "experiment_name",
        ("AMLLOG_EXPERIMENT_NAME",),
        "from the run, locally the name of the folder",
        "a string",
        "The dimension experiment_name.",
        parsers.parse_string,
    ),
    Setting(
        "dimensions",
        ("AMLLOG_DIMENSIONS",),
        "none",
        "key=value pairs separated by commas (team=nlp,owner=me), or a dict as argument",
        "Dimensions on every record.",
        parsers.parse_dimensions,
    ),
    Setting(
        "capture",
        ("AMLLOG_CAPTURE",),
        "logging,warnings,exceptions",
        "a list of logging, warnings, exceptions and prints, or none",
        "Other sources of records: stdlib logging, warnings, uncaught exceptions, prints.",
        parsers.parse_captures,
    ),
    Setting(
        "redact",
        ("AMLLOG_REDACT",),
        "none (the built-in patterns always apply)",
        "a list of regular expressions for keys, separated by commas",
        "More keys of dimensions whose values are masked. Passwords, tokens, keys, SAS and connection strings always"
        " are.",
        parsers.parse_patterns,
    ),
    Setting(
        "grace_seconds",
        ("AMLLOG_GRACE_SECONDS",),
        "10",
        "a number of seconds from 0 to 3600",
        "The time in which the process may deliver waiting records after the script has ended.",
        parsers.parse_seconds,
    ),
    Setting(
        "journal_max_bytes",
        ("AMLLOG_JOURNAL_MAX_BYTES",),
        "1 GiB",
        "a size of at least 1 MiB, in bytes or with a unit (500 MB, 2 GiB)",
        "Maximum size of the journal directory. Delivered files are deleted first, then new records are refused."
        " Files for the run are copied while the waiting copies take less than half of it.",
        parsers.parse_size,
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
