"""Logging for Azure Machine Learning: run metrics, driver log and Application Insights behind one logger."""

from amllog.__version__ import __version__
from amllog.context.current import bound
from amllog.context.identity import Identity
from amllog.delivery.account import Account
from amllog.errors import AmllogError, AmllogWarning, ConfigError, MetricError, MissingExtraError
from amllog.session.api import (
    carry,
    debug,
    flush,
    get_logger,
    identity,
    join_at_import as _join_at_import,
    setup,
    shutdown,
    status,
    trace_environment,
)
from amllog.sources.logger import Logger

__all__ = [
    "Account",
    "AmllogError",
    "AmllogWarning",
    "ConfigError",
    "Identity",
    "Logger",
    "MetricError",
    "MissingExtraError",
    "__version__",
    "bound",
    "carry",
    "debug",
    "flush",
    "get_logger",
    "identity",
    "setup",
    "shutdown",
    "status",
    "trace_environment",
]

_join_at_import()
