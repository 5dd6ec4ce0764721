"""Mask values that follow the name of a secret, a header or an option.

`***` replaces the value. The name stays visible.
"""

from __future__ import annotations

import re
from functools import partial

from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets import credential_calls
from amllog.record.secrets.named_patterns import COMMANDS, COOKIES, LIKELY, NAMED
from amllog.record.secrets.placeholders import is_harmless
from amllog.record.secrets.provider_secrets import MASK

_OPENING = LazyPattern(r"[bBfFnNrRuU]{0,2}(?:\"{3}|'{3}|\\*[\"'])|[\[({]|&[a-z0-9#]+;")

MAX_DEPTH = 8  # of names in the values of other names: `token=a:token=b:…`


def mask(string: str) -> str:
    """Return the string with every value masked that follows the name of a secret."""
    lowered = string.lower()
    if not _has_a_word(lowered):
        return string
    if "(" in lowered and credential_calls.may_match(lowered):
        string = credential_calls.mask(string)
    if LIKELY.search(lowered) is None:
        return string
    if "cookie" in lowered:
        string = COOKIES.sub(_replaced, string)
    return NAMED.sub(_replaced, string)


def _has_a_word(lowered: str) -> bool:
    """Return whether a string in lower case has one of the words that `LIKELY` needs.

    Plain searches are the fastest. Words that share a rare letter are searched only in a string that has this letter.
    """
    return (
        (
            "k" in lowered
            and (("ke" in lowered and _has_a_key(lowered)) or "cookie" in lowered or "kty" in lowered)
        )
        or (
            "w" in lowered
            and ("pw" in lowered or "wandb" in lowered or ("ws" in lowered and _has_a_cloud(lowered)))
        )
        or ("b" in lowered and ("bearer" in lowered or "basic" in lowered or "fied by" in lowered))
        or ("c" in lowered and (("cre" in lowered and _has_a_secret(lowered)) or "curl" in lowered))
        or "pass" in lowered
        or "auth" in lowered
        or "_pat" in lowered
        or ("y" in lowered and "identity" in lowered)
        or ("@" in lowered and _has_an_address(lowered))
        or (
            "=" in lowered
            and (
                "sig" in lowered
                or ("id=" in lowered and _has_an_id(lowered))
                or (("?" in lowered or "&" in lowered) and _has_a_parameter(lowered))
            )
        )
        or ("%" in lowered and "%3" in lowered and ("sig%3d" in lowered or "%40" in lowered))
        or (
            "(" in lowered
            and (
                "login(" in lowered
                or "(subsc" in lowered
                or ("t(" in lowered and ("client(" in lowered or "fernet(" in lowered))
            )
        )
        or ("-p" in lowered and any(command in lowered for command in COMMANDS))
        or (" -" in lowered and ("-cli" in lowered or "ldap" in lowered))
        or ("v" in lowered and "vault login" in lowered)
    )


def _has_a_key(lowered: str) -> bool:
    return "key" in lowered or "token" in lowered


def _has_a_secret(lowered: str) -> bool:
    return "secret" in lowered or "cred" in lowered


def _has_a_cloud(lowered: str) -> bool:
    return "aws" in lowered or "windows.net" in lowered


def _has_an_address(lowered: str) -> bool:
    return (
        "://" in lowered
        or "prox" in lowered
        or "oracle" in lowered
        or "sqlplus" in lowered
        or "netloc" in lowered
    )


def _has_a_parameter(lowered: str) -> bool:
    # A generator would take longer than all comparisons.
    return (
        "code=" in lowered
        or "jwt=" in lowered
        or "assertion=" in lowered
        or "response=" in lowered
        or "ticket=" in lowered
    )


def _has_an_id(lowered: str) -> bool:
    return "sessid=" in lowered or "sessionid=" in lowered or "appid=" in lowered


def mask_in_name(string: str) -> str:
    """Mask like `mask`, but a word behind a colon belongs to the name: `f1 per token: macro`."""
    return NAMED.sub(_replaced_in_name, string)


def _replaced(match: re.Match[str], depth: int = 0) -> str:
    keep, value = match.group("keep"), match.group("value")
    if keep is None:
        return MASK
    if depth < MAX_DEPTH and is_harmless(keep.lower(), value, match):
        if "=" not in value and ":" not in value:
            return match.group()
        return keep + NAMED.sub(partial(_replaced, depth=depth + 1), value)
    opening = _OPENING.match(value)
    start = opening.group() if opening else ""
    end = {"[": "]", "(": ")", "{": "}"}.get(start, start.lstrip("bBfFnNrRuU"))
    return f"{keep}{start}{MASK}{end}"


def _replaced_in_name(match: re.Match[str]) -> str:
    keep = match.group("keep") or ""
    if keep.rstrip().endswith(":") and not keep.startswith("://") and match.group("value").isalpha():
        return match.group()
    return _replaced(match)
