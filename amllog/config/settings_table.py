"""The table of settings: names, environment variables, defaults, allowed values and descriptions.

docs/settings.md and the messages of ConfigError show its strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from amllog.config import parsers, variables
from amllog.record.line_format import LEVEL_NAMES


class Setting(NamedTuple):
    """One row of the table: the name, the variables, the allowed values and the effect of a setting."""

    name: str
    variables: tuple[str, ...]
    default: str
    allowed: str
    sentence: str
    parse: Callable[[Any], Any]
    # Returns what replaces an invalid value of a variable, instead of the default. None is the default.
    fallback: Callable[[str], Any] | None = None


_LEVELS = f"a level name ({', '.join(LEVEL_NAMES)}) or a number >= 0"

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
        parsers.none_if_off("none"),
    ),
    Setting(
        "metrics",
        ("AMLLOG_METRICS",),
        "auto",
        "auto, azureml, mlflow or none",
        "The exporter for run metrics. auto is azureml in a job, else mlflow if MLFLOW_TRACKING_URI is set.",
        parsers.parse_choice("auto", "azureml", "mlflow", "none"),
        parsers.none_if_off("none"),
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
        "logging,warnings,exceptions,loguru",
        "a list of logging, warnings, exceptions, loguru and prints, or none",
        "Other sources of records: stdlib logging (and structlog), warnings, uncaught exceptions, loguru, prints.",
        parsers.parse_captures,
        parsers.none_if_off(()),
    ),
    Setting(
        "redact",
        ("AMLLOG_REDACT",),
        "none (the built-in patterns always apply)",
        "a list of regular expressions for keys, separated by commas",
        "More keys of dimensions whose values are masked. Passwords, tokens, keys, SAS and connection strings always"
        " are.",
        parsers.parse_patterns,
        parsers.patterns_or_words,  # the default would send values that the user wanted to be masked
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
    Setting(
        "debug",
        (variables.DEBUG,),
        "false",
        "true or false, or 1 or 0",
        "Whether `setup()` calls `amllog.debug()` in the process that is the step.",
        parsers.parse_switch,
    ),
    Setting(
        "debug_address",
        ("AMLLOG_DEBUG_ADDRESS",),
        "127.0.0.1:5678, or another port if this one is in use",
        "host:port, or a port of 127.0.0.1; port 0 is any free one",
        "The address for a debugger. Whoever reaches it can run code in the step.",
        parsers.parse_address,
    ),
    Setting(
        "debug_seconds",
        ("AMLLOG_DEBUG_SECONDS",),
        "300",
        "a number of seconds from 0 to 3600",
        "The time for which `amllog.debug()` waits for a debugger.",
        parsers.parse_seconds,
    ),
    Setting(
        "strict",
        ("AMLLOG_STRICT",),
        "auto",
        "auto, true or false",
        "Whether an invalid value in a variable raises ConfigError. auto is false in an Azure ML job, else true."
        " If it does not raise, the default is used, and a WARNING and `status()` report it. Invalid arguments of"
        " `setup()` always raise.",
        parsers.parse_strict,
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
