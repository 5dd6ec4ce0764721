"""The stored models of MLflow: logged models (MLflow 3) and registered models with their versions.

The state is in memory. After each change, the changed model is appended to `models.jsonl`. The models are those of a
workspace: each run of this server can read them.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amllog.local.mlflow.conversion import invalid, refusal
from amllog.local.storage import JsonLinesFile, read_lines

Model = dict[str, Any]
STAGES = ("None", "Staging", "Production", "Archived")
LATEST = "latest"


def milliseconds_now() -> int:
    """Return the current time in milliseconds since 1970."""
    return int(time.time() * 1000)


class ModelStore:
    """All models. All methods are thread-safe and return copies. Errors are those of MLflow."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.RLock()
        self._logged: dict[str, Model] = {}
        self._registered: dict[str, Model] = {}
        for line in read_lines(directory.glob("models.jsonl")):
            models = self._registered if line["kind"] == "registered" else self._logged
            if line["model"] is None:
                models.pop(line["id"], None)
            else:
                models[line["id"]] = line["model"]
        self._lines = JsonLinesFile(directory / "models.jsonl")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def log(self, fields: Mapping[str, Any], run_id: str) -> Model:
        """Create a logged model of a run, whose files are among the artifacts of the run."""
        model_id, now = f"m-{uuid.uuid4().hex}", milliseconds_now()
        model = {
            "model_id": model_id,
            "source_run_id": run_id,
            "artifact_uri": f"mlflow-artifacts:/{run_id}/models/{model_id}",
            "creation_timestamp_ms": now,
            "last_updated_timestamp_ms": now,
            "status": "LOGGED_MODEL_PENDING",
            "tags": {},
            "params": {},
            **fields,
        }
        model["name"] = model.get("name") or model_id
        return self._save_logged(model)

    def logged(self, model_id: str) -> Model:
        """Return a logged model."""
        with self._lock:
            if model_id not in self._logged:
                raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Logged model {model_id[:100]!r} not found")
            return _copy(self._logged[model_id])

    def all_logged(self) -> list[Model]:
        """Return all logged models, the newest first."""
        with self._lock:
            return [_copy(model) for model in reversed(self._logged.values())]

    def change_logged(self, model_id: str, **fields: Any) -> Model:
        """Set fields of a logged model. Tags and parameters are added. A tag of None is removed."""
        with self._lock:
            model = self.logged(model_id)
            for name in ("tags", "params"):
                added = {**model[name], **fields.pop(name, {})}
                model[name] = {key: value for key, value in added.items() if value is not None}
            return self._save_logged({**model, **fields, "last_updated_timestamp_ms": milliseconds_now()})

    def delete_logged(self, model_id: str) -> None:
        """Delete a logged model. Its files stay among the artifacts of its run."""
        with self._lock:
            self.logged(model_id)
            del self._logged[model_id]
            self._lines.append([{"kind": "logged", "id": model_id, "model": None}])

    def register(self, name: str, tags: Mapping[str, str], description: str) -> Model:
        """Create a registered model."""
        now = milliseconds_now()
        with self._lock:
            if name in self._registered:
                message = f"Registered Model (name={name[:100]}) already exists."
                raise refusal(400, "RESOURCE_ALREADY_EXISTS", message)
            model = {
                "name": name,
                "creation_timestamp": now,
                "last_updated_timestamp": now,
                "tags": dict(tags),
            }
            return self._save({**model, "description": description, "aliases": {}, "versions": {}, "last": 0})

    def registered(self, name: str) -> Model:
        """Return a registered model with its versions."""
        with self._lock:
            if name not in self._registered:
                message = f"Registered Model with name={name[:100]} not found"
                raise refusal(404, "RESOURCE_DOES_NOT_EXIST", message)
            return _copy(self._registered[name])

    def all_registered(self) -> list[Model]:
        """Return all registered models by name."""
        with self._lock:
            return [_copy(self._registered[name]) for name in sorted(self._registered)]

    def change_registered(self, name: str, **fields: Any) -> Model:
        """Set fields of a registered model. Tags and aliases are added. One of None is removed."""
        with self._lock:
            model = self.registered(name)
            for field in ("tags", "aliases"):
                added = {**model[field], **fields.pop(field, {})}
                model[field] = {key: value for key, value in added.items() if value is not None}
            return self._save({**model, **fields, "last_updated_timestamp": milliseconds_now()})

    def rename(self, name: str, new_name: str) -> Model:
        """Rename a registered model and its versions."""
        with self._lock:
            model = self.registered(name)
            if new_name in self._registered:
                message = f"Registered Model (name={new_name[:100]}) exists."
                raise refusal(400, "RESOURCE_ALREADY_EXISTS", message)
            versions = {key: {**version, "name": new_name} for key, version in model["versions"].items()}
            self.delete_registered(name)
            return self._save({**model, "name": new_name, "versions": versions})

    def delete_version(self, name: str, number: str) -> None:
        """Delete a version of a registered model, with its aliases."""
        with self._lock:
            self.version(name, number)
            model = self.registered(name)
            del model["versions"][number]
            aliases = {alias: version for alias, version in model["aliases"].items() if version != number}
            self._save({**model, "aliases": aliases})

    def add_version(self, name: str, fields: Mapping[str, Any]) -> Model:
        """Add a version to a registered model, and return the version."""
        now = milliseconds_now()
        with self._lock:
            model = self.registered(name)
            number = str(model["last"] + 1)
            version = {
                "name": name,
                "version": number,
                "creation_timestamp": now,
                "last_updated_timestamp": now,
                "current_stage": "None",
                "status": "READY",
                "tags": {},
                **fields,
            }
            model["versions"][number] = version
            self._save({**model, "last": model["last"] + 1})
            return version

    def version(self, name: str, number: str) -> Model:
        """Return a version of a registered model."""
        versions: dict[str, Model] = self.registered(name)["versions"]
        if number not in versions:
            message = f"Model Version (name={name[:100]}, version={number[:20]}) not found"
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", message)
        return versions[number]

    def change_version(self, name: str, number: str, **fields: Any) -> Model:
        """Set fields of a version. Tags are added. A tag of None is removed."""
        with self._lock:
            model, version = self.registered(name), self.version(name, number)
            tags = {**version["tags"], **fields.pop("tags", {})}
            version.update(
                fields,
                tags={key: value for key, value in tags.items() if value is not None},
                last_updated_timestamp=milliseconds_now(),
            )
            model["versions"][number] = version
            self._save(model)
            return version

    def transition(self, name: str, number: str, stage: str, *, archive: bool) -> Model:
        """Move a version to a stage. `archive` moves the versions that are there to Archived."""
        stages = {known.lower(): known for known in STAGES}
        if stage.lower() not in stages:
            raise invalid(f"Invalid stage {stage[:50]!r}: allowed are {', '.join(STAGES)}")
        wanted = stages[stage.lower()]
        with self._lock:
            others = self.registered(name)["versions"].values() if archive else ()
            for other in others:
                if other["current_stage"] == wanted and other["version"] != number:
                    self.change_version(name, other["version"], current_stage="Archived")
            return self.change_version(name, number, current_stage=wanted)

    def delete_registered(self, name: str) -> None:
        """Delete a registered model with its versions."""
        with self._lock:
            self.registered(name)
            del self._registered[name]
            self._lines.append([{"kind": "registered", "id": name, "model": None}])

    def _save(self, model: Model) -> Model:
        self._registered[model["name"]] = model
        self._lines.append([{"kind": "registered", "id": model["name"], "model": model}])
        return _copy(model)

    def _save_logged(self, model: Model) -> Model:
        with self._lock:
            self._logged[model["model_id"]] = model
            self._lines.append([{"kind": "logged", "id": model["model_id"], "model": model}])
            return _copy(model)


def _copy(model: Model) -> Model:
    """Return a copy whose dictionaries can be changed."""
    return {name: _copy(value) if isinstance(value, dict) else value for name, value in model.items()}
