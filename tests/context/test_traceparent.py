"""W3C traceparent in the environment, and the identity below it."""

from __future__ import annotations

import pytest

from amllog.config.settings import Settings
from amllog.context import traceparent
from amllog.context.identity import Identity, ProcessInfo, resolve_identity
from amllog.exporters.run_metrics.run_info import RunInfo
from amllog.record.operation_id import operation_id_of, span_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
JOB = {"AZUREML_RUN_ID": "step", "AZUREML_ROOT_RUN_ID": "root"}


def identify(environ: dict[str, str]) -> Identity:
    """Return the identity in a job with these variables."""
    return resolve_identity(
        {**JOB, **environ}, ProcessInfo("train.py", "digits", "laptop"), Settings(), RunInfo()
    )


@pytest.mark.parametrize(
    "text",
    [
        f"00-{TRACE}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-00\n",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-x",
    ],
)
def test_valid_traceparent(text: str) -> None:
    """Sampled and unsampled values are read, and the known members of later versions."""
    assert traceparent.read_parent({"TRACEPARENT": text}) == (TRACE, SPAN)
    assert traceparent.read_parent({"traceparent": text}) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    ["", "x", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
     f"00-{TRACE}-{SPAN}-01-x", f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE}-{SPAN[:-1]}g-01"],
)  # fmt: skip
def test_invalid_traceparent_is_ignored(text: str) -> None:
    """With an invalid value, the operation is that of the run."""
    assert traceparent.read_parent({"TRACEPARENT": text}) is None
    identity = identify({"TRACEPARENT": text})
    assert (identity.operation_id, identity.parent_span_id) == (operation_id_of("root"), span_id_of("root"))


def test_identity_below_a_traceparent() -> None:
    """The operation and the parent are those of traceparent, and the span of the step is unchanged."""
    identity = identify({"TRACEPARENT": f"00-{TRACE}-{SPAN}-01"})
    assert (identity.operation_id, identity.parent_span_id, identity.span_id) == (
        TRACE,
        SPAN,
        span_id_of("step"),
    )
    assert not identity.is_child


def test_child_of_a_step_has_a_separate_span() -> None:
    """A child process of a step has a separate span, and no step is below itself."""
    variables = traceparent.child_variables(TRACE, SPAN, "step")
    first, second = identify(variables), identify(traceparent.child_variables(TRACE, SPAN, "step"))
    assert (first.operation_id, first.parent_span_id, first.is_child) == (TRACE, SPAN, True)
    assert len({first.span_id, second.span_id, span_id_of("step")}) == 3
    assert identify(variables).span_id == first.span_id
    assert not identify(traceparent.child_variables(TRACE, SPAN, "another step")).is_child
    assert identify({"TRACEPARENT": f"00-{TRACE}-{span_id_of('step')}-01"}).parent_span_id == span_id_of(
        "root"
    )
