"""The file `MLTable` of a table: its paths and transformations, as the programs of a parallel step need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.local.definition.yaml_nodes import plain, read_yaml

_READERS = ("read_delimited", "read_json_lines", "read_parquet")
_SUFFIXES = {
    ".csv": ("read_delimited", {"delimiter": ","}),
    ".tsv": ("read_delimited", {"delimiter": "\t"}),
    ".jsonl": ("read_json_lines", {}),
    ".json": ("read_json_lines", {}),
    ".parquet": ("read_parquet", {}),
}
_PATHS = ("file", "folder", "pattern")


def table_of(path: Path) -> dict[str, Any]:
    """Return the description of a table. Raises UsageError if it is invalid.

    Without a transformation that reads, an MLTable is a list of files. `path` may also be a file with a table, or a
    folder of such files, so that data of this machine needs no MLTable.
    """
    file = path / "MLTable"
    if not file.is_file():
        return _without_file(path)
    document = read_yaml(file)
    if document.findings:
        raise UsageError("\n".join(map(str, document.findings)))
    content = plain(document.root)
    if not isinstance(content, dict):
        raise UsageError(f"{file} must be a map with the key paths")
    return {
        "folder": str(path),
        "has_file": True,
        "paths": _paths(file, content.get("paths")),
        "transformations": _transformations(file, content.get("transformations") or []),
    }


def _paths(file: Path, paths: object) -> list[dict[str, str]]:
    if not isinstance(paths, list) or not paths:
        raise UsageError(
            f"{file}: paths is {paths!r}, which must be a list of at least one file, folder or pattern"
        )
    for entry in paths:
        kind, text = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else ("", "")
        if kind not in _PATHS or not isinstance(text, str):
            raise UsageError(f"{file}: the path {entry!r} must have one of the keys {', '.join(_PATHS)}")
        if "://" in text or text.startswith("azureml:"):
            raise UsageError(
                f"{file}: {text} is not on this machine. Name a local folder with an own MLTable"
            )
    return paths


def _transformations(file: Path, transformations: object) -> list[tuple[str, Any]]:
    """Return the name and the options of each transformation. The first one reads, or there is none."""
    if not isinstance(transformations, list):
        raise UsageError(f"{file}: transformations is {transformations!r}, which must be a list")
    pairs: list[tuple[str, Any]] = []
    for entry in transformations:
        if isinstance(entry, str):  # a transformation without options
            pairs.append((entry, {}))
        elif isinstance(entry, dict) and len(entry) == 1:
            ((name, options),) = entry.items()
            pairs.append((str(name), {} if options is None else options))
        else:
            raise UsageError(f"{file}: the transformation {entry!r} must be a map with one key")
    if pairs and pairs[0][0] not in _READERS:
        raise UsageError(
            f"{file}: the first transformation is {pairs[0][0]}, which must be one of {', '.join(_READERS)}"
        )
    return pairs


def _without_file(path: Path) -> dict[str, Any]:
    """Return the description of a data file, or of a folder whose files have one suffix."""
    files = sorted(name for name in path.rglob("*") if name.is_file()) if path.is_dir() else [path]
    suffixes = {name.suffix.lower() for name in files}
    reader = _SUFFIXES.get(next(iter(suffixes))) if len(suffixes) == 1 else None
    if reader is None:
        suffixes_text = ", ".join(_SUFFIXES)
        raise UsageError(
            f"{path} has no file MLTable, and its files do not all have one of the suffixes {suffixes_text}"
        )
    is_folder = path.is_dir()
    return {
        "folder": str(path if is_folder else path.parent),
        "has_file": False,
        "paths": [{"folder": "."}] if is_folder else [{"file": path.name}],
        "transformations": [reader],
    }
