"""The stored models of MLflow."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from amllog.local.http.request import Refusal
from amllog.local.mlflow.model_store import ModelStore


def test_models_survive_a_restart(tmp_path: Path) -> None:
    """Versions, stages, tags and logged models are read again. Deleted models are gone."""
    store = ModelStore(tmp_path)
    store.register("iris", {"team": "a"}, "flowers")
    store.add_version("iris", {"source": "runs:/r/model"})
    store.add_version("iris", {"source": "runs:/r/other"})
    store.transition("iris", "1", "production", archive=False)
    store.transition("iris", "2", "Production", archive=True)
    store.register("gone", {}, "")
    store.delete_registered("gone")
    logged = store.log({"experiment_id": "e", "name": "model"}, "run_1")
    store.change_logged(logged["model_id"], status="LOGGED_MODEL_READY", tags={"a": "b"}, params={"p": "1"})
    store.close()
    again = ModelStore(tmp_path)
    (iris,) = again.all_registered()
    assert [version["current_stage"] for version in iris["versions"].values()] == ["Archived", "Production"]
    assert iris["tags"] == {"team": "a"}
    (model,) = again.all_logged()
    assert (model["name"], model["status"], model["tags"]) == ("model", "LOGGED_MODEL_READY", {"a": "b"})
    assert model["artifact_uri"].startswith("mlflow-artifacts:/run_1/models/m-")
    again.close()


def test_versions_are_never_numbered_again(tmp_path: Path) -> None:
    """The number of a deleted version is not used again, and returned models are copies."""
    store = ModelStore(tmp_path)
    store.register("iris", {}, "")
    store.add_version("iris", {"source": "a"})
    model = store.registered("iris")
    del model["versions"]["1"]
    assert store.version("iris", "1")["source"] == "a"
    store.delete_version("iris", "1")
    assert store.add_version("iris", {"source": "b"})["version"] == "2"
    for call in (
        lambda: store.register("iris", {}, ""),
        lambda: store.version("iris", "1"),
        lambda: store.logged("m-0"),
        lambda: store.delete_registered("none"),
        lambda: store.transition("iris", "2", "Live", archive=False),
    ):
        with pytest.raises(Refusal) as refused:
            call()
        assert refused.value.body
    store.close()


def test_changes_at_the_same_time(tmp_path: Path) -> None:
    """A tag that one step sets does not remove the version that another one adds meanwhile."""
    store = ModelStore(tmp_path)
    store.register("iris", {}, "")
    numbers = range(100)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(
            target=lambda: [store.add_version("iris", {"source": "a"}) for _ in numbers]
        )
        thread.start()
        for number in numbers:
            store.change_registered("iris", tags={str(number): "x"}, aliases={f"a{number}": "1"})
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    model = store.registered("iris")
    assert [len(model[name]) for name in ("versions", "tags", "aliases")] == [100] * 3
    store.close()
