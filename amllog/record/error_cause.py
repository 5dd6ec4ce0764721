"""The cause in an error of a service, a credential or a library, on one line.

The errors of azure-identity have one line for each credential that was tried, most of which are not set up on this
machine (`_get_error_message` in `azure.identity._credentials.chained`). Errors of Microsoft Entra ID begin with a code
(AADSTS700082) and end with ids and a time ("Microsoft Entra authentication and authorization error codes",
learn.microsoft.com).
"""

from __future__ import annotations

from amllog.record.lazy_pattern import LazyPattern
from amllog.record.redaction import Redactor
from amllog.record.text import escape_controls, to_text, truncate

MAX_CHARACTERS = 1000
# A class of the user has any name. The list of a chain has a tab before each.
_ATTEMPT = LazyPattern(r"^(?:\s*(?=\w*Credential:)|\t)(\w+): (.*)$")
# Lines of azure-identity around the attempts.
_FRAME = ("Attempted credentials", "To mitigate this issue")
_IDS = LazyPattern(r"\s*\b(?:Trace ID|Correlation ID|Timestamp): \S+(?: [\d:]+Z?)?\.?")
_CODE = LazyPattern(r"AADSTS\d+")
_FIRST_SENTENCE = LazyPattern(r"^.*?[.!?](?=\s|$)")


def describe(error: BaseException) -> str:
    """Return the type of an error and its cause."""
    text = cause(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def cause(error: object) -> str:
    """Return the message of an error on one line, masked and truncated.

    Of the attempts of several credentials, the result has those with a code of Microsoft Entra ID. Without such a
    code, it has the first sentence of each attempt.
    """
    message, kind = to_text(error), type(error).__name__
    message = "" if message == kind else message.removeprefix(f"{kind}: ")
    attempts = _attempts(message)
    with_code = [(name, _line(reason)) for name, reason in attempts if _CODE.search(reason)]
    if with_code or attempts:
        parts = with_code or [(name, _sentence(reason)) for name, reason in attempts]
        # The name of a credential before a word would make the word look like a secret.
        return truncate("; ".join(f"{name}: {_masked(part)}" for name, part in parts), MAX_CHARACTERS)
    return _masked(_line(message))


def _masked(line: str) -> str:
    return Redactor().mask_and_truncate(line, MAX_CHARACTERS)


def _attempts(message: str) -> list[tuple[str, str]]:
    """Return the names and the messages of the credentials in a message of azure-identity."""
    attempts: list[list[str]] = []
    for line in message.splitlines():
        match = _ATTEMPT.search(line)
        if match is not None:
            attempts.append([match[1], match[2]])
        elif attempts and not line.strip().startswith(_FRAME):
            attempts[-1].append(line)
    return [(name, " ".join(lines)) for name, *lines in attempts]


def _sentence(text: str) -> str:
    line = _line(text)
    match = _FIRST_SENTENCE.search(line)
    return (match[0] if match else line).rstrip(".")


def _line(text: str) -> str:
    return escape_controls(" ".join(_IDS.sub("", text).split()))
