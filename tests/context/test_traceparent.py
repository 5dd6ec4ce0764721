"""W3C traceparent in the environment: read as W3C says, and what of it an identity takes."""

from __future__ import annotations

import pytest

from amllog.config.settings import Settings
from amllog.context import traceparent
from amllog.context.identity import Identity, ProcessInfo, operation_id_of, resolve_identity, span_id_of
from amllog.exporters.run_metrics.run_info import RunInfo

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
JOB = {"AZUREML_RUN_ID": "step", "AZUREML_ROOT_RUN_ID": "root"}


def who(environ: dict[str, str]) -> Identity:
    """The identity in a job with these variables as well."""
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
def test_valid(text: str) -> None:
    """Whether sampled or not, and of later versions the members we know."""
    assert traceparent.read_parent({"TRACEPARENT": text}) == (TRACE, SPAN)
    assert traceparent.read_parent({"traceparent": text}) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    ["", "x", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
     f"00-{TRACE}-{SPAN}-01-x", f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE}-{SPAN[:-1]}g-01"],
)  # fmt: skip
def test_invalid(text: str) -> None:
    """Counts as none: the run's own operation."""
    assert traceparent.read_parent({"TRACEPARENT": text}) is None
    found = who({"TRACEPARENT": text})
    assert (found.operation_id, found.parent_span_id) == (operation_id_of("root"), span_id_of("root"))


def test_identity() -> None:
    """The operation and the parent are those of traceparent; the step's own span stays what it was."""
    found = who({"TRACEPARENT": f"00-{TRACE}-{SPAN}-01"})
    assert (found.operation_id, found.parent_span_id, found.span_id) == (TRACE, SPAN, span_id_of("step"))
    assert not found.is_child


def test_a_child_of_the_step() -> None:
    """Has a span of its own; without one, a step is never below itself."""
    told = traceparent.child_variables(TRACE, SPAN, "step")
    first, second = who(told), who(traceparent.child_variables(TRACE, SPAN, "step"))
    assert (first.operation_id, first.parent_span_id, first.is_child) == (TRACE, SPAN, True)
    assert len({first.span_id, second.span_id, span_id_of("step")}) == 3
    assert who(told).span_id == first.span_id
    assert not who(traceparent.child_variables(TRACE, SPAN, "another step")).is_child
    assert who({"TRACEPARENT": f"00-{TRACE}-{span_id_of('step')}-01"}).parent_span_id == span_id_of("root")
