"""Mask secrets that a call takes by position: `AzureKeyCredential('…')`, `set_secret('name', '…')`.

Such calls occur in the lines of source code in a traceback.
"""

from __future__ import annotations

import re

from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets import secret_names
from amllog.record.secrets.provider_secrets import MASK

_STRING = r"[bBfFrRuU]{0,2}\\*(?:\"[^\"\n]{0,300}\"|'[^'\n]{0,300}')"
_ARGUMENT = rf"(?:{_STRING}|[\w.\[\]]{{1,80}})\s*,\s*"
_NAME = (
    r"[\w.-]{0,80}?(?:password|passwd|passphrase|secret|token|pwd|(?:api|access|account|client|storage|shared)[_.-]?key)"
    r"[\w.-]{0,80}"
)
_SIGNS = (
    "credential(", "credentials(", "authentication(", "serviceclient(", "cosmosclient(", "secret(", "password(",
    "secrets.put(", "login(", "setdefault(", "putenv(", "setenv(", "getenv(", ".get(", "conf.set(", "setattr(",
    "argument(", "api_key(", "apikey(", "fernet(",
)  # fmt: skip
_CALLS = LazyPattern(
    rf"""
      (?P<keep>
          \b(?P<kind>[A-Z]\w{{0,60}}?)?(?:Credentials?|Authentication)\(\s*(?:{_ARGUMENT}){{0,5}}
        | \b\w{{0,40}}(?:ServiceClient|CosmosClient)\(\s*{_ARGUMENT}
        | (?i:\b(?:set_?secret|secrets\.put)\(\s*(?:{_ARGUMENT}){{1,3}}|\bset_?password\(\s*(?:{_ARGUMENT}){{0,3}})
        | (?i:\blogin\(\s*)(?=\\*["'](?=[A-Za-z_-]{{0,60}}[0-9])[A-Za-z0-9_-]{{16,200}}\\*["'])
        | (?i:\bauth\.api_key\(\s*|\b\w{{0,20}}ApiKey\(\s*|\bFernet\(\s*)
        | (?i:(?:\bset_?default|\b(?:put|set|get)_?env|environ\.get|conf\.set|\bsetattr\(\s*[\w.]{{1,80}}\s*,)\(?\s*
            \\*["'](?P<name>{_NAME})\\*["']\s*,\s*)
        | (?i:\bget_?env\(\s*\\*["']{_NAME}\\*["']\s*\)\s*->\s*)
        | (?i:argument\(\s*(?:\\*["']-\w\\*["']\s*,\s*)?\\*["']-{{0,2}}(?P<option>{_NAME})\\*["']
            [^()\n]{{0,200}}?\bdefault\s*=\s*)
      )
      [bBfFnNrRuU]{{0,2}}
      (?: (?P<escaped>\\+["'])(?P<inner>(?:(?!(?P=escaped))[^\n]){{1,4000}})
        | (?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote))[^\\\n]){{1,4000}}))
    """,
    re.VERBOSE,
)
# Classes whose last string is always a secret. Others may take a name, such as `Credentials('default')`.
_CERTAIN = LazyPattern(r"(?:\w*(?:Secret|Key|Password|Pass|Sas|Token|Plain|Basic|Principal)\w*)")
_ID = LazyPattern(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HARMLESS = LazyPattern(
    r"https?://.*|[~./]{1,3}[\w./-]*|.*\.(?:json|pem|pfx|cer|crt|key|yaml|yml|cfg|ini)|\*{3,}|\W*|<[A-Za-z _-]+>"
    r"|\$\{?\w+\}?|\{[\w.]+\}|[A-Z]+(?:_[A-Z]+)+"
)


def may_match(lowered: str) -> bool:
    """Return whether a string in lower case with a parenthesis may contain such a call."""
    return ("'" in lowered or '"' in lowered) and any(sign in lowered for sign in _SIGNS)


def mask(string: str) -> str:
    """Return the string with every literal masked that is a secret by its position."""
    return _CALLS.sub(_replaced, string)


def _replaced(match: re.Match[str]) -> str:
    group = "value" if match.group("value") is not None else "inner"
    value, start = match.group(group), match.start()
    if _is_harmless(match, value):
        return match.group()
    return match.string[start : match.start(group)] + MASK


def _is_harmless(match: re.Match[str], value: str) -> bool:
    """Return whether a literal is not a secret: an id, an address, a file, a name."""
    if _HARMLESS.fullmatch(value) or value.lower() in secret_names.STATES:
        return True
    keep = match.group("keep")
    option, name = match.group("option"), match.group("name")
    if name and not secret_names.secret_kind(name) and ".secret." not in name:
        return True
    if option:
        return secret_names.is_not_secret(secret_names.secret_kind(option) or "generated", value)
    if keep.rstrip().endswith("->") or not re.match(r"\w+(?:Credentials?|Authentication)\(|Cred|Auth", keep):
        return False
    if _ID.fullmatch(value):
        return True
    return _CERTAIN.match(match.group("kind") or "") is None and (len(value) < 8 or value.isalpha())
