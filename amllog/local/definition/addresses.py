"""Addresses of data: local paths, and names that only a map can find."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from amllog.local.definition.checked_map import absolute
from amllog.local.plan.planned_steps import LocalData, NamedData, SourceLine

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def local_path(text: str, folder: Path) -> Path | None:
    """Return the absolute path of a local address, or None for all others.

    azure-ai-ml dumps the path `./data` as `azureml:./data`. `file:` before a path is allowed.
    """
    address = text.strip()
    if address.lower().startswith("azureml:"):
        address = address[len("azureml:") :]
        is_path = address.startswith(("./", "../", "/")) or address in {".", ".."}
        if not is_path or address.startswith(("//", "/subscriptions/")):
            return None
    elif address.lower().startswith("file:"):
        address = unquote(re.sub("^//(?=/)", "", address[len("file:") :]))
    elif _SCHEME.match(address):
        return None
    return absolute(folder, address)


def data_value(text: str, kind: str, folder: Path, position: SourceLine) -> LocalData | NamedData:
    """Return the data of an address. Without a type, a local file is a `uri_file`, and all else is a `uri_folder`.

    azure-ai-ml dumps the address `https://…` as `azureml:https://…`.
    """
    path = local_path(text, folder)
    if path is None:
        reference = re.sub("^azureml:(?=[a-z]+://)", "", text.strip())
        return NamedData(reference, kind or "uri_folder", position)
    if not kind:
        try:
            kind = "uri_file" if path.is_file() else "uri_folder"
        except (OSError, ValueError):  # a name that is too long, or that has a NUL
            kind = "uri_folder"
    return LocalData(path, kind)
