"""YAML documents whose values know their lines.

The values are those of `yaml.safe_load`, which azure-ai-ml uses: YAML 1.1, merge keys and anchors. Timestamps stay
strings. A document that is too large, too deep or not UTF-8 gives a finding. Nothing is executed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Union

from amllog.errors import MissingExtraError
from amllog.local.definition.yaml_numbers import yaml_integer, yaml_number
from amllog.local.plan.planned_steps import Finding, SourceLine

MAX_BYTES = 1_000_000
MAX_NODES = 50_000  # after the expansion of aliases
MAX_DEPTH = 100
_TAG = "tag:yaml.org,2002:"
_BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


@dataclass(frozen=True)
class YamlScalar:
    """A value without parts. `text` is the value as it is written, without quotes. `style` is ' " | > or empty."""

    value: str | int | float | bool | None
    text: str
    position: SourceLine
    style: str = ""
    last_line: int = 0


@dataclass(frozen=True)
class YamlList:
    """A sequence."""

    items: tuple[YamlNode, ...]
    position: SourceLine


@dataclass(frozen=True)
class YamlMap:
    """A mapping. Its keys are strings, in the order of the file. `key_positions` has the line of each key."""

    items: Mapping[str, YamlNode]
    position: SourceLine
    key_positions: Mapping[str, SourceLine] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, key: str) -> YamlNode | None:
        """Return the value of a key. A missing key and the value null are None."""
        node = self.items.get(key)
        return None if isinstance(node, YamlScalar) and node.value is None else node

    def line(self, key: str) -> SourceLine:
        """Return the position of a key, or that of the mapping if the key is missing."""
        return self.key_positions.get(key, self.position)


YamlNode = Union[YamlScalar, YamlList, YamlMap]


@dataclass(frozen=True)
class YamlDocument:
    """A file as nodes. `root` is None if the file is empty or invalid. `lines` are the lines of the file."""

    path: Path
    root: YamlNode | None = None
    findings: tuple[Finding, ...] = ()
    lines: tuple[str, ...] = ()


def plain(node: YamlNode | None) -> Any:
    """Convert a node to Python's types: str, int, float, bool, None, list and dict."""
    if isinstance(node, YamlMap):
        return {key: plain(value) for key, value in node.items.items()}
    if isinstance(node, YamlList):
        return [plain(item) for item in node.items]
    return node.value if node is not None else None


def scalars(node: YamlNode | None) -> Iterator[YamlScalar]:
    """Yield all scalars of a node, in the order of the file."""
    if isinstance(node, YamlScalar):
        yield node
    elif node is not None:
        for item in node.items.values() if isinstance(node, YamlMap) else node.items:
            yield from scalars(item)


def read_yaml(path: Path) -> YamlDocument:
    """Read a file. All errors are findings of the document. Raises MissingExtraError without PyYAML."""
    whole = SourceLine(path, 0)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # the open of a named pipe would wait
            return YamlDocument(path, None, (Finding(whole, "is not a file"),))
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return YamlDocument(path, None, (Finding(whole, "the file does not exist"),))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return YamlDocument(path, None, (Finding(whole, f"the file cannot be read: {reason}"),))
    if len(data) > MAX_BYTES:
        return YamlDocument(path, None, (Finding(whole, f"the file has more than {MAX_BYTES:,} bytes"),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = SourceLine(path, data[: error.start].count(b"\n") + 1)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        return YamlDocument(path, None, (Finding(line, message),))
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlDocument:
    """Parse the text of a file. `path` is for the positions only."""
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("pyyaml", "local") from None

    lines = tuple(text.splitlines())
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = SourceLine(path, mark.line + 1 if mark else 0)
        if error.problem == "but found another document":
            message = "a second document begins here: write each one to a file of its own"
            return YamlDocument(path, None, (Finding(line, message),), lines)
        parts = [error.problem or error.context or "invalid YAML", _hint(lines, line.line)]
        return YamlDocument(path, None, (Finding(line, f"invalid YAML: {''.join(parts)}"),), lines)
    except yaml.reader.ReaderError as error:
        line = SourceLine(path, text.count("\n", 0, error.position) + 1)
        return YamlDocument(
            path, None, (Finding(line, f"invalid character {text[error.position]!r}"),), lines
        )
    except RecursionError:
        message = f"the document has more than {MAX_DEPTH} levels"
        return YamlDocument(path, None, (Finding(SourceLine(path, 1), message),), lines)
    if root is None:
        return YamlDocument(path, None, (), lines)
    conversion = _Conversion(path)
    node = conversion.convert(root, 0)
    return YamlDocument(path, node, tuple(conversion.findings), lines)


def _hint(lines: tuple[str, ...], line: int) -> str:
    """Return the remedy of frequent mistakes at a line."""
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    if re.match(r"\s*\t", text):
        return ". Indent with spaces, not with tabs"
    if re.search(r":\s.*:\s", text):
        return ". Quote a value that contains ': '"
    return ""


class _Conversion:
    """The conversion of PyYAML's nodes. It counts nodes, because few aliases can expand to billions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self._count = 0

    def convert(self, node: Any, depth: int) -> YamlNode:
        """Convert a node and its parts."""
        position = SourceLine(self.path, node.start_mark.line + 1)
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_NODES:
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_NODES:,} values"
            return self._invalid(position, f"the document has more than {limit}, with its aliases")
        kind = type(node).__name__
        if kind == "SequenceNode":
            return YamlList(tuple(self.convert(item, depth + 1) for item in node.value), position)
        return self._map(node, position, depth) if kind == "MappingNode" else self._scalar(node, position)

    def _invalid(self, position: SourceLine, message: str) -> YamlScalar:
        if message not in {finding.message for finding in self.findings}:
            self.findings.append(Finding(position, message))
        return YamlScalar(None, "", position)

    def _map(self, node: Any, position: SourceLine, depth: int) -> YamlMap:
        items: dict[str, YamlNode] = {}
        merged: dict[str, YamlNode] = {}
        lines: dict[str, SourceLine] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for part in self._merged(value_node, depth):
                    merged = {**part.items, **merged}
                    lines = {**part.key_positions, **lines}
                continue
            line = SourceLine(self.path, key_node.start_mark.line + 1)
            if type(key_node).__name__ != "ScalarNode":
                hint = ". An expression begins with '${{'" if type(key_node).__name__ == "MappingNode" else ""
                self._invalid(line, f"a key is a list or a mapping: allowed is a string{hint}")
                continue
            key = self._key(key_node)
            if key in items:
                message = f"duplicate key {key!r}: it is also in line {lines[key].line}"
                self.findings.append(Finding(line, message))
                continue
            items[key], lines[key] = self.convert(value_node, depth + 1), line
        return YamlMap({**{k: v for k, v in merged.items() if k not in items}, **items}, position, lines)

    def _merged(self, node: Any, depth: int) -> list[YamlMap]:
        value = self.convert(node, depth + 1)
        parts = list(value.items) if isinstance(value, YamlList) else [value]
        maps = [part for part in parts if isinstance(part, YamlMap)]
        if len(maps) < len(parts):
            self._invalid(value.position, "the value of << is not a mapping")
        return maps

    def _key(self, node: Any) -> str:
        position = SourceLine(self.path, node.start_mark.line + 1)
        value = self._scalar(node, position).value
        if isinstance(value, bool):
            message = f"YAML reads the key {node.value} as the boolean {value}: write '{node.value}'"
            self.findings.append(Finding(position, message))
        return str(node.value)

    def _scalar(self, node: Any, position: SourceLine) -> YamlScalar:
        tag, text = node.tag, node.value
        kind = tag[len(_TAG) :] if tag.startswith(_TAG) else ""
        value: str | int | float | bool | None = text
        try:
            if kind == "null":
                value = None
            elif kind == "bool":
                value = _BOOLEANS[text.lower()]
            elif kind == "int":
                value = yaml_integer(text)
            elif kind == "float":
                value = yaml_number(text)
            elif kind not in {"str", "timestamp", "value", "merge"}:
                return self._invalid(position, f"the tag {tag!r} is not allowed")
        except (ValueError, KeyError, OverflowError):
            return self._invalid(position, f"the value {text[:40]!r} is not of the type {kind!r}")
        return YamlScalar(value, text, position, node.style or "", node.end_mark.line + 1)
