"""Jobs of azure-ai-ml: the forms of its dump. The real library is in guests/heavy."""

from __future__ import annotations

from pathlib import Path

from amllog.local.step_objects.job_objects import translated

DUMPED = {
    "inputs": {
        "rate": 0.25,
        "here": {"path": "azureml:./data", "type": "uri_folder"},
        "plain": {"path": "azureml:data", "type": "uri_folder"},
        "asset": {"path": "azureml:scores:1", "type": "uri_folder"},
        "store": {"path": "azureml://datastores/a/paths/b", "type": "uri_folder"},
    },
    "jobs": {
        "p": {
            "component": {"inputs": {"rate": {"default": "0.5", "type": "number"}, "n": {"default": "1"}}},
            "inputs": {"rate": {"path": "${{parent.inputs.rate}}"}},
        }
    },
}


def test_dumped_forms(tmp_path: Path) -> None:
    """Local paths are absolute, bindings are strings and numbers are numbers. Assets stay as they are."""
    (tmp_path / "data").mkdir()
    data = str(tmp_path / "data")
    assert translated(DUMPED, tmp_path) == {
        "inputs": {
            "rate": 0.25,
            "here": {"path": data, "type": "uri_folder"},
            "plain": {"path": data, "type": "uri_folder"},
            "asset": {"path": "azureml:scores:1", "type": "uri_folder"},
            "store": {"path": "azureml://datastores/a/paths/b", "type": "uri_folder"},
        },
        "jobs": {
            "p": {
                "component": {"inputs": {"rate": {"default": 0.5, "type": "number"}, "n": {"default": "1"}}},
                "inputs": {"rate": "${{parent.inputs.rate}}"},
            }
        },
    }
