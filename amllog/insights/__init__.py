"""The reading side: from a failed run to the record that explains it.

`insights.connect()` returns an `Insights` over the journals of this machine or over the service. Each question is a
method of it, and so are `story`, `compare`, `tree` and `watch`.

The names are imported on first use. The command line imports a few modules of this package for every command, and most
commands read no record.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amllog.insights.connection import connect
    from amllog.insights.insights import Insights
    from amllog.insights.query.result import Table
    from amllog.insights.questions import Questions

__all__ = ["Insights", "Questions", "Table", "connect"]

_MODULES = {
    "Insights": "insights",
    "Questions": "questions",
    "Table": "query.result",
    "connect": "connection",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the module, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
