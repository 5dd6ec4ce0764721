"""`log.run`: the writes make records, and the reads work without a service."""

from __future__ import annotations

import contextlib
import datetime
import inspect
import json
import math
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st

from amllog.errors import AmllogWarning, MetricError
from amllog.exporters.run_metrics import metric_values
from amllog.sources.run.backend import Source
from amllog.sources.run.run import Run


class StepIdentity(NamedTuple):
    """The identity of a step."""

    step_id: str = "run_1"
    parent_run_id: str = "pipe_1"
    root_run_id: str = "pipe_1"
    step_name: str = "train"
    experiment_name: str = "exp"
    run_url: str = "https://ml.azure.com/runs/pipe_1?wsid=/w"
    run_type: str = "azureml.StepRun"


class MemoryBackend:
    """A run backend that keeps all records in memory and has no service."""

    def __init__(self, directory: Path, online: bool = False, identity: StepIdentity | None = None) -> None:
        self.directory, self.online, self.identity = directory, online, identity or StepIdentity()
        self.records: list[Any] = []
        self.flushed: list[float] = []

    def metric(self, name: str, value: float, step: int | None, run_id: str | None) -> None:
        """Keep a number."""
        self.records.append(("metric", name, value, step, run_id))

    def run_record(self, kind: str, name: str, data: Mapping[str, Any], *, run_id: str | None) -> None:
        """Keep anything else, which must be strict JSON of at most 8,000 characters."""
        encoded = json.dumps(data, ensure_ascii=False, allow_nan=False)
        assert len(encoded) <= 8_000
        encoded.encode()
        self.records.append((kind, name, json.loads(encoded), run_id))

    def spool(self, source: Source, name: str) -> str:
        """Keep a copy of a file."""
        target = Path(self.directory, f"copy-{len(list(Path(self.directory).iterdir()))}")
        if isinstance(source, bytes):
            target.write_bytes(source)
        elif hasattr(source, "read"):
            target.write_bytes(source.read())
        else:
            shutil.copyfile(source, target)
        return target.name

    @contextlib.contextmanager
    def copied(self, name: str) -> Iterator[Any]:
        """Open a copy."""
        with Path(self.directory, name).open("rb") as stream:
            yield SimpleNamespace(stream=stream)

    def azure_run(self) -> None:
        """Return None: there is no service."""

    def flush(self, timeout: float) -> None:
        """Keep the timeout."""
        self.flushed.append(timeout)


@pytest.fixture
def journal(tmp_path: Path) -> MemoryBackend:
    """Return a backend outside a job."""
    folder = tmp_path / "journal"
    folder.mkdir()
    return MemoryBackend(folder)


@pytest.fixture
def run(journal: MemoryBackend) -> Run:
    """Return the run of a process outside a job."""
    return Run(journal)


def column(kind: str, *values: object) -> dict[str, Any]:
    """Return the data of a metric called x."""
    return {"columns": {"x": kind}, "rows": [[value] for value in values]}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (0.5, 0.5),
        (np.int64(5), 5),
        (np.float32(0.5), 0.5),
        (np.array([2.5]), 2.5),
        (Decimal("1.5"), 1.5),
    ],
)
def test_numbers(run: Run, journal: MemoryBackend, value: object, number: float) -> None:
    """A number of any type is recorded as by log.metric, with its step as an int."""
    run.log(" x ", value, "described", step=np.int64(3))
    assert journal.records == [("metric", "x", number, 3, None)]
    assert type(journal.records[0][2]) is type(number)


@pytest.mark.parametrize(
    ("value", "kind", "cell"),
    [
        ("text", "string", "text"),
        (True, "bool", True),
        (None, "none", None),
        (math.nan, "double", "NaN"),
        (-math.inf, "double", "-Infinity"),
        (np.float64("inf"), "double", "Infinity"),
        (datetime.date(2026, 1, 2), "string", "2026-01-02"),
        ((1, 2), "string", "[1, 2]"),
        ("é" * 300, "string", "é" * 229 + "… [cut from 300 characters]"[:26]),
        (10**400, "string", None),
    ],
)
def test_other_values(run: Run, journal: MemoryBackend, value: object, kind: str, cell: object) -> None:
    """A value that is not a finite number is recorded with the type that azureml gives it."""
    run.log("x", value, step=2)
    [(_, _, data, _)] = journal.records
    assert (data["columns"], data["step"]) == ({"x": kind}, 2)
    if cell is not None and len(str(cell)) < 100:
        assert data["rows"] == [[cell]]
    assert len(str(data["rows"][0][0])) <= metric_values.MAX_CELL


@pytest.mark.parametrize(
    "wrong",
    [
        lambda run: run.log("x", [1]),
        lambda run: run.log("x", range(3)),
        lambda run: run.log("x", (i for i in ())),
        lambda run: run.log("", 1),
        lambda run: run.log("  ", 1),
        lambda run: run.log(3, 1),
        lambda run: run.log("x", 1, step="later"),
        lambda run: run.log("x", 1, step=math.nan),
        lambda run: run.log_list("x", "abc"),
        lambda run: run.log_list("x", 3),
        lambda run: run.log_list("x", [[1]]),
        lambda run: run.log_row("x", a=[1]),
        lambda run: run.log_row("x", **{f"c{i}": i for i in range(16)}),
        lambda run: run.log_row("x", **{"c" * 256: 1}),
        lambda run: run.log_table("x", [1]),
        lambda run: run.log_table("x", {"a": [1], "b": [1, 2]}),
        lambda run: run.log_image("x"),
        lambda run: run.log_image("x", plot=3),
        lambda run: run.log_confusion_matrix("x", "{no json"),
        lambda run: run.log_residuals("x", 3),
        lambda run: run.tag("k" * 101, "v"),
        lambda run: run.upload_files(["a"], []),
        lambda run: run.create_children(101),
        lambda run: run.create_children(),
    ],
)
def test_programming_errors_raise_at_the_call(run: Run, journal: MemoryBackend, wrong: Any) -> None:
    """A value that cannot be a metric or exceeds a documented limit raises at the call and records nothing."""
    with pytest.raises(TypeError):
        wrong(run)
    assert journal.records == []


def test_missing_files_raise(run: Run) -> None:
    """A missing file or folder raises at the call."""
    with pytest.raises(FileNotFoundError):
        run.upload_file("a", "missing")
    with pytest.raises(NotADirectoryError):
        run.upload_folder("a", "missing")
    with pytest.raises(FileNotFoundError):
        run.download_file("a")


@pytest.mark.parametrize(
    ("values", "data"),
    [
        ([1, 2], column("int", 1, 2)),
        ([1, 0.5], column("double", 1.0, 0.5)),
        ([1.5, math.nan, None], column("double", 1.5, "NaN", "NaN")),
        ([1, None], column("int", 1, None)),
        (["a", 1, None], column("string", "a", "1", None)),
        ([True, False], column("bool", True, False)),
        ([True, 2], column("int", 1, 2)),
        (np.array([1, 2]), column("int", 1, 2)),
        ({3}, column("int", 3)),
        ((i for i in (1, 2)), column("int", 1, 2)),
    ],
)
def test_lists(run: Run, journal: MemoryBackend, values: Any, data: Any) -> None:
    """A list is recorded as a column with a type."""
    run.log_list("x", values)
    assert journal.records == [("list", "x", data, None)]


def test_empty_values(run: Run, journal: MemoryBackend) -> None:
    """Empty lists, rows and tables, for which azureml raises, record nothing."""
    run.log_list("x", [])
    run.log_row("x")
    run.log_table("x", {})
    run.log_table("x", {"a": [], "b": []})
    run.set_tags({})
    assert journal.records == []


def test_rows_and_tables(run: Run, journal: MemoryBackend) -> None:
    """Rows and tables are recorded by column and read in azureml's shapes."""
    run.log_row("r", a=1, b="x")
    run.log_table("t", {"a": [1, 2], "b": np.array([0.5, 1.5])})
    assert [record[2]["rows"] for record in journal.records] == [[[1, "x"]], [[1, 0.5], [2, 1.5]]]
    assert run.get_metrics() == {"r": {"a": 1, "b": "x"}, "t": {"a": [1, 2], "b": [0.5, 1.5]}}


@given(
    rows=st.integers(0, 700),
    columns=st.dictionaries(st.text(min_size=1, max_size=255), st.text(), max_size=15),
)
def test_tables_are_split_into_records(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: dict[str, str]
) -> None:
    """A table of any size is split into records within the limits, without losing a row."""
    journal = MemoryBackend(tmp_path_factory.getbasetemp())
    try:
        Run(journal).log_table("t", {key: [value] * rows for key, value in columns.items()})
    except MetricError:  # column names of control characters alone may be too long for any record
        return
    kept = [row for record in journal.records for row in record[2]["rows"]]
    assert len(kept) == (rows if columns else 0)
    assert all(len(record[2]["rows"]) <= 250 for record in journal.records)


def test_reads_without_a_service(run: Run) -> None:
    """Outside a job, reads return the data of this process and do not raise as azureml's offline class does."""
    for value in (1, math.nan):
        run.log("x", value)
    run.log("y", "one")
    run.tag("a", 1)
    run.tag(name="b")
    run.remove_tags(["a"])
    run.add_properties({"p": 1})
    metrics = run.get_metrics()
    assert metrics["x"][0] == 1
    assert math.isnan(metrics["x"][1])
    assert (metrics["y"], run.get_metrics("y")) == ("one", {"y": "one"})
    assert (run.get_tags(), run.tags, run.get_properties()) == ({"b": None}, {"b": None}, {"p": "1"})
    assert (run.id, run.name, run.display_name, run.type, run.number) == (
        "run_1",
        "train",
        "train",
        "azureml.StepRun",
        0,
    )
    assert (run.experiment.name, run.status, run.get_status()) == ("exp", "Running", "Running")
    assert run.get_portal_url() == "https://ml.azure.com/runs/run_1?wsid=/w"
    assert (run.parent.id, run.parent.get_portal_url()) == (
        "pipe_1",
        "https://ml.azure.com/runs/pipe_1?wsid=/w",
    )
    assert (run.get_all_logs(), run.input_datasets, run.get_details()["runId"]) == ([], {}, "run_1")
    with pytest.warns(AmllogWarning, match="register_model needs Azure ML"):
        assert run.register_model("m", model_path="p") is None
    with pytest.raises(AttributeError, match="neither amllog's nor azureml's"):
        run.no_such_thing  # noqa: B018


def test_files(run: Run, journal: MemoryBackend, tmp_path: Path) -> None:
    """Files are copied at the call, have azureml's names, and can be downloaded."""
    source = tmp_path / "folder" / "deep"
    source.mkdir(parents=True)
    (source / "a.txt").write_text("as it was")
    run.upload_folder("put", str(tmp_path / "folder"))
    (source / "a.txt").write_text("changed")
    with (source / "a.txt").open("rb") as stream:
        run.upload_file("stream", stream)
    run.upload_files(name=["one"], paths=[str(source / "a.txt")])
    assert run.get_file_names() == ["put/deep/a.txt", "stream", "one"]
    run.download_file("put/deep/a.txt", str(tmp_path))
    assert (tmp_path / "a.txt").read_text() == "as it was"
    run.download_files("put", str(tmp_path / "all"))
    assert (tmp_path / "all" / "put" / "deep" / "a.txt").exists()
    assert {record[1] for record in journal.records} == {"run.upload_file"}


def test_pictures_and_documents(run: Run, journal: MemoryBackend) -> None:
    """Images, plots and JSON documents are recorded as a file and a call, with null for NaN."""

    class Plot:
        def savefig(self, stream: Any, format: str) -> None:
            stream.write(format.encode())

    Path("p.png").write_bytes(b"\x89PNG")
    run.log_image("pic", "p.png")
    run.log_image("plot", plot=Plot())
    run.log_image("plot", plot=Plot())
    run.log_confusion_matrix("cm", {"data": {"matrix": np.array([[1, 2]]), "x": math.nan}})
    run.log_predictions("pred", '{"a": 1}')
    data = [record[2] for record in journal.records]
    assert [call["name"] for call in data] == ["pic", "plot", "plot", "cm", "pred"]
    assert data[0]["artifact"] == "p.png"
    assert re.fullmatch(r"plot_\d+_[0-9a-f]{6}\.png", data[1]["artifact"])
    assert data[1]["artifact"] != data[2]["artifact"]
    document = json.loads(Path(journal.directory, data[3]["file"]).read_bytes())
    assert document == {"data": {"matrix": [[1, 2]], "x": None}}


def test_children(tmp_path: Path) -> None:
    """A child run has its id at once, a GUID in a job and `<id>.<name>` outside, and its records have it."""
    outside, inside = MemoryBackend(tmp_path), MemoryBackend(tmp_path, online=True)
    assert Run(outside).child_run("kid").id == "run_1.kid"
    with Run(inside).child_run("kid") as child:
        child.log("x", 1)
        assert child.parent.id == "run_1"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", child.id)
    assert inside.records == [
        ("call", "run.child_run", {"child": child.id, "name": "kid"}, None),
        ("metric", "x", 1, None, child.id),
        ("call", "run.complete", {}, child.id),
    ]
    assert (child.status, inside.flushed) == ("Completed", [30])
    values = [kid.tags for kid in Run(outside).create_children(tag_key="k", tag_values=["a", "b"])]
    assert values == [{"k": "a"}, {"k": "b"}]


def test_the_end_of_a_run(run: Run, journal: MemoryBackend) -> None:
    """In a job, `complete` only flushes, and an exception in a `with` block records the error."""
    run.complete()
    run.cancel()
    assert journal.records == []
    with pytest.raises(ZeroDivisionError), run:
        1 / 0  # noqa: B018
    [(_, name, data, _)] = journal.records
    assert (name, run.status) == ("run.fail", "Failed")
    assert "ZeroDivisionError" in data["error_details"]


def test_no_parent_in_a_job(tmp_path: Path) -> None:
    """The parent of a job outside a pipeline is None, as in azureml."""
    assert (
        Run(MemoryBackend(tmp_path, online=True, identity=StepIdentity(parent_run_id="run_1"))).parent is None
    )


def test_names_as_the_studio_shows_them(run: Run, journal: MemoryBackend) -> None:
    """Setting display_name and description records a call and changes later reads."""
    run.display_name, run.description = "shown", "why"
    assert (run.display_name, run.description) == ("shown", "why")
    assert [record[1] for record in journal.records] == ["run.display_name", "run.description"]


def test_signatures_match_azureml() -> None:
    """Every public method of azureml's online and offline Run accepts azureml's arguments by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from azureml.core.run import _OfflineRun, _SubmittedRun
    from amllog.sources.run.reads import ONLINE_ONLY

    other = {"add_type_provider", "get", "list", "list_by_compute", "get_docs_url"}  # not this run's
    for theirs in (_SubmittedRun, _OfflineRun):
        for name, method in inspect.getmembers(theirs, inspect.isfunction):
            if name.startswith("_") or name in ONLINE_ONLY or name in other:
                continue
            ours = inspect.signature(getattr(Run, name)).parameters
            open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in ours.values())
            wanted = [name for name in inspect.signature(method).parameters if not name.startswith("_")]
            assert open_ended or not set(wanted) - set(ours) - {"kwargs"}, name


def test_long_names_are_shortened_for_run_history() -> None:
    """A metric name of more than 50 characters warns at the call and stays unique in run history."""
    names = ["validation loss of the " + "very " * 8 + last for last in ("first", "second")]
    with pytest.warns(AmllogWarning, match="50 characters"):
        assert [metric_values.metric_name(name) for name in names] == names
    shortened = [metric_values.short_name(name) for name in names]
    assert [len(name) for name in shortened] == [50, 50]
    assert len(set(shortened)) == 2
    assert metric_values.short_name("loss") == "loss"
