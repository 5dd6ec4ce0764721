"""Finds and masks secrets: in texts by their shape, in dimensions by their key.

In: a text, or a key with its value. Out: the same with `***` in place of what nobody may read.
Tokens, keys, SAS signatures, passwords and connection strings are masked always; `setup(redact=…)` adds keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from amllog import text

MASK = "***"

_SECRET_WORDS = {
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials",
    "authorization", "sas", "jwt", "apikey", "accountkey", "accesskey", "sharedkey", "privatekey", "secretkey",
    "storagekey", "instrumentationkey", "clientsecret", "connectionstring", "cookie",
}  # fmt: skip
_SECRET_PAIRS = {
    ("api", "key"), ("account", "key"), ("access", "key"), ("shared", "key"), ("private", "key"),
    ("storage", "key"), ("subscription", "key"), ("primary", "key"), ("secondary", "key"),
    ("signing", "key"), ("encryption", "key"), ("connection", "string"), ("sas", "url"),
    ("instrumentation", "key"), ("insights", "key"), ("azureml", "context"),
}  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# One alternation, each branch keeping what tells the reader which secret stood there. Sources: the shapes
# of Azure's own credentials (SAS `sig=`, `AccountKey=`, `SharedAccessKey=`, JWT run tokens), HTTP
# Authorization headers, URL user info, PEM blocks, and the prefixes of the usual hubs' tokens.
_SHAPES = re.compile(
    r"""
      (?P<keep>
          (?i:\bbearer\s+)(?=[A-Za-z0-9._~+/=-]{8})
        | (?i:\bbasic\s+)(?=[A-Za-z0-9+/]{8})(?=\S*[a-z]\S*[A-Z0-9])
        | (?i:[?&;\s"']sig=|^sig=)
        | (?i:(?:(?:account|access|api|shared|private|storage|subscription|primary|secondary|signing
               |encryption|instrumentation|client)[-_ ]?(?:access[-_ ]?)?(?:key|secret)
             |password|passwd|passphrase|\bpwd|secret|token|authorization|credential)
             \\*["']?\s*(?:=>|[=:])\s*(?:(?:bearer|basic)\s+)?)
        | ://(?=[^/\s:@]{16,}(?::[^/\s@]*)?@)
        | ://[^/\s:@]*:(?=[^/\s@]+@)
      )
      (?P<value>\\+"[^"\n]*"|"(?:[^"\\\n]|\\.)*"?|\\+'[^'\n]*'|'(?:[^'\\\n]|\\.)*'?
        |[^\s"'<>;,&(){}\[\]@]+(?=@)|[^\s"'<>;,&(){}\[\]]+)
    | (?P<jwt>\beyJ[A-Za-z0-9_-]{6,1024}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?)
    | (?P<pem>-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z))
    | (?P<hub>\b(?:gh[opsu]_|github_pat_|hf_|sk-|xox[abp]-|glpat-)[A-Za-z0-9_-]{16,})
    """,
    re.VERBOSE | re.DOTALL,
)

_QUOTE = re.compile(r"""\\*["']""")

# A text that has none of these cannot match above; looking for them first keeps ordinary lines cheap.
_HINTS = (
    "key", "secret", "pass", "pwd", "token", "credential", "authorization", "sig=", "bearer ", "basic ",
    "eyj", "hf_", "gh", "sk-", "xox", "glpat-", "@",
)  # fmt: skip


class Redactor:
    """Masks secrets; knows extra key patterns and values that are secret whatever their shape."""

    def __init__(self, patterns: Iterable[str] = (), known: Iterable[str] = ()) -> None:
        self._patterns = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
        self._known = tuple(sorted((value for value in set(known) if len(value) >= 8), key=len, reverse=True))
        self._keys: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._patterns)} extra patterns, {len(self._known)} known values>"

    def is_secret(self, key: str, value: object = "") -> bool:
        """Whether what stands under `key` must not be read. A number under `token` is a count, not a secret."""
        secret = self._keys.get(key)
        if secret is None:
            secret = self._judge(key)
            if len(self._keys) < 10_000:
                self._keys[key] = secret
        if secret and isinstance(value, (int, float)) and key.lower().endswith("token"):
            return False
        return secret

    def mask(self, said: str) -> str:
        """`said` with every secret replaced by `***`."""
        for value in self._known:
            if value in said:
                said = said.replace(value, MASK)
        lowered = said.lower()
        for hint in _HINTS:
            if hint in lowered:
                return _SHAPES.sub(_replace, said)
        return said

    def masked(self, said: str, limit: int) -> str:
        """`said`, masked, in at most `limit` characters; of a huge one, only what may remain is looked through."""
        if len(said) <= 2 * limit:
            return text.cut(self.mask(said), limit)
        return text.cut(self.mask(said[: 2 * limit]).ljust(len(said)), limit)

    def _judge(self, key: str) -> bool:
        words = [word.lower() for word in _WORD.findall(key)]
        if any(pattern.search(key) for pattern in self._patterns):
            return True
        if words and (words[-1].endswith("token") or not _SECRET_WORDS.isdisjoint(words)):
            return True
        return not _SECRET_PAIRS.isdisjoint(zip(words, words[1:]))


def _replace(match: re.Match[str]) -> str:
    keep, value = match.group("keep"), match.group("value")
    if keep is None:
        return MASK
    quoted = _QUOTE.match(value)
    quote = quoted.group() if quoted else ""
    return f"{keep}{quote}{MASK}{quote}"
