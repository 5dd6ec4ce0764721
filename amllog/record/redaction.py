"""Finds and masks secrets: in texts by their shape, in dimensions by their key.

In: a text, or a key with its value. Out: the same with `***` in place of what nobody may read.
Tokens, keys, SAS signatures, passwords and connection strings are masked always; `setup(redact=…)` adds keys.
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

SHORT = 120  # characters: below every limit, so that nothing is cut
MAX_CLEAN = 2_000
MAX_WORDS = 200  # of a list that may be a command line
# What is left out before the place where a long text was cut: there, the half of a secret has no shape any more.
MARGIN = 4_096


class Redactor:
    """Masks secrets; knows extra key patterns and values that are secret whatever their shape."""

    def __init__(self, patterns: Iterable[str] = (), known: Iterable[str] = ()) -> None:
        self._patterns = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
        self._known = tuple(sorted((value for value in set(known) if len(value) >= 8), key=len, reverse=True))
        self._margin = max([MARGIN, *map(len, self._known)])
        self.masked_keys: dict[str, tuple[str, bool]] = {}
        self._kinds: dict[str, str] = {}  # of those keys whose value may be a secret
        self._clean: set[str] = set()  # short texts in which nothing was found: scripts repeat themselves

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._patterns)} extra patterns, {len(self._known)} known values>"

    def mask_key(self, key: str) -> tuple[str, bool]:
        """A key or a name as it may be shown, and whether what stands under it is secret."""
        found = self.masked_keys.get(key)
        if found is None:
            kind = self._kind(key)
            found = self._name(key), bool(kind)
            if len(self.masked_keys) < 10_000:
                self.masked_keys[key] = found
                if kind:
                    self._kinds[key] = kind
        return found

    def is_secret(self, key: str, value: object = "") -> bool:
        """Whether what stands under `key` must not be read. A number under `token` is a count, not a secret."""
        if not self.mask_key(key)[1]:
            return key.lower() == "key" and isinstance(value, str) and placeholders.is_random(value)
        kind = self._kinds.get(key) or self._kind(key)
        return kind == "own" or not secret_names.is_not_secret(kind, value)

    def _kind(self, key: str) -> str:
        """The kind of a secret's name, or "own" for the script's own patterns."""
        if any(pattern.search(key) for pattern in self._patterns):
            return "own"
        return secret_names.secret_kind(key)

    def mask(self, said: str) -> str:
        """`said` with every secret replaced by `***`."""
        for value in self._known:
            if value in said:
                said = said.replace(value, MASK)
        marks = find_marks(said)
        return provider_secrets.mask(named_secrets.mask(said), marks) if marks else said

    def _mask_short(self, said: str) -> str:
        masked = self.mask(said)
        if masked == said:
            if len(self._clean) >= MAX_CLEAN:
                self._clean.clear()
            self._clean.add(said)
        return masked

    def mask_and_truncate(self, said: str, limit: int) -> str:
        """`said`, masked, in at most `limit` characters; of a huge one, only what may remain is looked through."""
        if len(said) <= SHORT:
            # The second for single words, which are not kept: there may be any number of them.
            if said in self._clean or (len(said) < 16 and said.isalnum() and not self._known):
                return said
            return self._mask_short(said)
        look = 2 * limit + self._margin
        if len(said) <= look:
            return text.truncate(self.mask(said), limit)
        return text.truncate(self.mask(said[:look])[: -self._margin].ljust(len(said)), limit)

    def mask_name(self, said: str, limit: int) -> str:
        """A name in at most `limit` characters; as `key` shows it, if it is no longer."""
        return self.mask_key(said)[0] if len(said) <= limit else self.mask_and_truncate(said, limit)

    def mask_and_truncate_middle(self, said: str, limit: int) -> str:
        """Like `masked`, but keeps head and tail; the tail of a huge one begins with a whole line."""
        look = 2 * limit + self._margin
        if len(said) > 2 * look:
            head = self.mask(said[:look])[: -self._margin]
            rest = self.mask(said[-look:])[self._margin :].partition("\n")[2]
            said = f"{head}\n{rest.rjust(len(said) - len(head) - 1)}"
        else:
            said = self.mask(said)
        return text.truncate_middle(said, limit)

    def to_text(self, value: object) -> str:
        """The text of any object; inside a container, what stands under a suspicious key is masked."""
        if not issubclass(type(value), (Mapping, list, tuple, Set)):
            return text.to_text(value)
        return json.dumps(self.mask_values(text.to_json_value(value)), ensure_ascii=False, allow_nan=False)

    def mask_values(self, value: Any) -> Any:
        """Plain values of JSON with every secret masked, by its key as by its shape."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, list):
            return self._hidden_list(value)
        if not isinstance(value, dict):
            return value
        named = next((value[name] for name in ("name", "Name", "key", "Key") if name in value), None)
        if (
            isinstance(named, str) and self.mask_key(named)[1]
        ):  # a pair, as in {"name": "password", "value": "…"}
            hides = {
                key for key in ("value", "Value") if value.get(key) and self.is_secret(named, value[key])
            }
            value = {key: MASK if key in hides else item for key, item in value.items()}
        value = self._hidden_columns(value)
        return {
            self.mask_key(key)[0]: MASK
            if self.is_secret(key, item) and item is not None
            else self.mask_values(item)
            for key, item in value.items()
        }

    def _hidden_columns(self, table: dict[str, Any]) -> dict[str, Any]:
        """`{"columns": [...], "data": [[...], ...]}`, as pandas and drivers of databases make it."""
        names = table.get("columns")
        rows = next((name for name in ("data", "rows") if isinstance(table.get(name), list)), "")
        if not rows or not isinstance(names, list):
            return table
        secret = {n: name for n, name in enumerate(names) if isinstance(name, str) and self.mask_key(name)[1]}
        if not secret:
            return table
        hidden = [
            [
                MASK if n in secret and cell is not None and self.is_secret(secret[n], cell) else cell
                for n, cell in enumerate(row)
            ]
            if isinstance(row, list)
            else row
            for row in table[rows]
        ]
        return {**table, rows: hidden}

    def _hidden_list(self, items: list[Any]) -> list[Any]:
        """Return the items of a list, masked, also as a pair, as options with values, and as a command line."""
        if len(items) == 2 and self._is_pair(*items):
            return [items[0], MASK]
        found: list[Any] = []
        before, has_options = None, False
        for item in items:
            if isinstance(item, str) and item.startswith("-"):
                has_options = True
                found.append(self.mask(item))
            elif isinstance(item, str) and isinstance(before, str) and before.startswith("-"):
                found.append(MASK if self.is_secret(before, item) else self.mask(item))
            else:
                found.append(self.mask_values(item))
            before = item
        return self._hidden_words(found) if has_options else found

    def _is_pair(self, name: Any, value: Any) -> bool:
        """Whether a list is ("password", "x1"), and no two columns ("token", "label")."""
        if not isinstance(name, str) or not isinstance(value, str) or value.isalpha():
            return False
        return self.is_secret(name, value)

    def _hidden_words(self, words: list[Any]) -> list[Any]:
        """Texts of a list, masked as the text of the list is: `["docker", "login", "-p", "***"]`."""
        if len(words) > MAX_WORDS or not all(isinstance(word, str) for word in words):
            return words
        said = json.dumps(words, ensure_ascii=False)
        masked = self.mask(said)
        if masked == said:
            return words
        try:
            again = json.loads(masked)
        except ValueError as error:  # a mask that took a quotation mark: then each text is masked on its own
            interrupts.pass_on(error)
            return words
        return again if len(again) == len(words) else words

    def mask_metric_table(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A metric's columns and rows, with every secret text masked, by its column's name as by its shape."""
        columns: dict[str, str] = {}
        texts: list[
            tuple[bool, str]
        ] = []  # of each column: whether its cells are texts; its name if a secret's
        for name, kind in data["columns"].items():
            shown, secret = self.mask_key(name)
            columns[shown if shown not in columns else f"{shown}~{len(columns)}"] = kind
            texts.append((kind == "string", name if secret else ""))
        rows = data["rows"]
        if any(is_text for is_text, _ in texts):
            rows = [[self._cell(*pair) for pair in zip(row, texts)] for row in rows]
        return {**data, "columns": columns, "rows": rows}

    def _cell(self, cell: Any, column: tuple[bool, str]) -> Any:
        is_text, name = column
        if not is_text or not isinstance(cell, str):
            return cell
        return MASK if name and self.is_secret(name, cell) else self.mask(cell)

    def _name(self, said: str) -> str:
        if self.mask(said) == said:
            return said
        for value in self._known:
            said = said.replace(value, MASK)
        return provider_secrets.mask(named_secrets.mask_in_name(said), find_marks(said))


def describe_value(value: object) -> str:
    """A wrong value as an error shows it: short, quoted, without a secret in it."""
    return repr(_BY_SHAPE.mask_and_truncate(_BY_SHAPE.to_text(value), 80))


def mask_all_values(value: object, separator: str, *, bare: bool = False) -> str:
    """Return `key=value` pairs or a mapping as text, with `***` in place of each value.

    `bare`: a text's first part is shown where it has no `=`: that is what is wrong with it. (A later one may be the
    rest of a value.)
    """
    if isinstance(value, Mapping):
        shown = [f"{_BY_SHAPE.mask(text.to_text(key))}={MASK}" for key in value]
    else:
        bare = bare and isinstance(value, str)
        parts = [part.strip().partition("=") for part in text.to_text(value).split(separator) if part.strip()]
        shown = [
            _BY_SHAPE.mask(key) + (f"={MASK}" if equals else "")
            if key and (equals or (bare and not n))
            else MASK
            for n, (key, equals, _) in enumerate(parts)
        ]
    return text.truncate(separator.join(shown), 200)


_BY_SHAPE = Redactor()
