"""Functions as steps: the call in another process, its result, and what cannot be passed."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import types
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, SourceLine, StepKind, StepOutput
from amllog.local.step_kinds import function_step

HERE = SourceLine(Path(__file__), 1)
FACTOR = 3


class Model:
    """A class that is defined beside the functions."""

    def __init__(self, weight: float) -> None:
        self.weight = weight


def fit(rate: float) -> Model:
    """Use a global and a class of this module."""
    return Model(rate * FACTOR)


def score(fit: Model, names: tuple[str, ...] = ()) -> Any:
    """Use the value of an earlier function."""
    return type(fit).__name__, fit.weight, names


def run_step(step: PlannedStep, folder: Path, inputs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command of a step to its end."""
    folder.mkdir(parents=True)
    outputs = {"result": str(folder / "result")}
    values = StepValues(inputs, outputs, folder, folder, Path(sys.executable))
    words = function_step.command(step, values)
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600)


def step_of(function: Any, **inputs: StepOutput) -> PlannedStep:
    """Return the step of a function."""
    return PlannedStep("call", HERE, StepKind.FUNCTION, inputs=inputs, function=function)


def test_a_value_goes_from_process_to_process(tmp_path: Path) -> None:
    """A function gets what an earlier one returned, also an object of a class that no process can import."""
    first = run_step(step_of(partial(fit, rate=0.5)), tmp_path / "fit", {})
    assert (first.returncode, first.stderr) == (0, "")
    second = step_of(partial(score, names=("a",)), fit=StepOutput("fit", "result"))
    ran = run_step(second, tmp_path / "score", {"fit": str(tmp_path / "fit" / "result")})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert function_step.read_result(tmp_path / "score" / "result") == ("Model", 1.5, ("a",))


def test_an_exception_is_that_of_the_function(tmp_path: Path) -> None:
    """The process ends with 1 and the traceback, and no result exists."""
    ran = run_step(step_of(partial(fit, rate=None)), tmp_path / "fit", {})
    assert ran.returncode == 1
    assert "TypeError: unsupported operand" in ran.stderr and f'File "{__file__}"' in ran.stderr
    assert not (tmp_path / "fit" / "result").exists()
    assert "function_program" not in ran.stderr


def fail_with_amllog() -> None:
    """Fail in a function that uses amllog."""
    import amllog

    amllog.setup()
    raise KeyError("no such column")


def test_the_record_of_an_exception_is_that_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record and the end of the step are as in a script, and no frame is ours."""
    monkeypatch.setenv("AMLLOG_DIR", str(tmp_path / "journal"))
    ran = run_step(step_of(fail_with_amllog), tmp_path / "call", {})
    assert ran.returncode == 1
    insights = connect(tmp_path / "journal", environ={})
    (error,) = insights.exceptions()
    (row,) = (row for row in insights.errors() if row["itemType"] == "exception")
    (end,) = (row for row in insights.errors() if row["itemType"] == "request")
    assert (error["type"], end["resultCode"]) == ("KeyError", "uncaught exception")
    assert "fail_with_amllog" in row["stack"] and "function_program" not in row["stack"] + ran.stderr


def return_a_lock() -> object:
    """Return a value that cannot be pickled."""
    return threading.Lock()


def test_a_value_that_cannot_be_passed(tmp_path: Path) -> None:
    """The message names the function and the type of the value."""
    ran = run_step(step_of(return_a_lock), tmp_path / "call", {})
    assert ran.returncode == 1
    assert "function call returned a value of type lock, which cannot be passed" in ran.stderr
    assert list((tmp_path / "call").glob("result*")) == []


def test_an_argument_that_cannot_be_passed(tmp_path: Path) -> None:
    """A function with an argument that cannot be pickled is rejected before a process starts."""
    with pytest.raises(UsageError, match="function call cannot run in a process of its own"):
        run_step(step_of(partial(fit, rate=threading.Lock())), tmp_path / "call", {})


def test_importable_functions_are_passed_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a module that a process can import is not copied, and that of a module without a file is."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_steps.py").write_text("def prepare():\n    return __name__\n")
    import own_steps  # type: ignore[import-not-found]

    assert b"prepare" in function_step._pickled(own_steps.prepare, "prepare")
    assert len(function_step._pickled(own_steps.prepare, "prepare")) < 100
    ran = run_step(step_of(own_steps.prepare), tmp_path / "call", {})
    assert ran.returncode == 0
    assert function_step.read_result(tmp_path / "call" / "result") == "own_steps"
    module = types.ModuleType("no_file")
    exec("def prepare():\n    return 1\n", vars(module))
    monkeypatch.setitem(sys.modules, "no_file", module)
    assert len(function_step._pickled(vars(module)["prepare"], "prepare")) > 200


@settings(max_examples=20, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False), st.lists
    )
)
def test_values_keep_their_bytes(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A result that is read is equal to the value that was returned."""
    import cloudpickle

    file = tmp_path_factory.getbasetemp() / "result"
    file.write_bytes(cloudpickle.dumps(value))
    assert function_step.read_result(file) == value
    assert pickle.loads(file.read_bytes()) == value
