"""Classify an error of azureml or msrest: a response of the service, the network, or an invalid line."""

from __future__ import annotations

from typing import Any

from amllog.delivery.exporter import Verdict, refused, waiting
from amllog.exporters.run_metrics import metric_lines
from amllog.journal.artifact_copies import CopyBusy

# Errors of the line itself: a missing file, an unknown method, invalid arguments.
_LINE_ERRORS = (FileNotFoundError, LookupError, AttributeError, ArithmeticError, TypeError, ValueError)
# Errors of azureml, and errors with which msrest rejects a request before it sends it.
_USER_ERRORS = {"UserErrorException", "AzureMLAggregatedException", "ValidationError", "SerializationError"}
# For the page of a proxy. Both are ValueErrors.
_UNREADABLE = ("DecodeError", "DeserializationError")


def verdict_without_response(error: Exception) -> Verdict:
    """Return the verdict of an error without a response: refused for the line itself, otherwise waiting."""
    inner = getattr(error, "inner_exception", None) or error
    kinds = {type(cause).__name__ for cause in (error, inner)}
    kind = type(inner).__name__
    if (isinstance(error, _LINE_ERRORS) or kinds & _USER_ERRORS) and not kind.endswith(_UNREADABLE):
        return refused(metric_lines.error_reason({"error": {"message": f"{kind}: {_message(error)}"}}))
    return waiting(str(error) if isinstance(error, CopyBusy) else f"run history: {kind}")


def response_of(error: BaseException) -> Any:
    """Return the response of the service in an error of azureml or msrest, or None."""
    seen: list[BaseException] = []
    cause: Any = error
    while cause is not None and cause not in seen:
        response = getattr(cause, "response", None)
        if getattr(response, "status_code", None) is not None:
            return response
        seen.append(cause)
        cause = getattr(cause, "inner_exception", None) or cause.__cause__
    return None


def _message(error: Exception) -> str:
    try:
        return " ".join(str(getattr(error, "message", None) or error).split())
    except TypeError:  # str() of azureml's errors fails if the response had no body
        return ""
