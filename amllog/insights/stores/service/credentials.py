"""The credential of the query client, whose errors have the cause and the remedy.

A credential may raise anything: azure-identity for an account, a variable or a library, and a user's own object. The
wrapper tells these errors from those of the request.
"""

from __future__ import annotations

import re
from typing import Any

from amllog.errors import MissingExtraError, UsageError
from amllog.record.error_cause import cause, describe

# Remedies for codes of Microsoft Entra ID ("Microsoft Entra authentication and authorization error codes").
_LOGIN = "run az login"
_REMEDIES = {
    **dict.fromkeys(
        ("50076", "50078", "50079", "50173", "65001", "70043", "700082", "700084", "9002341"), _LOGIN
    ),
    **dict.fromkeys(
        ("700016", "7000215", "7000222", "700027"),
        "check AZURE_CLIENT_ID and the secret or certificate of the client",
    ),
    **dict.fromkeys(("90002", "50020", "500011"), "check the tenant: AZURE_TENANT_ID, or az login --tenant"),
    **dict.fromkeys(
        ("53003", "53000", "50105", "50158"), "a policy of the tenant forbids it: ask its administrator"
    ),
}
_CODE = re.compile(r"AADSTS(\d+)")


class CheckedCredential:
    """A credential whose errors are UsageErrors. `subject`: what the token is for, in messages."""

    def __init__(self, credential: Any, subject: object) -> None:
        self._credential, self._subject = credential, subject

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """Return the token of the credential. Raises UsageError with the cause for any of its errors."""
        try:
            return self._credential.get_token(*scopes, **options)
        except Exception as error:  # of any class
            raise no_token(error, self._subject) from error


def no_token(error: BaseException, subject: object) -> UsageError:
    """Return the exception for a credential that has no token."""
    known = type(error).__name__ in ("ClientAuthenticationError", "CredentialUnavailableError")
    reason = cause(error) if known else describe(error)
    codes = _CODE.findall(reason)
    remedy = next(
        (_REMEDIES[code] for code in codes if code in _REMEDIES),
        "run az login, or pass credential= to connect()",
    )
    return UsageError(f"no token for {subject} ({reason}): {remedy}")


def default_credential(subject: object) -> Any:
    """Return the credential that azure-identity finds: variables, a managed identity, az login.

    Raises UsageError if a variable of it is invalid, such as AZURE_AUTHORITY_HOST.
    """
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise MissingExtraError("azure-identity", "insights") from None
    try:
        return DefaultAzureCredential()
    except Exception as error:  # it checks variables, and loads the libraries of its members
        raise UsageError(
            f"no token for {subject} ({describe(error)}): check the variables AZURE_*, or pass credential= to connect()"
        ) from error
