"""The names of secrets, for `name=value` in strings, for keys of dimensions and for environment variables.

A name has a kind. The kind decides which values of the name are secrets: a number under `token` is a count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def split_words(string: str) -> frozenset[str]:
    """Return the set of words in a string with spaces."""
    return frozenset(string.split())


# `key` is the name of a secret if one of these words is before it.
CERTAIN_KEYS = (
    "account", "access", "api", "shared", "private", "storage", "subscription", "signing", "encryption",
    "instrumentation", "insights", "client", "secret", "hmac", "admin", "auth", "consumer", "deploy",
)  # fmt: skip
# The same, but a value of letters only is not a secret: `primary key: customer_id` is a column.
COLUMN_KEYS = (
    "primary",
    "secondary",
    "host",
    "master",
    "function",
    "functions",
    "service",
    "app",
    "database",
    "db",
)
# The same, but only a value that looks generated is a secret. `search_key=2024-11` and `redis_key=user:7` are not.
GENERATED_KEYS = (
    "application", "azure", "cosmos", "fastly", "fernet", "grid", "hub", "kaggle", "license", "maps", "openai",
    "redis", "search", "speech", "translator", "vision", "wandb", "webhook", "workspace",
)  # fmt: skip
CLOUDS = ("cloud", "cloudant", "softlayer", "ibm", "iam", "cos", "sl", "cl")
# A word that ends with one of these is certain: `userpassword`, `PGPASSWORD`. A number is a secret too.
PASSWORDS = ("password", "passwords", "passwd", "passphrase", "passcode", "secret")
# A number as a value of these is a count.
WORDS = ("authorization", "credential", "credentials", "creds")
# Only keys have these names. In a string, `cookie: none` and `SAS: done` are prose, and `named_patterns` has
# expressions for these names.
KEYS_ONLY = ("sas", "jwt", "cookie", "cookies", "secrets", "bearer", "sig")
_PAIRS = {
    ("connection", "string"), ("conn", "str"), ("access", "signature"), ("sas", "url"), ("azureml", "context"),
    ("webhook", "url"), ("api", "pass"), ("api", "pwd"), ("identity", "header"),
}  # fmt: skip
_COMPOUNDS = ("connectionstring", "connstr", "accesssignature", "apipass", "apipwd")
# Words before `token` in a vocabulary, a parser or a page of results.
VOCABULARY = split_words(
    "additional audio begin bos class cls decoder each end eod eos eot first forced generated image last mask max min"
    " n next num number output pad padding per predicted prefix prev previous sampled sentence sep separator special"
    " start stop suffix target tokenizer top total unexpected unk video vocab vocabulary word"
)
# Words before `pass` if it is a filter, or one run through the data.
PASSES = split_words(
    "all backward band boarding by final first forward high last low lower multi multiple next one per second single"
    " third two upper"
)
# `dbpass` is a secret, `bypass` and `compass` are not.
PASS_OWNERS = (
    "admin", "api", "db", "database", "ftp", "http", "imap", "key", "login", "mail", "my", "mysql", "pg", "postgres",
    "proxy", "redis", "root", "smtp", "ssh", "ssl", "store", "user", "usr",
)  # fmt: skip
# A key that begins or ends with one of these describes a secret but does not contain it: `has_password`,
# `api_key_count`.
_HEADS = split_words("has is missing n needs no num number requires use uses with without")
_TAILS = split_words(
    "age algorithm attempts change changed column columns count counts created date days dir enabled endpoint"
    " exists expiration expires expiry field fields file folder format found hint len length limit manager mode"
    " model models name names ok path policy present provider rate required rotation scope scopes size source state"
    " status strength total type types updated usage valid version"
)
_CONTENT = split_words("b64 base base64 bytes data hash header json pem plain salt string text value")
# Values that describe the state of a secret.
STATES = split_words(
    "none null nil true false str bytes string int optional required missing invalid expired failed denied found"
    " loaded set unset changed valid ok yes no not granted passed enabled disabled configured rotated refreshed"
    " cached acquired obtained received renewed revoked present absent unavailable available provided given accepted"
    " rejected created updated deleted removed verified unverified supplied specified expected"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ENDS_OF_PARTS = str.maketrans("?#;,'\" ", "/" * 7)
_NOT_ALNUM = str.maketrans("", "", "+/=_-.~")


def _any(words: Iterable[str]) -> str:
    return "|".join(words)


_KEY = r"[-_ ]{0,2}(?:access[-_ ]?)?(?:key|secret)(?:[-_]?data)?"
# The expression for a name in a string, in any case.
IN_TEXT = (
    rf"(?:{_any(CERTAIN_KEYS)}|{_any(COLUMN_KEYS)}){_KEY}(?:_base|[-_]?[0-9]{{1,2}})?"
    rf"|\b(?:{_any(GENERATED_KEYS)})[-_]?key|(?<=[_-])(?:{_any(GENERATED_KEYS)})[-_]?key"
    r"|\b(?:cl(?:ou(?:d|dant)?)?|softlayer|sl|ibm|iam|cos)[-_]*(?:(?:cloud|iam|api|cos|hmac|secret)[-_]*){0,3}"
    r"(?:key|pwd?|pass|token)"
    r"|(?:passwords?|passwd)(?:[-_]?(?:[0-9]{1,2}|salt|hash|value))?|passphrase|passcode"
    rf"|(?:(?<![a-z])|(?<=%3b))(?:api)?pwd|(?:(?<=[_'\"-])|(?<=[,;&?]))pass|(?<![a-z])(?:{_any(PASS_OWNERS)})p(?:ass|wd)"
    r"|(?:(?<![a-z0-9])|(?<=bind))pw|identity[-_]header"
    rf"|secret(?:[-_]?value)?|token|{_any(WORDS[:1])}|credentials?|creds|_auth|(?<=_)pat|shared[-_]?access[-_]?signature"
)


@lru_cache(maxsize=1_000)
def secret_kind(key: str) -> str:
    """Return the kind of a secret's name: certain, count, column, directory, generated or auth. "" for other names."""
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or words[-1] in _TAILS or (len(words) > 1 and words[0] in _HEADS):
        return ""
    while (
        len(words) > 1 and (words[-1].isdigit() or words[-1] in _CONTENT) and tuple(words[-2:]) not in _PAIRS
    ):
        words.pop()
    pairs = zip(["", *words], words)
    kinds = [_kind(before, word, n == len(words) - 1) for n, (before, word) in enumerate(pairs)]
    return next((kind for kind in reversed(kinds) if kind), "")


def is_secret_variable(name: str, value: str) -> bool:
    """Return whether the value of an environment variable is masked wherever it occurs."""
    if len(value) < 8 or value.isdigit() or name.upper().endswith(("PWD", "FILE", "PATH", "DIR")):
        return False
    kind = secret_kind(name)
    return bool(kind) and not is_not_secret(kind, value)


def path_tokens(string: str) -> list[str]:
    """Return the tokens in the paths of the addresses in a string."""
    parts = string.translate(_ENDS_OF_PARTS).split("/") if "://" in string else []
    return [part for part in parts if is_path_token(part)]


def is_path_token(part: str) -> bool:
    """Return whether a part of an address looks like a result of `secrets.token_urlsafe(32)`, as in `amllog serve`."""
    if len(part) != 43 or not part.isascii() or part.lower() == part or part.upper() == part:
        return False
    return part.replace("-", "").replace("_", "").isalnum() and part.count("-") + part.count("_") <= 8


def _kind(before: str, word: str, is_last: bool) -> str:
    if word.endswith(PASSWORDS) or word.endswith(_COMPOUNDS) or (before, word) in _PAIRS:
        return "certain"
    if word == "pwd":
        return "directory"
    if word.endswith(WORDS) or word in KEYS_ONLY:
        return "count"
    if "key" in word:
        kind = _kind_of_key(before, word)
        if kind:
            return kind
    return _kind_of_last(before, word) if is_last else ""


def _kind_of_key(before: str, word: str) -> str:
    owner, _, rest = word.partition("key")
    if not owner and rest not in ("", "s"):  # "keyword", "keyboard"
        return ""
    owner = owner or before
    if rest == "s":
        return "count" if owner in ("access", "account", "api", "private", "secret", "storage") else ""
    if owner.endswith(CERTAIN_KEYS) or owner in ("sas", "unseal"):
        return "certain"
    if owner.endswith(COLUMN_KEYS):
        return "column"
    return "generated" if owner in GENERATED_KEYS or owner in CLOUDS else ""


def _kind_of_last(before: str, word: str) -> str:
    if word.endswith("token"):
        return "generated" if (word[:-5] or before) in VOCABULARY else "count"
    if word.endswith("pass"):
        owner = word[:-4]
        return "count" if owner in PASS_OWNERS or (not owner and before not in PASSES) else ""
    if word in ("pw", "bindpw"):
        return "count"
    if word == "pat":
        return "count" if before else "generated"
    return ("count" if before else "auth") if word == "auth" else ""


def is_not_secret(kind: str, value: object) -> bool:
    """Return whether the value of a name of this kind is not a secret: a state, a count, the name of a column."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return kind != "certain"
    if not isinstance(value, str):
        return kind == "generated" or (kind == "auth" and isinstance(value, dict))
    if kind in ("generated", "auth"):
        return not looks_generated(value)
    if kind == "directory" and value.startswith("/") and "/" in value[1:]:
        return True
    return value.lower() in STATES or (kind == "column" and is_word(value))


def is_word(value: str) -> bool:
    """Return whether a value is an identifier without a digit."""
    return value.isidentifier() and not any(character.isdigit() for character in value)


def looks_generated(value: str) -> bool:
    """Return whether a value looks like generated letters and digits: not a word, a number, an address or an id."""
    value = value.rstrip("=")
    bare = value.translate(_NOT_ALNUM)
    if len(bare) < 12 or not (bare.isascii() and bare.isalnum()) or len(value) - len(bare) > len(value) // 12:
        return False
    kinds = any(character.isdigit() for character in bare), bare.upper() != bare, bare.lower() != bare
    return all(kinds) or (kinds[0] and any(kinds[1:]) and len(bare) >= 32)
