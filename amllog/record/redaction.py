"""Find secrets by their format or by the key of a value, and replace them by `***`.

Tokens, keys, SAS signatures, passwords and connection strings are always masked. `setup(redact=…)` adds patterns for
keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Set
from typing import Any

from amllog.process import interrupts
from amllog.record import text
from amllog.record.secrets import named_secrets, placeholders, provider_secrets, secret_names
from amllog.record.secrets.prefilter import find_marks
from amllog.record.secrets.provider_secrets import MASK

SHORT = 120  # characters: below all limits, so that the string is not truncated
MAX_CLEAN = 2_000  # short strings without a secret in the cache
MAX_KEYS = 10_000  # in the cache
MAX_WORDS = 200  # of a list that may be a command line
# Characters that are dropped before the place where a long string was cut. Half of a secret there has no format.
MARGIN = 4_096


class Redactor:
    """Mask secrets, also under keys that match `patterns`, and all values in `known` regardless of their format."""

    def __init__(self, patterns: Iterable[str] = (), known: Iterable[str] = ()) -> None:
        self._patterns = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
        self._known = tuple(sorted((value for value in set(known) if len(value) >= 8), key=len, reverse=True))
        self._margin = max([MARGIN, *map(len, self._known)])
        self.masked_keys: dict[str, tuple[str, bool]] = {}
        self._kinds: dict[str, str] = {}  # of the keys whose value may be a secret
        self._clean: set[str] = set()  # short strings without a secret, because scripts repeat them

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._patterns)} extra patterns, {len(self._known)} known values>"

    def mask_key(self, key: str) -> tuple[str, bool]:
        """Return a key or a name without secrets, and whether its value may be a secret."""
        result = self.masked_keys.get(key)
        if result is None:
            kind = self._kind(key)
            result = self._mask_in_name(key), bool(kind)
            if len(self.masked_keys) < MAX_KEYS:
                self.masked_keys[key] = result
                if kind:
                    self._kinds[key] = kind
        return result

    def is_secret(self, key: str, value: object = "") -> bool:
        """Return whether the value of a key is a secret. A number under `token` is a count, not a secret."""
        if not self.mask_key(key)[1]:
            return key.lower() == "key" and isinstance(value, str) and placeholders.is_random(value)
        kind = self._kinds.get(key) or self._kind(key)
        return kind == "pattern" or not secret_names.is_not_secret(kind, value)

    def _kind(self, key: str) -> str:
        """Return the kind of a secret's name, or "pattern" if a pattern of `setup(redact=…)` matches the key."""
        if any(pattern.search(key) for pattern in self._patterns):
            return "pattern"
        return secret_names.secret_kind(key)

    def mask(self, string: str) -> str:
        """Return the string with every secret replaced by `***`."""
        for value in self._known:
            if value in string:
                string = string.replace(value, MASK)
        marks = find_marks(string)
        return provider_secrets.mask(named_secrets.mask(string), marks) if marks else string

    def _mask_short(self, string: str) -> str:
        masked = self.mask(string)
        if masked == string:
            if len(self._clean) >= MAX_CLEAN:
                self._clean.clear()
            self._clean.add(string)
        return masked

    def mask_and_truncate(self, string: str, limit: int) -> str:
        """Return the string, masked and in at most `limit` characters.

        Of a very long string, only the part that may remain is searched for secrets.
        """
        if len(string) <= SHORT:
            # Single words are not cached, because there may be any number of them.
            if string in self._clean or (len(string) < 16 and string.isalnum() and not self._known):
                return string
            return self._mask_short(string)
        searched = 2 * limit + self._margin
        if len(string) <= searched:
            return text.truncate(self.mask(string), limit)
        return text.truncate(self.mask(string[:searched])[: -self._margin].ljust(len(string)), limit)

    def mask_name(self, string: str, limit: int) -> str:
        """Return a name, masked and in at most `limit` characters. A name within the limit is masked like a key."""
        return self.mask_key(string)[0] if len(string) <= limit else self.mask_and_truncate(string, limit)

    def mask_and_truncate_middle(self, string: str, limit: int) -> str:
        """Mask and truncate like `mask_and_truncate`, but keep the beginning and the end.

        The end of a very long string begins with a complete line.
        """
        searched = 2 * limit + self._margin
        if len(string) > 2 * searched:
            head = self.mask(string[:searched])[: -self._margin]
            rest = self.mask(string[-searched:])[self._margin :].partition("\n")[2]
            string = f"{head}\n{rest.rjust(len(string) - len(head) - 1)}"
        else:
            string = self.mask(string)
        return text.truncate_middle(string, limit)

    def to_text(self, value: object) -> str:
        """Convert any object to a string. Secrets in a container are masked, a string itself is not."""
        if not issubclass(type(value), (Mapping, list, tuple, Set)):
            return text.to_text(value)
        return json.dumps(self.mask_values(text.to_json_value(value)), ensure_ascii=False, allow_nan=False)

    def mask_values(self, value: Any) -> Any:
        """Return a JSON value with every secret masked, by its key and by its format."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, list):
            return self._mask_list(value)
        if not isinstance(value, dict):
            return value
        named = next((value[name] for name in ("name", "Name", "key", "Key") if name in value), None)
        if isinstance(named, str) and self.mask_key(named)[1]:
            # A pair such as {"name": "password", "value": "…"}.
            secret_members = {
                key for key in ("value", "Value") if value.get(key) and self.is_secret(named, value[key])
            }
            value = {key: MASK if key in secret_members else item for key, item in value.items()}
        value = self._mask_columns(value)
        return {
            self.mask_key(key)[0]: MASK
            if self.is_secret(key, item) and item is not None
            else self.mask_values(item)
            for key, item in value.items()
        }

    def _mask_columns(self, table: dict[str, Any]) -> dict[str, Any]:
        """Mask the columns of `{"columns": [...], "data": [[...], ...]}`, the format of pandas and database drivers."""
        names = table.get("columns")
        rows = next((name for name in ("data", "rows") if isinstance(table.get(name), list)), "")
        if not rows or not isinstance(names, list):
            return table
        secret = {n: name for n, name in enumerate(names) if isinstance(name, str) and self.mask_key(name)[1]}
        if not secret:
            return table
        masked = [
            [
                MASK if n in secret and cell is not None and self.is_secret(secret[n], cell) else cell
                for n, cell in enumerate(row)
            ]
            if isinstance(row, list)
            else row
            for row in table[rows]
        ]
        return {**table, rows: masked}

    def _mask_list(self, items: list[Any]) -> list[Any]:
        """Return the items of a list, masked, also as a pair, as options with values, and as a command line."""
        if len(items) == 2 and self._is_pair(*items):
            return [items[0], MASK]
        masked: list[Any] = []
        before, has_options = None, False
        for item in items:
            if isinstance(item, str) and item.startswith("-"):
                has_options = True
                masked.append(self.mask(item))
            elif isinstance(item, str) and isinstance(before, str) and before.startswith("-"):
                masked.append(MASK if self.is_secret(before, item) else self.mask(item))
            else:
                masked.append(self.mask_values(item))
            before = item
        return self._mask_words(masked) if has_options else masked

    def _is_pair(self, name: Any, value: Any) -> bool:
        """Return whether a list is a name and its secret ("password", "x1"), not two columns ("token", "label")."""
        if not isinstance(name, str) or not isinstance(value, str) or value.isalpha():
            return False
        return self.is_secret(name, value)

    def _mask_words(self, words: list[Any]) -> list[Any]:
        """Mask the strings of a list as in the JSON text of the list: `["docker", "login", "-p", "***"]`."""
        if len(words) > MAX_WORDS or not all(isinstance(word, str) for word in words):
            return words
        string = json.dumps(words, ensure_ascii=False)
        masked = self.mask(string)
        if masked == string:
            return words
        try:
            masked_words = json.loads(masked)
        except ValueError as error:  # a mask replaced a quotation mark: each string is masked already
            interrupts.pass_on(error)
            return words
        return masked_words if len(masked_words) == len(words) else words

    def mask_metric_table(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns and rows of a metric, with secrets masked by the name of the column and by format."""
        columns: dict[str, str] = {}
        # Of each column: whether it has strings, and its name if it is a secret's.
        kinds: list[tuple[bool, str]] = []
        for name, kind in data["columns"].items():
            shown, secret = self.mask_key(name)
            columns[shown if shown not in columns else f"{shown}~{len(columns)}"] = kind
            kinds.append((kind == "string", name if secret else ""))
        rows = data["rows"]
        if any(is_string for is_string, _ in kinds):
            rows = [[self._mask_cell(*pair) for pair in zip(row, kinds)] for row in rows]
        return {**data, "columns": columns, "rows": rows}

    def _mask_cell(self, cell: Any, column: tuple[bool, str]) -> Any:
        is_string, name = column
        if not is_string or not isinstance(cell, str):
            return cell
        return MASK if name and self.is_secret(name, cell) else self.mask(cell)

    def _mask_in_name(self, string: str) -> str:
        if self.mask(string) == string:
            return string
        for value in self._known:
            string = string.replace(value, MASK)
        return provider_secrets.mask(named_secrets.mask_in_name(string), find_marks(string))


def describe_value(value: object) -> str:
    """Return an invalid value for the message of an error: quoted, truncated and with secrets masked."""
    return repr(_DEFAULT.mask_and_truncate(_DEFAULT.to_text(value), 80))


def mask_all_values(value: object, separator: str, *, bare: bool = False) -> str:
    """Return `key=value` pairs or a mapping as a string with `***` in place of each value.

    With `bare`, the first part of a string is shown if it has no `=`, because that is the error in it. A later part may
    be the rest of a value.
    """
    if isinstance(value, Mapping):
        shown = [f"{_DEFAULT.mask(text.to_text(key))}={MASK}" for key in value]
    else:
        bare = bare and isinstance(value, str)
        parts = [part.strip().partition("=") for part in text.to_text(value).split(separator) if part.strip()]
        shown = [
            _DEFAULT.mask(key) + (f"={MASK}" if equals else "")
            if key and (equals or (bare and not n))
            else MASK
            for n, (key, equals, _) in enumerate(parts)
        ]
    return text.truncate(separator.join(shown), 200)


_DEFAULT = Redactor()
