"""Run a Python function of a test or a notebook as a step, in a process of its own.

The call is written with cloudpickle into the folder of the step. `function_program.py` makes the call in the new
process, and writes the returned value as the output `RESULT`. Functions of later steps read it.

A function whose module a new process can import is found by its name. All others are written as a whole: those of
`__main__`, of notebooks and of test modules that pytest has imported under another name.
"""

from __future__ import annotations

import importlib.machinery
import io
import os
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from amllog.errors import MissingExtraError, UsageError
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, StepOutput

RESULT = "result"  # the output of every function
_NO_FILE = "<dynamic-code>"
_PROGRAM = Path(__file__).with_name("function_program.py")


def command(step: PlannedStep, values: StepValues) -> tuple[str, ...]:
    """Write the call of the step's function, and return the words of the command that makes it.

    Raises UsageError if the function or one of its arguments cannot be written.
    """
    function = step.function
    if function is None:
        raise UsageError(f"step {step.name} has no function")
    call = {
        "name": step.name,
        "path": [os.path.abspath(directory) for directory in sys.path],
        "function": _pickled(function, step.name),
        "results": {
            name: values.inputs[name] for name, value in step.inputs.items() if isinstance(value, StepOutput)
        },
        "result": values.outputs[RESULT],
    }
    file = values.folder / "call.pickle"
    file.write_bytes(pickle.dumps(call))
    return (str(values.python), str(_PROGRAM), str(file))


def read_result(path: Path) -> Any:
    """Return the value that a function returned. `path`: the file of its output `RESULT`."""
    _import_cloudpickle()
    return pickle.loads(path.read_bytes())


def _pickled(function: Callable[..., Any], name: str) -> bytes:
    cloudpickle = _import_cloudpickle()
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    module = sys.modules.get(getattr(inner, "__module__", None) or "")
    is_by_value = module is not None and module.__name__ != "__main__" and not _is_importable(module.__name__)
    if is_by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return _dumped(function, cloudpickle)
    except (TypeError, ValueError, AttributeError, RecursionError, pickle.PicklingError) as error:
        raise UsageError(
            f"function {name} cannot run in a process of its own, because it or an argument cannot be pickled: {error}"
        ) from error
    finally:
        if is_by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _dumped(value: object, cloudpickle: Any) -> bytes:
    """Return a pickle in which code keeps the name of its file, so that tracebacks have it. cloudpickle replaces it."""
    reducers = cloudpickle.Pickler.dispatch_table

    def reduce_code(code: CodeType) -> Any:
        kind, arguments = reducers[CodeType](code)
        return kind, tuple(code.co_filename if part == _NO_FILE else part for part in arguments)

    table = ChainMap({CodeType: reduce_code}, reducers)
    file = io.BytesIO()
    type("PicklerWithFiles", (cloudpickle.Pickler,), {"dispatch_table": table})(file).dump(value)
    return file.getvalue()


def _is_importable(name: str) -> bool:
    """Return whether a new process with the same `sys.path` imports the same file under this name."""
    path: Any = None
    spec = None
    parts = name.split(".")
    for index in range(len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: index + 1]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return spec is not None and spec.origin == getattr(sys.modules[name], "__file__", None)


def _import_cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError:
        raise MissingExtraError("cloudpickle", "local") from None
    return cloudpickle
