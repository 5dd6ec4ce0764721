"""Typed values of a mapping. A value of another type is a finding."""

from __future__ import annotations

import math
import os.path
from collections.abc import Callable, Iterable
from pathlib import Path

from amllog.local.definition.finding_list import FindingList, allowed_words, nearest_word
from amllog.local.definition.yaml_nodes import YamlList, YamlMap, YamlNode, YamlScalar, plain
from amllog.local.plan.planned_steps import SourceLine


class CheckedMap:
    """A mapping of a file. `substitute` resolves the expressions in a string of the pipeline."""

    def __init__(
        self, node: YamlMap, findings: FindingList, substitute: Callable[[YamlScalar], str] | None = None
    ) -> None:
        self.node = node
        self.findings = findings
        self.folder = node.position.file.parent
        self._substitute = substitute or (lambda scalar: scalar.text)

    def check_keys(self, allowed: Iterable[str], what: str) -> None:
        """Report the unknown keys. A key that is similar to a known one is read as that, so that it is one finding."""
        known = set(allowed)
        for key in [key for key in self.node.items if key not in known]:  # in the order of the file
            end = allowed_words(key, known, f"allowed in {what}")
            self.findings.error(self.node.line(key), f"unknown key {key!r}{end}")
            near = nearest_word(key, known)
            if near and near not in self.node.items:
                items, lines = {**self.node.items}, {**self.node.key_positions}
                items[near] = items.pop(key)
                lines[near] = self.node.line(key)
                self.node = YamlMap(items, self.node.position, lines)

    def line(self, key: str) -> SourceLine:
        """Return the position of a key."""
        return self.node.line(key)

    def text(self, key: str, default: str = "") -> str:
        """Return a string. A number is the text of the file."""
        node = self.node.get(key)
        if node is None:
            return default
        if isinstance(node, YamlScalar):
            return self._substitute(node)
        self._wrong_type(key, "a string")
        return default

    def word(self, key: str, allowed: Iterable[str]) -> str:
        """Return one of the allowed words in small letters, or "" without it. An expression is allowed, too."""
        word = self.text(key).lower()
        if not word or word in allowed or "${{" in word:
            return word
        self.findings.error(self.line(key), f"unknown {key} {word!r}{allowed_words(word, allowed)}")
        return ""

    def map(self, key: str) -> CheckedMap | None:
        """Return a mapping, or None without it."""
        node = self.node.get(key)
        if node is None or isinstance(node, YamlMap):
            return None if node is None else CheckedMap(node, self.findings, self._substitute)
        self._wrong_type(key, "a mapping")
        return None

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings. A single string is a list of one."""
        node = self.node.get(key)
        if isinstance(node, YamlScalar):
            return (self._substitute(node),)
        if node is not None and not isinstance(node, YamlList):
            self._wrong_type(key, "a list of strings")
            return ()
        texts = []
        for item in node.items if node else ():
            if isinstance(item, YamlScalar):
                texts.append(self._substitute(item))
            else:
                self.findings.error(item.position, f"{key} contains {shown(item)}: allowed are strings")
        return tuple(texts)

    def number(self, key: str, least: float = 0) -> float | None:
        """Return a number of at least `least`, or None without it."""
        node = self.node.get(key)
        if node is None:
            return None
        value = self._number(node)
        if value is None or not least <= value < math.inf:
            self._wrong_type(key, "a number" if least == -math.inf else f"a number of at least {least:g}")
            return None
        return value

    def _number(self, node: YamlNode) -> float | None:
        """Return the number of a scalar, which may be a string, or None."""
        if not isinstance(node, YamlScalar) or node.value is None or isinstance(node.value, bool):
            return None
        try:
            return float(self._substitute(node) if isinstance(node.value, str) else node.value)
        except (ValueError, OverflowError):
            return None

    def integer(self, key: str, least: int = 0) -> int | None:
        """Return an integer of at least `least`, or None without it."""
        value = self.number(key, least)
        if value is not None and value != int(value):
            self._wrong_type(key, "an integer")
        return int(value) if value is not None else None

    def boolean(self, key: str, default: bool) -> bool:
        """Return true or false. The strings `true` and `false` are allowed, as azure-ai-ml reads them."""
        node = self.node.get(key)
        if node is None:
            return default
        text = self._substitute(node).lower() if isinstance(node, YamlScalar) else ""
        if isinstance(plain(node), bool):
            return bool(plain(node))
        if text not in {"true", "false"}:
            self._wrong_type(key, "true or false")
            return default
        return text == "true"

    def mapping(self, key: str) -> dict[str, str]:
        """Return a mapping of strings to strings."""
        values = self.map(key)
        return {name: values.text(name) for name in values.node.items} if values else {}

    def plain(self, key: str) -> dict[str, object]:
        """Return a mapping with Python's types."""
        values = self.map(key)
        return plain(values.node) if values else {}

    def _wrong_type(self, key: str, allowed: str) -> None:
        node = self.node.get(key)
        self.findings.error(self.line(key), f"{key} = {shown(node)}: allowed is {allowed}")


def shown(node: YamlNode | None) -> str:
    """Return a short text of a value for a message."""
    if isinstance(node, YamlMap):
        return "a mapping"
    if isinstance(node, YamlList):
        return "a list"
    text = repr(node.text) if node and node.value is not None else "null"
    return text if len(text) <= 60 else text[:56] + "…'"


def absolute(folder: Path, text: str) -> Path:
    """Return the absolute path of a text in a file of a folder. Links stay as they are."""
    return Path(os.path.abspath(folder / text))
