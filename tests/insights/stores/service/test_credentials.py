"""The errors of credentials: of the real azure-identity, and of objects of users."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.stores.service.credentials import CheckedCredential, no_token

COMMAND = [sys.executable, "-m", "amllog", "logs", "all", "--app-id", "00000000-0000-0000-0000-000000000001"]
AZ = """#!/bin/sh
echo "ERROR: AADSTS{code}: The refresh token has expired due to inactivity. The token was issued on 2025-01-01." >&2
echo "Trace ID: 7d2c0d0b-5b0f-4b6e-8f7a-d1c9f0a0a000 Correlation ID: 1 Timestamp: 2026-01-01 10:00:00Z" >&2
exit 1
"""


def query(child: Any, **environment: str) -> str:
    """Return the one line that a query prints under the variables."""
    ran = child(COMMAND, env=environment)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran
    return ran.stderr


@pytest.mark.parametrize(("code", "remedy"), [("700082", "run az login"), ("90002", "check the tenant")])
def test_the_cause_of_the_real_credential(child: Any, tmp_path: Path, code: str, remedy: str) -> None:
    """The message of `az` keeps its code and sentence, and the remedy fits the code."""
    az = tmp_path / "bin" / "az"
    az.parent.mkdir()
    az.write_text(AZ.replace("{code}", code))
    az.chmod(0o755)
    path = f"{az.parent}{os.pathsep}{os.environ['PATH']}"
    line = query(child, PATH=path, AZURE_TOKEN_CREDENTIALS="AzureCliCredential")
    assert f"AADSTS{code}: The refresh token has expired due to inactivity." in line
    assert remedy in line and "Trace ID" not in line


@pytest.mark.parametrize(
    "environment",
    [{"AZURE_AUTHORITY_HOST": "http://login.invalid"}, {"AZURE_TOKEN_CREDENTIALS": "nonsense"}],
    ids=["authority", "selection"],
)
def test_invalid_variables_of_azure(child: Any, environment: dict[str, str]) -> None:
    """A variable that azure-identity rejects is an error on one line, without a traceback."""
    assert "check the variables AZURE_*" in query(child, **environment)


class Sealed:
    """A credential of a user that raises its own error."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        raise RuntimeError("vault is sealed\nsince yesterday, password=hunter22")


def test_any_error_of_a_credential() -> None:
    """An error of any class becomes a UsageError with its type and message on one line, without secrets."""
    with pytest.raises(UsageError) as raised:
        CheckedCredential(Sealed(), "app_id='x'").get_token("scope")
    assert str(raised.value).startswith(
        "no token for app_id='x' (RuntimeError: vault is sealed since yesterday, "
    )
    assert "hunter22" not in str(raised.value)


def test_remedies() -> None:
    """The remedy of the first known code is in the message, and otherwise the general one."""
    assert "check AZURE_CLIENT_ID" in str(
        no_token(ValueError("AADSTS7000215: Invalid client secret provided."), "x")
    )
    assert "run az login, or pass credential=" in str(no_token(ValueError("AADSTS1: ?"), "x"))
