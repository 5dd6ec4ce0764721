"""The cause of an error on one line."""

from __future__ import annotations

from hypothesis import given, strategies as st

from amllog.record.error_cause import MAX_CHARACTERS, cause, describe

CHAIN = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables are not fully configured.
Visit https://aka.ms/azsdk/python/identity/environmentcredential/troubleshoot to troubleshoot this issue.
\tAzureCliCredential: ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2025-01-01.\r
Trace ID: 7d2c0d0b-5b0f-4b6e-8f7a-d1c9f0a0a000 Correlation ID: 7d2c0d0b-5b0f-4b6e-8f7a-d1c9f0a0a001 Timestamp: 2026-01-01 10:00:00Z
To mitigate this issue, please refer to the troubleshooting guidelines here at https://aka.ms/azsdk/python/identity.
"""  # noqa: E501


def test_the_attempt_with_a_code() -> None:
    """Of a chain of credentials, the attempt with a code of Microsoft Entra ID remains."""
    assert cause(RuntimeError(CHAIN)) == (
        "AzureCliCredential: ERROR: AADSTS700082: The refresh token has expired due to inactivity. "
        "The token was issued on 2025-01-01."
    )


def test_a_credential_of_the_user() -> None:
    """The attempt of a class with any name in a chain keeps its code, and is not masked."""
    attempts = "\tVault: is sealed.\n\tB: Authentication failed: AADSTS50076: Use MFA.\r\nTrace ID: 1"
    assert (
        cause(f"Failed.\nAttempted credentials:\n{attempts}")
        == "B: Authentication failed: AADSTS50076: Use MFA."
    )


def test_attempts_without_a_code() -> None:
    """Without a code, the first sentence of each attempt remains."""
    message = "Failed.\nAttempted credentials:\n\tACredential: is not set. See there.\n\tBCredential: no host 10.0.0.1"
    assert cause(message) == "ACredential: is not set; BCredential: no host 10.0.0.1"


def test_one_line() -> None:
    """Another message becomes one line, without secrets and control characters."""
    assert describe(ValueError("a\r\n  b\tpassword=hunter22\x1b[31m")) == "ValueError: a b password=***[31m"
    assert describe(KeyError()) == "KeyError"
    assert describe(OSError("x" * 5000)).startswith("OSError: xxx")


class Hostile(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_error_without_a_message() -> None:
    """An error whose `__str__` raises is described by its type."""
    assert describe(Hostile()).startswith("Hostile")


@given(st.text())
def test_any_message(message: str) -> None:
    """Any message becomes one short line."""
    text = cause(message)
    assert len(text) <= MAX_CHARACTERS
    assert not set(text) & {"\n", "\r", "\x1b"}
