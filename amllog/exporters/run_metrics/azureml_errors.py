"""Finds the cause of an error of azureml or msrest: an answer of the service, the network, or the line itself.

In: the error. Out: the answer behind it, or a verdict where there was none.
"""

from __future__ import annotations

from typing import Any

from amllog.delivery.exporter import Verdict, refused, waiting
from amllog.exporters.run_metrics import metric_lines
from amllog.journal.artifact_copies import CopyBusy

# What a line itself is to blame for: a file that is gone, a method that nobody knows, arguments that do not fit.
_OURS = (FileNotFoundError, LookupError, AttributeError, ArithmeticError, TypeError, ValueError)
# Errors of azureml, and those with which msrest rejects a request before it sends it.
_USER_ERRORS = {"UserErrorException", "AzureMLAggregatedException", "ValidationError", "SerializationError"}
_UNREADABLE = ("DecodeError", "DeserializationError")  # for the page of a proxy; both are ValueErrors


def without_answer(error: Exception) -> Verdict:
    """The line's own fault, or the network's."""
    inner = getattr(error, "inner_exception", None) or error
    kinds = {type(one).__name__ for one in (error, inner)}
    kind = type(inner).__name__
    if (isinstance(error, _OURS) or kinds & _USER_ERRORS) and not kind.endswith(_UNREADABLE):
        return refused(metric_lines.reason({"error": {"message": f"{kind}: {_told(error)}"}}))
    return waiting(str(error) if isinstance(error, CopyBusy) else f"run history: {kind}")


def response_of(error: BaseException) -> Any:
    """The service's answer behind an error of azureml's or msrest's, if there was one."""
    seen: list[BaseException] = []
    at: Any = error
    while at is not None and at not in seen:
        response = getattr(at, "response", None)
        if getattr(response, "status_code", None) is not None:
            return response
        seen.append(at)
        at = getattr(at, "inner_exception", None) or at.__cause__
    return None


def _told(error: Exception) -> str:
    try:
        return " ".join(str(getattr(error, "message", None) or error).split())
    except TypeError:  # azureml's own errors fail to become text where an answer had no body
        return ""
