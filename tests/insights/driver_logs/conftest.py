"""Folders of jobs in the layouts of Azure ML, written by hand."""

from __future__ import annotations

import json
from pathlib import Path


def write_files(folder: Path, **files: str) -> Path:
    """Write files below a folder. In a name, `__` stands for `/`, and `.txt` is added."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def write_json(path: Path, **values: object) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
