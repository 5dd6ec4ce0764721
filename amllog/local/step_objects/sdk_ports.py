"""Read the inputs, outputs and arguments of step objects of SDK v1, which are built without a workspace.

The attributes are those of azureml-pipeline-core 1.51 to 1.62. Most of them have no public name. The objects are never
imported: a step is whatever has the lists `run_after_steps` and `_inputs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amllog.local.plan.planned_steps import InputValue, LocalData, NamedData, SourceLine

_PLACEHOLDER = re.compile(r"\$AZUREML_DATAREFERENCE_(\w+)|Dataset(Output|Consumption)Config:([\w.-]+)")
# The attributes of consumption configs, bindings and `as_dataset()` that contain the data.
_WRAPPERS = ("dataset", "_bind_object", "_pipeline_data")


def is_step(source: Any) -> bool:
    """Return whether an object is a step of SDK v1."""
    return all(isinstance(getattr(source, name, None), list) for name in ("run_after_steps", "_inputs"))


def is_parameter(source: Any) -> bool:
    """Return whether an object is a PipelineParameter."""
    return hasattr(source, "default_value") and hasattr(source, "name")


def port_name(port: Any) -> str:
    """Return the name under which a step knows an input or an output."""
    for attribute in ("data_reference_name", "input_name", "_output_name", "name"):
        name = getattr(port, attribute, None)
        if isinstance(name, str) and name:
            return name
    raise ValueError(f"an input or output of type {type(port).__name__} has no name")


def content(port: Any) -> Any:
    """Return the data object inside of `as_input()`, `as_mount()`, `as_dataset()` and `as_named_input()`."""
    for attribute in _WRAPPERS:
        inner = getattr(port, attribute, None)
        if inner is not None:
            return content(inner)
    return port


def producer(port: Any) -> Any:
    """Return the step whose output an input is, or None for data from elsewhere."""
    return getattr(content(port), "_producer", None)


def data_value(port: Any, parameters: Mapping[str, Any], position: SourceLine) -> InputValue:
    """Return the data of an input that no step produces: a local path, or a name that a map finds.

    `parameters` are the values of pipeline parameters. Raises ValueError if the object has no known form.
    """
    data = content(port)
    if is_parameter(data):
        value = parameters.get(data.name, data.default_value)
        if isinstance(value, (str, Path)):
            return LocalData(Path(value).absolute())
        data = content(value)
    datastore, path = getattr(data, "datastore", None), getattr(data, "path_on_datastore", None)
    if datastore is not None:  # a DataReference or a DataPath
        reference = f"azureml://datastores/{getattr(datastore, 'name', datastore)}/paths/{path or ''}"
        return NamedData(reference, "uri_folder", position)
    name, version = getattr(data, "name", None), getattr(data, "version", None)
    if isinstance(name, str) and name:
        label = f":{version}" if isinstance(version, (int, str)) and version else "@latest"
        return NamedData(f"azureml:{name}{label}", "uri_folder", position)
    raise ValueError(
        f"the input {port_name(port)} is a {type(data).__name__} without a name: register it, or pass its path as a "
        "PipelineParameter"
    )


def words(
    arguments: Iterable[Any],
    inputs: Mapping[int, str],
    outputs: Mapping[int, str],
    parameters: Mapping[str, Any],
) -> tuple[str, ...]:
    """Return arguments as templates of words. `inputs` and `outputs` are the names of ports by the id of the object.

    Raises ValueError if an argument is neither a value, a parameter, nor an input or output of the step.
    """
    return tuple(_word(argument, inputs, outputs, parameters) for argument in arguments)


def _word(
    argument: Any, inputs: Mapping[int, str], outputs: Mapping[int, str], parameters: Mapping[str, Any]
) -> str:
    for names, kind in ((outputs, "outputs"), (inputs, "inputs")):
        name = names.get(id(argument)) or names.get(id(content(argument)))
        if name:
            return f"${{{{{kind}.{name}}}}}"
    if is_parameter(argument):
        return str(parameters.get(argument.name, argument.default_value))
    if isinstance(argument, (str, int, float, Path)):
        return _PLACEHOLDER.sub(lambda match: _template(match, inputs, outputs), str(argument))
    raise ValueError(f"an argument of type {type(argument).__name__} is no input and no output of the step")


def _template(match: re.Match[str], inputs: Mapping[int, str], outputs: Mapping[int, str]) -> str:
    """Return the template for a placeholder that the SDK has put into a string."""
    name = match[1] or match[3]
    kind = {"Output": "outputs", "Consumption": "inputs"}.get(match[2] or "")
    if kind is None:
        kind = "outputs" if name in outputs.values() else "inputs"
    is_known = name in (outputs if kind == "outputs" else inputs).values()
    return f"${{{{{kind}.{name}}}}}" if is_known else match[0]
