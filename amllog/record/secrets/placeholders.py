"""Recognize values behind the name of a secret that are not secrets.

Such values are states, counts, words, placeholders and code. They stay visible, because a log without them would be
hard to read.
"""

from __future__ import annotations

import base64
import binascii
import re

from amllog.process.interrupts import pass_on
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets import secret_names
from amllog.record.secrets.named_patterns import RANDOM

_RANDOM = LazyPattern(RANDOM)
# Not secrets: a number under `token` is a count, `<pad>` is a token of a vocabulary, `str` is a type.
_COUNT = LazyPattern(r"[\"']?(?:[0-9][0-9_.,e+-]{0,15}|[\[<][^\]>]{0,20}[\]>]|'?#{0,2}\w?'?)[\"']?")
_SHORT = LazyPattern(r"[\"'](?:\W{0,3}[A-Za-z]{0,5}|\\[nrt]|\\[ux][0-9a-f]{2,4})[\"']")  # a word, a sign
_STATE = LazyPattern(
    r"\(?[A-Za-z]{2,12}\)?|[bru]?[\"']?(?:\*{3,}|\.{3})[\"']?|[bru]?(?:\"\"|'')|(?:Optional|Union)\[.*"
)
_CREDENTIAL = LazyPattern(r"\w{0,40}Credentials?")
_MEASURE = LazyPattern(r"(?i:[\"']?[0-9][0-9.,:/-]*(?:[munk]?s|m|min|h|[kmg]?hz|db|px|[kmg]b|x|%)?[\"']?)")
_ALGORITHM = LazyPattern(
    r"(?i:[\"']?(?:[RHEP]S(?:256|384|512)|(?:AES|RSA|SHA)-?[0-9]{0,4}|md5|base64|Ed25519|EdDSA)[\"']?)"
)
_COUNTS = LazyPattern(r"\{(?:\s*[\"']?\w+[\"']?\s*:\s*[0-9.]+\s*,?)*\}?")
_NESTED = LazyPattern(r"\{(?!.{0,200}[\"']type[\"']).*[\"']\s*:\s*[\"'][^\"']", re.DOTALL)
_BEFORE = LazyPattern(r"([A-Za-z]+)[-_ .]?\Z")
# The value is elsewhere: a field of a template, a command of a shell, or a mask of another program.
_PLACEHOLDER = LazyPattern(
    r"[bru]?[\"']?(?:%[sdr]|%\(\w+\)[sdr]|\{\{\s*[A-Za-z_][\w.]*\s*\}?\}?|<[A-Za-z][A-Za-z _-]{2,40}>|x{3,}|X{3,}"
    r"|\$\{\{.*|\[(?i:redacted|masked|hidden|filtered|removed)\]?|\$\((?:cat|az|aws|gcloud|vault|kubectl|op)\b.*)[\"']?"
)
_VARIABLE = LazyPattern(r"[\"']?(?:\$\{?|%|\{)([A-Za-z_]{2,60})[}%]?[\"']?")
_CODE = LazyPattern(r"(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\((?P<given>[\w., =*\[\]]*)\)?)?")
# os.getenv("API_KEY"), vault.get_secret("db-password")
_LOOKUP = LazyPattern(
    r"(?:[A-Za-z_.]{1,40}[._])?(?:get|load|fetch|read)(?:env|_\w{1,30})?\([bru]?[\"'](?:[A-Z][A-Z0-9_]*|[A-Za-z_./-]{1,60})[\"']"
)
_CAPITALS = LazyPattern(r"[A-Z][A-Z_]{1,40}")
# A word of a language: vowels, and at most four consonants in a row. A vocabulary marks the beginning of a word.
_MARKS = "\u2581\u0120#"
_WORD = LazyPattern(
    r"(?=[^aeiouAEIOU]{0,4}[aeiouAEIOU])(?![A-Za-z]*[bcdfghjklmnpqrstvwxz]{5})(?:[A-Z]?[a-z]{2,19}|[A-Z]{2,20})"
)
_TWO_WORDS = LazyPattern(r"[a-z]{2,12}-[a-z]{2,12}")
# Words before `token` that make it a credential: the value in `access token: paris` is not a word of a vocabulary.
_CREDENTIAL_TOKENS = secret_names.split_words(
    "access api app auth authentication authorization aws azure bearer bot csrf databricks device github gitlab hf id"
    " identity jwt my oauth personal refresh run sas secret security service session slack user your"
)
_CERTAIN = (*secret_names.PASSWORDS, "pwd", "pw", "pass")


def is_random(value: str) -> bool:
    """Return whether a value begins with 20 characters like those of a generated key, not like joined words."""
    return _RANDOM.match(value) is not None and not _is_camel(value)


def is_harmless(keep: str, value: str, match: re.Match[str]) -> bool:
    """Return whether a value is not a secret. `keep` is the string before it in lower case."""
    if keep.endswith("://") or (keep.startswith("://") and keep.endswith(":")):
        return keep in ("://user:", "://username:") and value in ("password", "pass", "pwd")
    if keep.rstrip() == "basic":
        return not _is_basic(value)
    name = keep.rstrip(" \t=:>\"'!")
    if _is_state(value) or _is_placeholder(value) or _is_code(name, keep, value, match):
        return True
    if name.endswith(("cookie", "cookies")):
        return _COUNTS.fullmatch(value) is not None
    if value.startswith("{") and name.endswith("token") and _word_before(match) in secret_names.VOCABULARY:
        return True
    if value.startswith("{"):
        return keep.rstrip().endswith(":") and not (name != keep.rstrip(" \t:") and _NESTED.match(value))
    if name.endswith("token"):
        return _is_vocabulary(name, keep, value, match)
    return _is_harmless_for(name, keep, value, match)


def _is_harmless_for(name: str, keep: str, value: str, match: re.Match[str]) -> bool:
    """Return whether a value is not a secret of this name. The rules depend on the name."""
    bare = value.strip("\"'")
    if name.endswith("pass"):
        before = _word_before(match)
        return before in secret_names.PASSES or _MEASURE.fullmatch(value) is not None
    if name.endswith("pw"):
        return _is_harmless_pw(keep, value)
    if name.endswith("pwd"):
        return value.startswith("/") and (match.group("keep").startswith("PWD=") or "/" in value[1:])
    if name.endswith(("credential", "credentials", "creds")):
        return _CREDENTIAL.fullmatch(value) is not None
    if name.endswith("key"):
        return _is_harmless_key(name, bare)
    if keep == "authorization: ":
        return len(value) <= 10 and _WORD.fullmatch(value) is not None
    if keep == "secret: ":  # the name of one: `secret: db-conn`
        return _TWO_WORDS.fullmatch(value) is not None and _is_separate(match)
    return name.endswith((" is", " was")) and _ALGORITHM.fullmatch(bare) is not None


def _is_harmless_pw(keep: str, value: str) -> bool:
    """Return whether a value of `pw` is a width, or a word of a sentence."""
    if _MEASURE.fullmatch(value):
        return True
    if value[0] in "\"'" or any(character.isdigit() for character in value.partition("(")[0]):
        return False
    return keep.endswith((": ", "= ")) or "(" in value


def _is_state(value: str) -> bool:
    """Return whether a value describes the state of a secret, or is a mask."""
    if not _STATE.fullmatch(value):
        return False
    bare = value.strip("()").lower()
    return not bare.isalpha() or bare in secret_names.STATES


def _is_placeholder(value: str) -> bool:
    """Return whether a value is replaced by a secret elsewhere: `${API_KEY}`, `<your-key>`, `%s`."""
    if _PLACEHOLDER.fullmatch(value):
        return True
    variable = _VARIABLE.fullmatch(value)
    return variable is not None and secret_names.secret_kind(variable.group(1)) != ""


def _is_code(name: str, keep: str, value: str, match: re.Match[str]) -> bool:
    """Return whether a value is an expression of a program, or the name of an argument in a usage message."""
    if keep.startswith("-") and keep.endswith(" "):
        option = keep.strip().replace("-", "_")
        return _CAPITALS.fullmatch(value) is not None and option.endswith(value.lower())
    if not keep.rstrip().endswith(("=", ":")):
        return False
    after = match.string[match.end() : match.end() + 2]
    if _LOOKUP.fullmatch(value):
        return after[:1] == ")"
    code = _CODE.fullmatch(value.rstrip(":"))
    if code is None:
        return False
    path, given = code.group("path"), code.group("given")
    is_certain, is_spaced = name.endswith(_CERTAIN), keep.endswith("= ")
    if is_certain and any(character.isdigit() for character in f"{path}{given or ''}"):
        return False
    if secret_names.looks_generated(path):
        return False
    if given is not None or after[:1] == "(" or keep.endswith(("== ", "!= ")):
        return True
    if after[:1] == "[":
        return "." in path or is_spaced or after[1:] in ('"', "'") or not is_certain
    return _is_name(name, path, is_spaced or after[:1] in (",", ")"), is_certain=is_certain)


def _is_name(name: str, path: str, in_code: bool, *, is_certain: bool) -> bool:
    """Return whether an expression without a call is the name of a variable: `args.password`, `token = token`."""
    last = path.rpartition(".")[2]
    if "." in path:
        return secret_names.secret_kind(last) != ""
    if not in_code and is_certain:
        return False
    if last.lower() == name.rpartition(" ")[2]:
        return True
    return in_code and "_" in last and secret_names.secret_kind(last) != ""


def _is_harmless_key(name: str, bare: str) -> bool:
    if name.startswith(secret_names.COLUMN_KEYS):
        return secret_names.is_word(bare)
    if name.startswith(secret_names.GENERATED_KEYS):
        return not secret_names.looks_generated(bare)
    if name.startswith("account"):  # a column such as `customer`
        return bare.islower() and _WORD.fullmatch(bare) is not None
    if name.strip("\"']") == "key":
        return _is_camel(bare)
    return _ALGORITHM.fullmatch(bare) is not None


def _is_vocabulary(name: str, keep: str, value: str, match: re.Match[str]) -> bool:
    """Return whether a value of `token` is that of a tokenizer or a parser: a count, a word, a sign."""
    if _COUNT.fullmatch(value):
        return True
    before = _word_before(match)
    if before in secret_names.VOCABULARY:
        return (before != "per" or value.isalpha()) and not secret_names.looks_generated(value.strip("\"'"))
    if (
        name != "token"
        or before in _CREDENTIAL_TOKENS
        or not _is_separate(match)
        or keep[5:6] not in ("=", ":", " ", "!")
    ):
        return False
    return (
        _SHORT.fullmatch(value) is not None or _WORD.fullmatch(value.strip("\"'").lstrip(_MARKS)) is not None
    )


def _is_separate(match: re.Match[str]) -> bool:
    """Return whether the name is a word of a sentence or an argument, not part of an address or an option."""
    return match.string[: match.start()][-1:] in ("", " ", "\n", "\t", "(", ",")


def _word_before(match: re.Match[str]) -> str:
    """Return the word directly before the name, in lower case."""
    before = _BEFORE.search(match.string[max(0, match.start() - 24) : match.start()])
    return before.group(1).lower() if before else ""


def _is_camel(value: str) -> bool:
    """Return whether most of a value is words of three or more letters: `modelV2TrainSplit2026Fold3Seed42`."""
    return sum(map(len, re.findall("[A-Z]?[a-z]{3,}", value))) > 0.6 * len(value)


def _is_basic(value: str) -> bool:
    """Return whether a value is a user and a password in Base64, with a colon between them."""
    try:
        decoded = base64.b64decode(value[: len(value) // 4 * 4], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:  # a word of a sentence
        pass_on(error)
        return False
    return ":" in decoded and decoded.isprintable()
