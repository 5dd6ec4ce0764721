"""References to assets of Azure ML and to addresses, and the entry of a map that fits one.

A reference is `azureml:name@label`, `azureml:name:version`, `azureml://…` or the address of a file (`https`, `wasbs`,
`abfss`). The key of an entry may be the name alone, the name with its label or version, the whole reference, or the
beginning of an address. The most specific key fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

# The workspace does not matter here: `azureml://subscriptions/…/workspaces/w/datastores/d/paths/p` is short
# `azureml://datastores/d/paths/p`.
_WORKSPACE = re.compile(r"azureml://(?:subscriptions|locations)/.*?/workspaces/[^/]+/", re.IGNORECASE)
_ASSET = re.compile(
    r"azureml:/{1,2}(?:registries/[^/]+/)?(?:data|models|environments|components)/(?P<name>[^/]+)"
    r"(?:/(?P<kind>versions|labels)/(?P<qualifier>[^/]+))?/?"
)


class Fit(NamedTuple):
    """The key of a map that fits a reference, and the part of the path that is below it."""

    key: str
    rest: str = ""


def is_address(reference: str) -> bool:
    """Return whether the reference is an address with a scheme, and not only a name."""
    return "://" in reference


def normalize(reference: str) -> str:
    """Return the form in which references and keys are compared.

    It has no `azureml:` before a name, no workspace, and no query, which is a signature. Assets with a long address
    become `name:version` or `name@label`.
    """
    text = reference.strip()
    if not is_address(text):
        return text.removeprefix("azureml:")
    text = _WORKSPACE.sub("azureml://", re.split(r"[?#]", text, maxsplit=1)[0])
    asset = _ASSET.fullmatch(text)
    if asset is None:
        return text
    return asset["name"] + _suffix(asset["kind"], asset["qualifier"])


def _suffix(kind: str | None, qualifier: str | None) -> str:
    """Return `:version`, `@label` or nothing."""
    if not qualifier:
        return ""
    return f"@{qualifier}" if kind == "labels" else f":{qualifier}"


def name_of(reference: str) -> str:
    """Return the key that the map should get: the name of the asset without its version, or the whole address."""
    text = normalize(reference)
    return text if is_address(text) else re.split(r"[:@]", text, maxsplit=1)[0]


def fitting_key(reference: str, keys: Iterable[str]) -> Fit | None:
    """Return the most specific of the keys that fits the reference, or None. Of equal keys, the first one fits."""
    wanted = normalize(reference)
    known: dict[str, str] = {}
    for key in keys:
        known.setdefault(normalize(key), key)
    if not is_address(wanted):
        exact = next((known[form] for form in (wanted, name_of(wanted)) if form in known), None)
        return Fit(exact) if exact is not None else None
    beginnings = [form for form in known if is_address(form) and _is_beginning(form, wanted)]
    if not beginnings:
        return None
    longest = max(beginnings, key=lambda form: len(form.rstrip("/")))
    return Fit(known[longest], unquote(wanted[len(longest.rstrip("/")) :]).strip("/"))


def _is_beginning(form: str, wanted: str) -> bool:
    """Return whether the address begins with the form and goes on with a new part of its path."""
    whole = form.rstrip("/")
    return wanted.rstrip("/") == whole or wanted.startswith(f"{whole}/")
