"""Errors of azureml and msrest: their responses and verdicts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from amllog.exporters.run_metrics.azureml_errors import response_of, verdict_without_response
from amllog.journal.artifact_copies import CopyBusy


class UserErrorException(Exception):
    """An error with the name of azureml's."""


class DeserializationError(ValueError):
    """An error with the name of msrest's."""


def caused(error: Exception, **attributes: object) -> Exception:
    """Return an error with attributes."""
    vars(error).update(attributes)
    return error


def test_response_is_found_in_inner_errors() -> None:
    """The response is in the error, in its inner exception or in its cause. Cycles end the search."""
    response = SimpleNamespace(status_code=503)
    inner = caused(ValueError(), response=response)
    assert response_of(inner) is response
    assert response_of(caused(Exception(), inner_exception=inner)) is response
    assert response_of(caused(Exception(), __cause__=inner)) is None  # a plain attribute is not the cause
    cycle = Exception()
    assert response_of(caused(cycle, inner_exception=cycle)) is None


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (LookupError("no method"), "refused", "run history: LookupError: no method"),
        (UserErrorException("bad 'name'"), "refused", "run history: UserErrorException: bad …"),
        (
            caused(Exception(), inner_exception=FileNotFoundError()),
            "waiting",
            "run history: FileNotFoundError",
        ),
        (DeserializationError("page"), "waiting", "run history: DeserializationError"),
        (ConnectionError("x"), "waiting", "run history: ConnectionError"),
        (CopyBusy("copy of a file: busy"), "waiting", "copy of a file: busy"),
    ],
)
def test_verdict_without_a_response(error: Exception, state: str, reason: str) -> None:
    """Errors of the line are refused, and errors of the network wait."""
    assert verdict_without_response(error) == (state, reason)
