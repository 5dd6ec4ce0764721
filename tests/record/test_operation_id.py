"""The operation and the span of a run."""

from __future__ import annotations

from amllog.record.operation_id import operation_id_of, span_id_of


def test_operation_id_of_a_run() -> None:
    """A GUID is the operation id itself, and any other root has the same operation id in every process."""
    assert operation_id_of("0AF76519-16CD-43DD-8448-EB211C80319C") == "0af7651916cd43dd8448eb211c80319c"
    assert operation_id_of("0af7651916cd43dd8448eb211c80319c") == "0af7651916cd43dd8448eb211c80319c"
    assert operation_id_of("00000000-0000-0000-0000-000000000000") != "0" * 32
    assert operation_id_of("pipeline_1") == operation_id_of("pipeline_1") != operation_id_of("pipeline_2")


def test_span_id_of_a_run() -> None:
    """The span of a run is the same in every process, and also exists for an id that is not valid Unicode."""
    assert span_id_of("step") == span_id_of("step") != span_id_of("other")
    assert len(span_id_of("\ud800")) == 16
