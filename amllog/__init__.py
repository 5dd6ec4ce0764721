"""Logging for Azure Machine Learning: run metrics, driver log and Application Insights behind one logger."""

from amllog.account import Account
from amllog.api import carry, flush, get_logger, identity, setup, shutdown, status, trace_environment
from amllog.context import bound
from amllog.errors import AmllogError, AmllogWarning, ConfigError, MetricError, MissingExtraError
from amllog.identities import Identity
from amllog.logger import Logger
from amllog.version import __version__

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
    "flush",
    "get_logger",
    "identity",
    "setup",
    "shutdown",
    "status",
    "trace_environment",
]
