"""Masks values that are secret because of the name, the header or the option that stands before them.

In: a text. Out: the same text with `***` in place of each value; the name stays visible.
"""

from __future__ import annotations

import re

from amllog import secret_names
from amllog.lazy_pattern import LazyPattern
from amllog.named_patterns import COMMANDS, COOKIES as _COOKIES, LIKELY, NAMED as _NAMED, RANDOM
from amllog.provider_secrets import MASK

_RANDOM_TEXT = LazyPattern(RANDOM)
_OPENING = LazyPattern(r"[bBrRuUfF]{0,2}\\*[\"']|[\[({]|&[a-z0-9#]+;")
# Not a secret: a number under `token` is a count, `<pad>` is a token of a vocabulary, `str` is a type.
_COUNT = LazyPattern(r"[\"']?(?:[0-9][0-9_.,e+-]{0,15}|[\[<][^\]>]{0,20}[\]>]|'?#{0,2}\w?'?)[\"']?")
_SHORT = LazyPattern(r"[\"'](?:\W{0,3}[A-Za-z]{0,5}|\\[nrt])[\"']")  # a word of a text, a sign of a program
_STATE = LazyPattern(
    r"\(?[A-Za-z]{2,12}\)?|[bru]?[\"']?(?:\*{3,}|\.{3})[\"']?|[bru]?(?:\"\"|'')|(?:Optional|Union)\[.*"
)
_CREDENTIAL = LazyPattern(r"\w{0,40}Credentials?")
_MEASURE = LazyPattern(r"(?i:[\"']?[0-9][0-9.,:/-]*(?:[munk]?s|m|min|h|[kmg]?hz|db|px|[kmg]b|x|%)?[\"']?)")
_ALGORITHM = LazyPattern(r"[\"']?(?:[RHEP]S(?:256|384|512)|(?:AES|RSA|SHA)-?[0-9]{0,4}|Ed25519|EdDSA)[\"']?")
_COUNTS = LazyPattern(r"\{(?:\s*[\"']?\w+[\"']?\s*:\s*[0-9.]+\s*,?)*\}?")
_NESTED = LazyPattern(r"\{(?!.{0,200}[\"']type[\"']).*[\"']\s*:\s*[\"'][^\"']", re.DOTALL)
_BEFORE = LazyPattern(r"([A-Za-z]+)[-_ .]?\Z")


def mask(said: str) -> str:
    """`said` with every value masked that stands behind a name of a secret."""
    lowered = said.lower()
    if not _has_a_word(lowered) or LIKELY.search(lowered) is None:
        return said
    if "cookie" in lowered:
        said = _COOKIES.sub(_replaced, said)
    return _NAMED.sub(_replaced, said)


def is_random(value: str) -> bool:
    """Whether a text begins with 20 characters as a generator of keys makes them."""
    return _RANDOM_TEXT.match(value) is not None


def _has_a_word(lowered: str) -> bool:
    """Return whether a text in lower case has one of the words that `LIKELY` needs. Plain searches are the fastest.

    Words that share a rare letter are searched only in a text that has this letter.
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
        or ("@" in lowered and _has_an_address(lowered))
        or (
            "=" in lowered
            and ("sig" in lowered or "code=" in lowered or ("id=" in lowered and _has_an_id(lowered)))
        )
        or ("%" in lowered and "sig%3d" in lowered)
        or ("(" in lowered and ("login(" in lowered or "client(" in lowered or "(subsc" in lowered))
        or ("-p" in lowered and any(command in lowered for command in COMMANDS))
    )


def _has_a_key(lowered: str) -> bool:
    return "key" in lowered or "token" in lowered


def _has_a_secret(lowered: str) -> bool:
    return "secret" in lowered or "cred" in lowered


def _has_a_cloud(lowered: str) -> bool:
    return "aws" in lowered or "windows.net" in lowered


def _has_an_address(lowered: str) -> bool:
    return "://" in lowered or "prox" in lowered or "oracle" in lowered or "sqlplus" in lowered


def _has_an_id(lowered: str) -> bool:
    return (
        "phpsessid=" in lowered
        or "jsessionid=" in lowered
        or "appid=" in lowered
        or "net_sessionid=" in lowered
    )


def mask_in_name(said: str) -> str:
    """As `mask`, but a word behind a colon belongs to the name: `f1 per token: macro`."""
    return _NAMED.sub(_replaced_in_name, said)


def _replaced(match: re.Match[str]) -> str:
    keep, value = match.group("keep"), match.group("value")
    if keep is None:
        return MASK
    if _is_harmless(keep.lower(), value, match):
        return keep + _NAMED.sub(_replaced, value) if "=" in value or ":" in value else match.group()
    opening = _OPENING.match(value)
    start = opening.group() if opening else ""
    end = {"[": "]", "(": ")", "{": "}"}.get(start, start.lstrip("bBrRuUfF"))
    return f"{keep}{start}{MASK}{end}"


def _is_harmless(keep: str, value: str, match: re.Match[str]) -> bool:
    if keep.endswith("://") or (keep.startswith("://") and keep.endswith(":")):
        return False
    if _is_state(value):
        return True
    name = keep.rstrip(" \t=:>\"'")
    if name.endswith(("cookie", "cookies")):
        return _COUNTS.fullmatch(value) is not None
    if value.startswith("{") and name.endswith("token") and _word_before(match) in secret_names.VOCABULARY:
        return True
    if value.startswith("{"):
        return keep.rstrip().endswith(":") and not (name != keep.rstrip(" \t:") and _NESTED.match(value))
    bare = value.strip("\"'")
    if name.endswith("token"):
        return _is_vocabulary(name, keep, value, match)
    if name.endswith("pass"):
        before = _word_before(match)
        return before in secret_names.PASSES or _MEASURE.fullmatch(value) is not None
    if name.endswith("pwd"):
        return value.startswith("/") and (match.group("keep").startswith("PWD=") or "/" in value[1:])
    if name.endswith(("credential", "credentials", "creds")):
        return _CREDENTIAL.fullmatch(value) is not None
    if name.endswith("key"):
        return _is_key_open(name, bare)
    return False


def _is_state(value: str) -> bool:
    """Whether a value says what became of a secret, or stands for one."""
    if not _STATE.fullmatch(value):
        return False
    bare = value.strip("()").lower()
    return not bare.isalpha() or bare in secret_names.STATES


def _is_key_open(name: str, bare: str) -> bool:
    if name.startswith(secret_names.COLUMN_KEYS):
        return secret_names.is_word(bare)
    if name.startswith(secret_names.GENERATED_KEYS):
        return not secret_names.looks_generated(bare)
    return _ALGORITHM.fullmatch(bare) is not None


def _is_vocabulary(name: str, keep: str, value: str, match: re.Match[str]) -> bool:
    """Whether a value under `token` is one of a tokenizer or a parser: a count, a word, a sign."""
    if _COUNT.fullmatch(value):
        return True
    before = _word_before(match)
    if before in secret_names.VOCABULARY:
        return (before != "per" or value.isalpha()) and not secret_names.looks_generated(value.strip("\"'"))
    is_named_so = match.string[: match.start()][-1:] in ("", " ", "\n", "\t", "(", ",")
    return name == "token" and is_named_so and keep[5:6] in "=: " and _SHORT.fullmatch(value) is not None


def _word_before(match: re.Match[str]) -> str:
    """The word right before the name, in lower case."""
    found = _BEFORE.search(match.string[max(0, match.start() - 24) : match.start()])
    return found.group(1).lower() if found else ""


def _replaced_in_name(match: re.Match[str]) -> str:
    keep = match.group("keep") or ""
    if keep.rstrip().endswith(":") and not keep.startswith("://") and match.group("value").isalpha():
        return match.group()
    return _replaced(match)
