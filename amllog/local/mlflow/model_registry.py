"""The operations of MLflow's model registry: registered models, their versions, stages, aliases and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from amllog.local.http.routes import Route
from amllog.local.mlflow.conversion import invalid, items, pairs, text
from amllog.local.mlflow.model_store import LATEST, Model, ModelStore
from amllog.local.mlflow.operations import Body, Operation, operation_routes

_CLAUSE = re.compile(
    r"""\s*(?:(tags?)\.)?[`"]?([\w.\-]+)[`"]?\s*(!=|=|like|ilike)\s*['"]?([^'"]*)['"]?\s*""", re.IGNORECASE
)
_ATTRIBUTES = {
    "name": "name", "run_id": "run_id", "version": "version", "version_number": "version", "source_path": "source",
}  # fmt: skip
_RUN_SOURCE = re.compile(r"runs:/([^/]+)/(.*)")
_LOGGED_SOURCE = re.compile(r"models:/(m-[0-9a-f]{32})")
_ALIAS = re.compile(r"[\w-]{1,255}")


class ModelRegistry:
    """The operations. Each method gets the run of the token and the body, and returns the body of the response."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models

    def routes(self) -> list[Route]:
        """Return the routes of the operations."""
        models, versions = "registered-models", "model-versions"
        operations: dict[tuple[str, str], Operation] = {
            ("POST", f"{models}/create"): self._create,
            ("GET", f"{models}/get"): self._get,
            ("POST", f"{models}/rename"): self._rename,
            ("PATCH", f"{models}/update"): self._update,
            ("DELETE", f"{models}/delete"): self._delete,
            ("GET", f"{models}/search"): self._search,
            ("POST", f"{models}/set-tag"): self._set_tag,
            ("DELETE", f"{models}/delete-tag"): self._delete_tag,
            ("POST", f"{models}/alias"): self._set_alias,
            ("DELETE", f"{models}/alias"): self._delete_alias,
            ("GET", f"{models}/alias"): self._get_by_alias,
            ("POST", f"{versions}/create"): self._create_version,
            ("GET", f"{versions}/get"): self._get_version,
            ("PATCH", f"{versions}/update"): self._update_version,
            ("DELETE", f"{versions}/delete"): self._delete_version,
            ("GET", f"{versions}/search"): self._search_versions,
            ("GET", f"{versions}/get-download-uri"): self._get_download_uri,
            ("POST", f"{versions}/transition-stage"): self._transition,
            ("POST", f"{versions}/set-tag"): self._set_version_tag,
            ("DELETE", f"{versions}/delete-tag"): self._delete_version_tag,
        }
        latest = {(method, f"{models}/get-latest-versions"): self._latest for method in ("GET", "POST")}
        return operation_routes({**operations, **latest})

    def _create(self, caller: str, body: Body) -> object:
        name, description = text(body, "name"), str(body.get("description") or "")
        return _model(self._models.register(name, pairs(body.get("tags")), description))

    def _get(self, caller: str, body: Body) -> object:
        return _model(self._models.registered(text(body, "name")))

    def _rename(self, caller: str, body: Body) -> object:
        return _model(self._models.rename(text(body, "name"), text(body, "new_name")))

    def _update(self, caller: str, body: Body) -> object:
        return _model(self._change(body, description=str(body.get("description") or "")))

    def _delete(self, caller: str, body: Body) -> object:
        self._models.delete_registered(text(body, "name"))
        return {}

    def _search(self, caller: str, body: Body) -> object:
        models = [
            model for model in self._models.all_registered() if _matches(model, str(body.get("filter") or ""))
        ]
        return {"registered_models": [to_registered_model(model) for model in models]}

    def _set_tag(self, caller: str, body: Body) -> object:
        self._change(body, tags={text(body, "key"): str(body.get("value") or "")})
        return {}

    def _delete_tag(self, caller: str, body: Body) -> object:
        self._change(body, tags={text(body, "key"): None})
        return {}

    def _set_alias(self, caller: str, body: Body) -> object:
        alias, version = text(body, "alias"), text(body, "version")
        if not _ALIAS.fullmatch(alias) or alias.lower() == LATEST or re.fullmatch(r"v\d+", alias.lower()):
            raise invalid(f"Invalid alias {alias[:50]!r}: allowed are letters, digits, '_' and '-'")
        self._models.version(text(body, "name"), version)
        self._change(body, aliases={alias: version})
        return {}

    def _delete_alias(self, caller: str, body: Body) -> object:
        self._change(body, aliases={text(body, "alias"): None})
        return {}

    def _get_by_alias(self, caller: str, body: Body) -> object:
        model, alias = self._models.registered(text(body, "name")), text(body, "alias")
        if alias not in model["aliases"]:
            raise invalid(f"Registered model alias {alias[:50]} not found.")
        return _version(model, self._models.version(model["name"], model["aliases"][alias]))

    def _change(self, body: Body, **fields: Any) -> Model:
        return self._models.change_registered(text(body, "name"), **fields)

    def _create_version(self, caller: str, body: Body) -> object:
        optional = {name: str(body[name]) for name in ("run_id", "run_link", "model_id") if body.get(name)}
        fields = {
            "source": text(body, "source"),
            "description": str(body.get("description") or ""),
            "user_id": "local",
            "tags": pairs(body.get("tags")),
            **optional,
        }
        name = text(body, "name")
        version = self._models.add_version(name, fields)
        return _version(self._models.registered(name), version)

    def _named_version(self, body: Body) -> Model:
        return self._models.version(text(body, "name"), text(body, "version"))

    def _get_version(self, caller: str, body: Body) -> object:
        return _version(self._models.registered(text(body, "name")), self._named_version(body))

    def _change_version(self, body: Body, **fields: Any) -> object:
        name = text(body, "name")
        version = self._models.change_version(name, text(body, "version"), **fields)
        return _version(self._models.registered(name), version)

    def _update_version(self, caller: str, body: Body) -> object:
        return self._change_version(body, description=str(body.get("description") or ""))

    def _delete_version(self, caller: str, body: Body) -> object:
        self._models.delete_version(text(body, "name"), text(body, "version"))
        return {}

    def _set_version_tag(self, caller: str, body: Body) -> object:
        self._change_version(body, tags={text(body, "key"): str(body.get("value") or "")})
        return {}

    def _delete_version_tag(self, caller: str, body: Body) -> object:
        self._change_version(body, tags={text(body, "key"): None})
        return {}

    def _transition(self, caller: str, body: Body) -> object:
        name, archive = text(body, "name"), body.get("archive_existing_versions") in (True, "true")
        version = self._models.transition(name, text(body, "version"), text(body, "stage"), archive=archive)
        return _version(self._models.registered(name), version)

    def _latest(self, caller: str, body: Body) -> object:
        """Return the latest version of each stage, or of the given ones."""
        model = self._models.registered(text(body, "name"))
        wanted = body.get("stages") or []
        stages = {stage.lower() for stage in ([wanted] if isinstance(wanted, str) else map(str, wanted))}
        latest = [
            version
            for version in _latest_versions(model)
            if not stages or version["current_stage"].lower() in stages
        ]
        return {"model_versions": [to_model_version(model, version) for version in latest]}

    def _search_versions(self, caller: str, body: Body) -> object:
        condition = str(body.get("filter") or "")
        versions = [
            (model, version)
            for model in self._models.all_registered()
            for version in reversed(model["versions"].values())
            if _matches(version, condition)
        ]
        return {"model_versions": [to_model_version(*pair) for pair in versions]}

    def _get_download_uri(self, caller: str, body: Body) -> object:
        """Return the place of the files: that of the logged model, or of the artifacts of the run."""
        source = self._named_version(body)["source"]
        logged, of_run = _LOGGED_SOURCE.fullmatch(source), _RUN_SOURCE.fullmatch(source)
        if logged:
            return {"artifact_uri": self._models.logged(logged[1])["artifact_uri"]}
        return {"artifact_uri": f"mlflow-artifacts:/{of_run[1]}/{of_run[2]}" if of_run else source}


def _matches(model: Mapping[str, Any], condition: str) -> bool:
    """Return whether a model or a version meets a filter: comparisons that are joined by `and`."""
    for part in re.split(r"\s+and\s+", condition, flags=re.IGNORECASE) if condition.strip() else ():
        clause = _CLAUSE.fullmatch(part)
        if clause is None or not (clause[1] or clause[2].lower() in _ATTRIBUTES):
            raise invalid(f"The local Azure does not support the filter {condition[:100]!r}")
        is_tag, name, operator, wanted = clause[1], clause[2], clause[3].lower(), clause[4]
        known = model["tags"].get(name) if is_tag else model.get(_ATTRIBUTES[name.lower()])
        if not _compare(str(known or ""), operator, wanted):
            return False
    return True


def _compare(known: str, operator: str, wanted: str) -> bool:
    if operator in ("=", "!="):
        return (known == wanted) == (operator == "=")
    pattern = "".join(".*" if character == "%" else re.escape(character) for character in wanted)
    return bool(re.fullmatch(pattern, known, re.IGNORECASE if operator == "ilike" else re.RegexFlag(0)))


def _latest_versions(model: Model) -> list[Model]:
    return list({version["current_stage"]: version for version in model["versions"].values()}.values())


def _model(model: Model) -> Mapping[str, Any]:
    return {"registered_model": to_registered_model(model)}


def _version(model: Model, version: Model) -> Mapping[str, Any]:
    return {"model_version": to_model_version(model, version)}


def to_registered_model(model: Model) -> dict[str, Any]:
    """Return a registered model in MLflow's format."""
    plain = {name: value for name, value in model.items() if name not in ("versions", "last")}
    aliases = [{"alias": alias, "version": number} for alias, number in model["aliases"].items()]
    latest = [to_model_version(model, version) for version in _latest_versions(model)]
    return {**plain, "tags": items(model["tags"]), "aliases": aliases, "latest_versions": latest}


def to_model_version(model: Model, version: Model) -> dict[str, Any]:
    """Return a version of a registered model in MLflow's format."""
    aliases = [alias for alias, number in model["aliases"].items() if number == version["version"]]
    return {**version, "tags": items(version["tags"]), "aliases": aliases}
