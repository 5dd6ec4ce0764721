"""Jobs of azure-ai-ml: the forms of its dump. The real library is in guests/heavy."""

from __future__ import annotations

from pathlib import Path

from amllog.local.step_objects.job_objects import declare_inputs, is_job, translated

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


def test_inputs_of_nested_pipelines() -> None:
    """A nested pipeline declares each input that it gets, with the type of the value or of its binding."""
    inner = {"jobs": {"b": {"component": {"jobs": {}}, "inputs": {"deep": "${{parent.inputs.rows}}"}}}}
    values = {
        "rows": "${{parent.inputs.rows}}",
        "model": "${{parent.jobs.a.outputs.model}}",
        "rate": 0.5,
        "name": "x",
    }
    pipeline = {
        "inputs": {"rows": {"type": "uri_file"}},
        "jobs": {"i": {"component": inner, "inputs": values}},
    }
    declare_inputs(pipeline)
    types = {"rows": "uri_file", "model": "uri_folder", "rate": "number", "name": "string"}
    assert inner["inputs"] == {name: {"type": kind} for name, kind in types.items()}
    assert inner["jobs"]["b"]["component"]["inputs"] == {"deep": {"type": "uri_file"}}


def test_jobs_have_a_method_dump() -> None:
    """An object that invents attributes is no job."""

    class Inventive:
        def __getattr__(self, name: str) -> object:
            return print

    class Job:
        def dump(self, path: str) -> None:
            """Write the job."""

    assert (is_job(Job()), is_job(Inventive()), is_job("text")) == (True, False, False)
