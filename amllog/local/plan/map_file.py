"""The file `amllog.yml`: found upwards from the pipeline file, and read with the lines of its entries."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

from amllog.config.user_path import expand_path, is_file
from amllog.errors import UsageError
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.yaml_nodes import YamlMap, YamlNode, YamlScalar, read_yaml
from amllog.local.plan.asset_maps import CURRENT, AssetMaps, DataEntry, EnvironmentEntry, option_maps
from amllog.local.plan.planned_steps import Finding, Severity, SourceLine

NAMES = ("amllog.yml", "amllog.yaml")
SECTIONS = ("data", "environments", "components")
_ENVIRONMENT_KEYS = ("python", "venv", "conda_file")


def map_line(key: str, value: str) -> str:
    """Return the line of a map file, with the key in quotes if YAML needs them."""
    # YAML reads the escapes of JSON differently above U+FFFF.
    quoted = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in key)
    return f"{key}: {value}" if _is_plain(key) else f'"{quoted}": {value}'


def _is_plain(key: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_]([\w.@/+~:-]*[\w/])?", key)) and key.lower() not in {
        "yes", "no", "on", "off", "true", "false", "null",
    }  # fmt: skip


def load_maps(
    start: Path,
    data: Mapping[str, str | PathLike[str]],
    environments: Mapping[str, str | PathLike[str]],
    directory: Path,
) -> tuple[AssetMaps, list[Finding]]:
    """Return the entries of options and of the nearest map file above the folder `start`."""
    options = option_maps(data, environments, directory)
    file, findings = find_map_file(start)
    if file is None:
        return replace(options, file=start / NAMES[0]), findings
    maps, errors = read_map_file(file)
    merged = replace(
        maps, data=(*options.data, *maps.data), environments=(*options.environments, *maps.environments)
    )
    return merged, [*findings, *errors]


def find_map_file(start: Path) -> tuple[Path | None, list[Finding]]:
    """Return the nearest map file in the folder of the pipeline file or above it.

    An interpreter that the file names is run. So a file of another user is not read: in a folder that all users write
    to, it may be anybody's.
    """
    folder = Path(os.path.abspath(start))
    for place in (folder, *folder.parents):
        for name in NAMES:
            try:
                if is_file(place / name):
                    return _trusted(place / name, folder)
            except UsageError:  # a folder above that the user may not enter
                continue
    return None, []


def _trusted(file: Path, folder: Path) -> tuple[Path | None, list[Finding]]:
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return file, []
    owner = os.stat(file).st_uid
    if owner in {0, os.geteuid(), os.stat(folder).st_uid}:
        return file, []
    message = "is ignored, because another user owns it"
    return None, [Finding(SourceLine(file, 0), message, Severity.WARNING)]


def read_map_file(file: Path) -> tuple[AssetMaps, list[Finding]]:
    """Read a map file. Entries with an error are left out, with a finding."""
    document = read_yaml(file)
    findings = list(document.findings)
    root = document.root
    if root is None or (isinstance(root, YamlScalar) and root.value is None):
        return AssetMaps(file=file), findings
    if not isinstance(root, YamlMap):
        findings.append(
            Finding(root.position, f"is not a mapping: allowed are the keys {', '.join(SECTIONS)}")
        )
        return AssetMaps(file=file), findings
    reader = _Reader(file, findings)
    findings += [
        Finding(root.line(key), f"unknown key {key!r}{allowed_words(key, SECTIONS)}")
        for key in root.items
        if key not in SECTIONS
    ]
    maps = AssetMaps(
        tuple(reader.data(root.get("data"))),
        tuple(reader.environments(root.get("environments"))),
        {entry.key: entry.path for entry in reader.data(root.get("components"), "components")},
        file,
    )
    return maps, findings


class _Reader:
    """A reader of the sections of a map file."""

    def __init__(self, file: Path, findings: list[Finding]) -> None:
        self._base = file.parent
        self._findings = findings

    def data(self, section: YamlNode | None, name: str = "data") -> Iterator[DataEntry]:
        """Yield the entries of the section `data`, or of `components`, which has the same form."""
        for key, node, position in self._entries(section, name, "path"):
            text = self._text(node, position, f"{name} {key}: allowed is a path")
            path = self._path(text, position) if text else None
            if path is not None:
                yield DataEntry(key, path, position)

    def environments(self, section: YamlNode | None) -> Iterator[EnvironmentEntry]:
        """Yield the entries of the section `environments`."""
        forms = "allowed is the path or the name of an interpreter, {venv: true} or {conda_file: PATH}"
        for key, node, position in self._entries(section, "environments", "interpreter"):
            if isinstance(node, YamlMap):
                yield from self._environment(key, node, position)
                continue
            text = self._text(node, position, f"environment {key}: {forms}")
            if text:
                yield EnvironmentEntry(key, "" if text == CURRENT else text, self._base, position)

    def _environment(self, key: str, node: YamlMap, position: SourceLine) -> Iterator[EnvironmentEntry]:
        count = len(self._findings)
        for part in node.items:
            if part not in _ENVIRONMENT_KEYS:
                message = f"environment {key}: unknown key {part!r}{allowed_words(part, _ENVIRONMENT_KEYS)}"
                self._findings.append(Finding(node.line(part), message))
        texts = {
            part: self._text(
                node.items[part], node.line(part), f"environment {key}: {part}: allowed is a path"
            )
            for part in ("python", "conda_file")
            if part in node.items
        }
        conda_file = self._path(texts["conda_file"], position) if texts.get("conda_file") else None
        venv = node.items.get("venv")
        is_built = conda_file is not None or (isinstance(venv, YamlScalar) and venv.value is True)
        if venv is not None and not (isinstance(venv, YamlScalar) and isinstance(venv.value, bool)):
            message = f"environment {key}: venv: allowed is true or false. A path is {{python: …}}"
            self._findings.append(Finding(node.line("venv"), message))
        if len(self._findings) == count:
            python = texts.get("python", "")
            yield EnvironmentEntry(
                key, "" if python == CURRENT else python, self._base, position, is_built, conda_file
            )

    def _entries(
        self, section: YamlNode | None, name: str, value: str
    ) -> Iterator[tuple[str, YamlNode, SourceLine]]:
        if isinstance(section, YamlMap):
            for key, node in section.items.items():
                yield key, node, section.line(key)
        elif section is not None:
            message = f"{name} is not a mapping: allowed are lines such as `name: {value}`"
            self._findings.append(Finding(section.position, message))

    def _text(self, node: YamlNode, position: SourceLine, allowed: str) -> str:
        """Return the text of a scalar. Report any other value."""
        # A path such as `2024` or `1.5` is a number for YAML. Its text is what the user wrote.
        if isinstance(node, YamlScalar) and node.value is not None and not isinstance(node.value, bool):
            text = node.text.strip()
            if text:
                return text
        self._findings.append(Finding(position, allowed))
        return ""

    def _path(self, text: str, position: SourceLine) -> Path | None:
        try:
            return Path(os.path.normpath(self._base / expand_path(text)))
        except UsageError as error:
            self._findings.append(Finding(position, str(error)))
            return None
