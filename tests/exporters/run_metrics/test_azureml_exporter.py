"""Run metrics through azureml-core's own Run: what arrives, what an answer means, and how long it may take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.exporters.run_metrics import metric_lines, metric_values
from amllog.local import AzureOnThisMachine
from amllog.record import envelope

# What a job does here: reach the run, make lines as the intake does, offer them, print what became of them.
PREAMBLE = """
import json, logging, os, sys, time, urllib.request
from amllog.record import envelope
from amllog.exporters.run_metrics import azureml_exporter, azureml_sdk

run, _ = azureml_sdk.run_context()
out = azureml_exporter.AzureMLExporter(".", run)
count = 0

def line(kind, base, labels):
    global count
    count += 1
    properties = {"run_metric": kind, "record_id": f"r{count}", "step_id": run.id, **labels}
    kind = base.pop("baseType")
    return envelope.encode_record(1_800_000_000 + count, "", {}, kind, {**base, "properties": properties})

def scalar(name, value, **labels):
    return line("scalar", {"baseType": "MetricData", "metrics": [{"name": name, "value": value}]}, labels)

def event(kind, name, data, **labels):
    return line(kind, {"baseType": "EventData", "name": name}, {"run_metric_data": json.dumps(data), **labels})

def call(method, run_id=None, **data):
    return event("call", "run." + method, data, **({} if run_id is None else {"run_id": run_id}))

FILE = "artifacts/0123456789ab-file"

def copy(content):
    os.makedirs("artifacts", exist_ok=True)
    with open(FILE, "wb") as file:
        file.write(content)

def faults(*some):
    data = json.dumps([{"service": "run_history", **one} for one in some]).encode()
    address = os.environ["FAULTS_URL"]
    urllib.request.urlopen(urllib.request.Request(address, data=data, method="PUT")).read()

def offer(*lines, seconds=5.0):
    began = time.monotonic()
    answer = out.export(lines, seconds)
    took = time.monotonic() - began
    verdicts = [answer.exceptions.get(index, answer.default) for index in range(len(lines))]
    print(json.dumps([[one.state for one in verdicts], [one.reason for one in verdicts], answer.pause_seconds, took]))
"""


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """The environment of a step's job, which may change the faults."""
    found = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    return {**found, "FAULTS_URL": azure.faults_url}


@pytest.fixture
def offers(child: Any, job: dict[str, str]) -> Any:
    """Runs a job's code; what its offers came to: states, reasons, pause and seconds of each."""

    def run(code: str, **env: str) -> list[Any]:
        ran = child(PREAMBLE + code, env={**job, **env})
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[[")]

    return run


CELL = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=400)
NAME = st.text(min_size=1, max_size=50)


@given(name=NAME, columns=st.dictionaries(NAME, CELL, min_size=1, max_size=15), rows=st.integers(1, 600))
def test_any_metric_is_strict_json_and_comes_back(name: str, columns: dict[str, Any], rows: int) -> None:
    """Whatever azureml made of a metric, its records are strict JSON in bounds, and read back as what they were."""
    types = dict.fromkeys(columns, "string")
    found = list(metric_lines.record_data(name, types, [columns] * rows, "azureml.v1.table", 7))
    assert sum(len(data["rows"]) for _, data in found) == rows
    for kind, data in found:
        told = json.dumps(data, ensure_ascii=False, allow_nan=False)
        assert (kind, len(told) <= metric_values.MAX_DATA, len(data["rows"]) <= metric_values.MAX_ROWS) == (
            "table",
            True,
            True,
        )
        labels = {"run_metric": kind, "run_metric_data": told}
        encoded = envelope.encode_record(1.0, "", {}, "EventData", {"name": name, "properties": labels})
        post = metric_lines.decode(encoded)
        assert isinstance(post, metric_lines.MetricPost)
        assert (post.columns, post.rows, post.step, post.type) == (
            data["columns"],
            data["rows"],
            7,
            "azureml.v1.table",
        )


def test_a_record_sent_again_has_the_same_ids() -> None:
    """The ids of a metric's values follow from its record, and differ from those of any other record."""

    def ids(record_id: str) -> list[str]:
        post = metric_lines.MetricPost(
            None, "azureml.v1.list", "x", {"x": "int"}, [[1], [2]], "", None, record_id
        )
        return [value["metric_id"] for value in post.values()]

    assert ids("a") == ids("a")
    assert len({*ids("a"), *ids("b")}) == 4


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"data":', b'{"time":"","data":{"baseData":{"properties":{}}}}', b"[]"]
)
def test_unreadable_lines(line: bytes) -> None:
    """A line that is no run metric is said to be none, without an error."""
    assert metric_lines.decode(line) is None


def test_errors_are_counted_line_by_line() -> None:
    """Errors that name a metric by id, or by its name alone, refuse exactly as many lines as there are errors."""
    posts = [
        metric_lines.MetricPost(
            None, "azureml.v1.scalar", name, {name: "double"}, [[value]], "", None, str(index)
        )
        for index, (name, value) in enumerate([("a", 1.0), ("b", 2.0), ("a", "NaN"), ("a", 3.0)])
    ]
    said = {"error": {"code": "UserError", "message": 'Metric "a" has 51 names'}}
    by_id = {
        "metric": {"name": "a", "value": [{"metricId": posts[3].values()[0]["metric_id"]}]},
        "errorResponse": said,
    }
    by_name = {"metric": {"name": "a"}, "errorResponse": said}
    assert metric_lines.refusals(posts, [by_id, by_name]) == dict.fromkeys(
        (3, 2), "run history: Metric … has … names"
    )
    assert metric_lines.refusals(posts, [{"metric": {"name": "unknown"}}]) == {}


def test_context_costs_two_requests(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """The run and its properties come with the discovery and one request, and leave the root logger alone."""
    code = """
import logging
from amllog.exporters.run_metrics import azureml_sdk
run, info = azureml_sdk.run_context()
print(run.id, info.parent_run_id, info.root_run_id, info.step_name, info.experiment_name, run.type)
print(info.run_url, logging.getLogger().handlers)
"""
    for home in ({}, {"HOME": "/dev/null"}):
        before = len(azure.requests_log)
        ran = child(code, env={**job, **home})
        first, second = ran.stdout.splitlines()
        assert first == "run_1 pipe_1 pipe_1 train local azureml.StepRun"
        assert "/runs/pipe_1?wsid=" in second
        assert second.endswith(" []")
        assert len(azure.requests_log) - before == 2


def test_no_context_outside_a_job(child: Any) -> None:
    """Outside a job there is no run, and the error says so."""
    assert (
        "RunEnvironmentException"
        in child("from amllog.exporters.run_metrics import azureml_sdk; azureml_sdk.run_context()").stderr
    )


def test_values_arrive(offers: Any, azure: AzureOnThisMachine) -> None:
    """Numbers, texts and tables arrive in order with their types, 45 to a request, also for another run."""
    code = """
offer(*[scalar("loss", i / 2, step=str(i)) for i in range(100)], scalar("n", 3),
      event("scalar", "nan", {"columns": {"nan": "double"}, "rows": [["NaN"]], "step": 4}),
      event("list", "l", {"columns": {"l": "int"}, "rows": [[1], [2]]}),
      event("row", "r", {"columns": {"a": "int", "b": "string"}, "rows": [[1, "x"]]}),
      scalar("above", 1.0, run_id="pipe_1"))
"""
    [(states, _, _, _)] = offers(code)
    assert states == ["delivered"] * 105
    values = azure.values("run_1")
    assert values.pop("loss") == [i / 2 for i in range(100)]
    assert values == {"n": [3], "nan": ["NaN"], "l": [1, 2], "r": [{"a": 1, "b": "x"}]}
    assert azure.values("pipe_1") == {"above": [1.0]}
    posted = {metric["name"]: metric for metric in azure.metrics("run_1")}
    assert posted["n"]["columns"] == {"n": "int"}
    assert posted["nan"]["value"][0]["step"] == 4
    assert posted["r"]["properties"] == {"uxMetricType": "azureml.v1.table"}
    assert posted["loss"]["value"][0]["createdUtc"] == "2027-01-15T08:01:40.000Z"
    assert sum(one.path.endswith("/batch") for one in azure.requests_log) == 4


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        ({"hang": "before headers"}, "waiting", "run history: ReadTimeout"),
        ({"hang": "after headers"}, "waiting", "run history: ReadTimeout"),
        ({"close": True}, "waiting", "run history: ConnectionError"),
        ({"body": "<html>"}, "waiting", ""),
        ({"status": 401}, "waiting", "run history: 401"),
        ({"status": 429, "headers": {"Retry-After": "7"}}, "waiting", "run history: 429"),
        ({"status": 500}, "waiting", "run history: 500"),
        ({"status": 503}, "waiting", "run history: 503"),
        ({"drops": 0.2}, "waiting", "run history: ReadTimeout"),
        ({"status": 307, "headers": {"Location": "http://localhost:9/"}}, "waiting", "run history: 307"),
        ({"status": 408}, "waiting", "run history: 408"),
        ({"status": 502}, "waiting", "run history: 502"),
        ({"status": 504}, "waiting", "run history: 504"),
        ({"status": 400}, "refused", "400: switched on for a test"),
        ({"status": 409}, "refused", "409: switched on for a test"),
        ({"status": 413}, "refused", "413: switched on for a test"),
    ],
)
def test_faults(offers: Any, fault: dict[str, Any], state: str, reason: str) -> None:
    """Metrics, tags and uploads wait or are refused as the answer says, within the seconds given; then it works."""
    code = f"""
copy(b"content")
upload = lambda: call("upload_file", name="f", artifact=f"f{{count}}", file=FILE)
for lines in ([scalar("x", 1.0), scalar("y", 2.0)], [call("set_tags", tags={{"a": "1"}})], [upload()]):
    faults({fault!r})
    offer(*lines, seconds=1.0)
faults()
copy(b"content")  # with a refusal, it was deleted
offer(scalar("x", 1.0), call("set_tags", tags={{"a": "1"}}), upload())
"""
    *failed, worked = offers(code)
    for states, reasons, pause, took in failed:
        assert set(states) == {state}
        assert reason in reasons[0]
        assert pause == (7 if fault.get("status") == 429 else 0)
        assert took < 1.5
    assert worked[0] == ["delivered"] * 3


@pytest.mark.parametrize("status", [403, 404])
def test_no_way_to_the_run(offers: Any, status: int) -> None:
    """Where the run itself is forbidden or not found, what is for it waits; a file, or another run's metric, is refused
    for itself."""
    code = f"""
copy(b"content")
faults({{"status": {status}}})
offer(scalar("x", 1.0), call("set_tags", tags={{"a": "1"}}))
offer(call("upload_file", name="f", artifact="f", file=FILE))
offer(scalar("x", 1.0, run_id="another"))
"""
    [(own, reasons, *_), (file, *_), (other, *_)] = offers(code)
    assert own == ["waiting"] * 2 and reasons[0] == f"run history: {status}"
    assert file == ["refused"]
    assert other == ["waiting" if status == 403 else "refused"]


BAD_CALLS = {
    "-1", "null", "[]", "DEEP", '{"tags": [1]}', '{"tags": {"a": {}}}', '{"tags": {"a": "1"}, "file": "FILE"}',
    '{"tags": {"a": "1"}, "file": "mine"}', "{", '{"tags": {"a": "\\ud800"}}',
}  # fmt: skip
BAD_UPLOADS = [
    None, 5, [1], {"a": 1}, "", ".", "..", "artifacts", "x" * 5_000, "\0", "/dev/tty", "mine", "/etc/hostname",
    "artifacts/../mine", "./artifacts/0123456789ab-file", "artifacts/000000000000-missing",
    "artifacts/000000000001-fifo", "artifacts/000000000002-link", "artifacts/000000000003-hard",
    "artifacts/000000000004-folder",
]  # fmt: skip
BAD_LISTS = [
    {"columns": ["a", "a"], "rows": [[1], [2]]}, {"columns": {"l": 1}, "rows": [[1]]}, {"columns": {"l": "int"}},
    {"columns": {"l": "int"}, "rows": "9" * 400}, {"columns": {"l": "int"}, "rows": [1]},
    {"columns": {"l": "int"}, "rows": [[{}]]}, {"columns": {"l": "int"}, "rows": [[1, 2]]},
    {"columns": {"l": "int"}, "rows": [[1]] * 5_000}, {"columns": {"l": "int"}, "rows": [[1]], "step": {}},
    {"columns": {"l": "int"}, "rows": [[1]], "step": "9" * 5_000},
    {"columns": {"l": "int"}, "rows": [[1]], "step": 2**70}, {"columns": {"l": "int"}, "rows": [[1]], "type": 5},
]  # fmt: skip
BAD_LABELS = [{"run_id": 5}, {"run_id": {}}, {"record_id": [1]}, {"step": "x"}, {"step_id": ["a"]}]
PLANT = """
copy(b"content")
open("mine", "w").write("secret")
os.mkfifo("artifacts/000000000001-fifo")
os.symlink("../mine", "artifacts/000000000002-link")
os.link("mine", "artifacts/000000000003-hard")
os.mkdir("artifacts/000000000004-folder")
"""
STILL = """
assert open("mine").read() == "secret", "it was changed"
assert sorted(os.listdir("artifacts"))[:4] == [os.path.basename(one) for one in
    ("000000000001-fifo", "000000000002-link", "000000000003-hard", "000000000004-folder")]
"""


def test_invalid_lines_are_refused_alone(offers: Any, azure: AzureOnThisMachine) -> None:
    """Lines that others have changed are refused, each with its reason; the lines between them arrive once."""
    code = f"""
{PLANT}
good = iter(range(1000))
lines = []
def add(bad):
    lines.extend([bad, scalar("good", next(good))])
for text in {sorted(BAD_CALLS)!r}:
    text = text.replace("FILE", FILE).replace("DEEP", "[" * 100_000)
    add(line("call", {{"baseType": "EventData", "name": "run.set_tags"}}, {{"run_metric_data": text}}))
for name in {BAD_UPLOADS!r}:
    add(call("upload_file", name="f", artifact=f"bad{{len(lines)}}", file=name))
for method in ("log_image", "log_predictions", "upload_file"):
    add(call(method, name="f", artifact=5, file=FILE))
    add(call(method, name="f", artifact="f"))
for data in {BAD_LISTS!r}:
    add(event("list", "l", data))
add(event("list", "inf", {{"columns": {{"inf": "int"}}, "rows": [[1]], "step": float("inf")}}))
for labels in {BAD_LABELS!r}:
    add(scalar("bad", 1, **labels))
add(scalar("bad", "text"))
add(scalar(7, 1))
add(scalar("bad", 1).replace(b'"time":"20', b'"time":"xx', 1))
lines += [call("set_tags", tags={{"after": "all"}}), call("upload_file", name="f", artifact="good", file=FILE)]
offer(*lines, seconds=60.0)
offer(*lines[::2][:-1], seconds=60.0)
{STILL}
"""
    (states, reasons, _, _), (again, *_) = offers(code)
    count = len(states) // 2 - 1
    assert states == ["refused", "delivered"] * count + ["delivered"] * 2
    assert again == ["refused"] * count
    assert set(filter(None, reasons)) == {
        "not readable as a run metric",
        "run history: CopyUnusable: copy of a file: it is missing",
        "run history: CopyUnusable: copy of a file: is not a regular file",
        "run history: CopyUnusable: copy of a file: is a symbolic link",
        "run history: CopyUnusable: copy of a file: has several hard links",
    }
    assert azure.values("run_1") == {"good": list(range(count))}
    assert azure.tags("run_1") == {"after": "all"}
    assert {name: one.file.read_bytes() for name, one in azure.artifacts("run_1").items()} == {
        "good": b"content"
    }


def test_what_msrest_rejects(offers: Any, azure: AzureOnThisMachine) -> None:
    """A metric that azureml's own client rejects before it is sent is refused alone, and does not wait."""
    code = """
bad = scalar("bad", 1).replace(b'"time":"2027-01-15', b'"time":"2027-99-99', 1)
offer(*[scalar("good", i) for i in range(10)], bad, *[scalar("good", i) for i in range(10, 20)])
"""
    [(states, reasons, _, _)] = offers(code)
    assert states == ["delivered"] * 10 + ["refused"] + ["delivered"] * 10
    assert "Error: " in reasons[10]
    assert azure.values("run_1") == {"good": list(range(20))}


def test_a_copy_that_cannot_be_opened_now(offers: Any, azure: AzureOnThisMachine) -> None:
    """An upload for which no descriptor is free waits alone, and its copy is kept; other calls go on."""
    code = """
import resource
copy(b"content")
offer(call("set_tags", tags={"a": "1"}))
once = call("upload_file", name="f", artifact="f", file=FILE)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
held = os.open(".", os.O_RDONLY)
os.close(held)
resource.setrlimit(resource.RLIMIT_NOFILE, (held, hard))
offer(once, call("set_tags", tags={"b": "2"}))
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
offer(once)
"""
    _, (states, reasons, *_), (later, *_) = offers(code)
    assert (states, later) == (["waiting", "delivered"], ["delivered"])
    assert reasons[0].startswith("copy of a file: not usable now: Too many open files")
    assert azure.tags("run_1") == {"a": "1", "b": "2"}


DATA = st.recursive(CELL, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
MEMBERS = st.sampled_from(
    ["columns", "rows", "step", "type", "file", "tags", "artifact", "name", "value", "child"]
)
METHODS = st.sampled_from(["upload_file", "set_tags", "child_run", "fail", "display_name", "surprise", ""])


@given(
    kind=st.sampled_from(["call", "list", "scalar"]) | DATA,
    method=METHODS,
    data=DATA | st.dictionaries(MEMBERS, DATA),
    labels=st.dictionaries(st.sampled_from(["run_id", "step_id", "record_id", "step"]), DATA),
)
def test_any_line_is_decoded_or_rejected(kind: Any, method: str, data: Any, labels: dict[str, Any]) -> None:
    """No line raises, whatever its data are; what is decoded has the types that the outlets rely on."""
    properties = {"run_metric": kind, "run_metric_data": json.dumps(data), **labels}
    record = {
        "time": "2026-01-01T00:00:00.000000Z",
        "data": {"baseData": {"name": f"run.{method}", "properties": properties}},
    }
    found = metric_lines.decode(json.dumps(record).encode())
    if isinstance(found, metric_lines.MetricPost):
        assert all(len(row) == len(found.columns) for row in found.rows)
        assert len(found.values()) == len(found.rows)
    elif found is not None:
        assert isinstance(found.data, dict)
        assert (found.file is not None) == (method == "upload_file")


def test_one_bad_metric(offers: Any, azure: AzureOnThisMachine) -> None:
    """A metric that the service refuses is refused alone; its neighbours arrive."""
    code = """
faults({"item": '"bad"', "status": 400, "message": "no such thing as 'bad'"})
offer(*[scalar("good", i) for i in range(10)], scalar("bad", 1), *[scalar("good", i) for i in range(10, 20)])
"""
    [(states, reasons, _, _)] = offers(code)
    assert states == ["delivered"] * 10 + ["refused"] + ["delivered"] * 10
    assert reasons[10] == "run history: no such thing as …"
    assert azure.values("run_1") == {"good": list(range(20))}


def test_an_upload_goes_on_where_it_stopped(offers: Any, azure: AzureOnThisMachine) -> None:
    """When the storage fails, a second try uses the name that the first has taken. Then the copy is deleted."""
    code = """
copy(b"\\x89PNG content")
once = call("log_image", name="pic", artifact="pics/a.png", file=FILE)
faults({"path": "/blobs/", "status": 500})
offer(once)
faults()
offer(once)
assert not os.path.exists(FILE)
copy(b"again")
offer(once)
assert not os.path.exists(FILE)
"""
    first, second, third = offers(code)
    assert (first[0], second[0]) == (["waiting"], ["delivered"])
    assert third[0] == ["refused"]  # the name is taken for good, as with azureml
    assert "Conflict" in third[1][0]
    assert azure.artifacts("run_1")["pics/a.png"].file.read_bytes() == b"\x89PNG content"
    assert azure.values("run_1") == {"pic": ["aml://artifactId/ExperimentRun/dcid.run_1/pics/a.png"]}


def test_every_call(offers: Any, azure: AzureOnThisMachine) -> None:
    """Tags, properties, names, documents, child runs and their ends reach the run they are for."""
    code = """
copy(b"{}")
kid, other = "11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-666666666666"
offer(call("set_tags", tags={"a": "1", "b": None, "c": "3"}), call("remove_tags", tags=["a"]),
      call("add_properties", properties={"p": "1"}), call("display_name", value="shown"),
      call("description", value="why"), call("log_confusion_matrix", name="cm", artifact="cm", file=FILE),
      call("child_run", child=kid, name="kid"), scalar("of kid", 1.0, run_id=kid),
      call("set_tags", kid, tags={"k": "v"}), call("complete", kid),
      call("child_run", child=other, name=None), call("fail", other, error_details="bad", error_code="E1"),
      call("fail", error_details="my own", error_code=None), call("surprise"))
"""
    [(states, reasons, _, _)] = offers(code)
    assert (states[:-1], states[-1]) == (["delivered"] * 13, "refused")
    assert "run.surprise is no call" in reasons[-1]
    kid, other = (azure.runs[f"11111111-2222-3333-4444-{tail}"] for tail in ("555555555555", "666666666666"))
    own = azure.runs["run_1"]
    assert (own["tags"], own["properties"], own["displayName"]) == (
        {"b": None, "c": "3"},
        {"p": "1"},
        "shown",
    )
    assert (own["description"], own["status"]) == ("why", "Running")
    assert (kid["status"], kid["parentRunId"], kid["tags"], other["status"]) == (
        "Completed",
        "run_1",
        {"k": "v"},
        "Failed",
    )
    assert azure.values(kid["runId"]) == {"of kid": [1.0]}
    assert azure.values("run_1") == {"cm": ["aml://artifactId/ExperimentRun/dcid.run_1/cm"]}


def test_order_is_kept_while_a_call_waits(offers: Any, azure: AzureOnThisMachine) -> None:
    """While a child run cannot be begun, its metrics and later calls wait; other metrics go on."""
    code = """
faults({"path": "/history/", "status": 503, "times": 1})
offer(call("child_run", child="kid", name="kid"), scalar("of kid", 1, run_id="kid"), scalar("mine", 1),
      call("set_tags", tags={"a": "1"}))
"""
    [(states, _, _, _)] = offers(code)
    assert states == ["waiting", "waiting", "delivered", "waiting"]
    assert azure.tags("run_1") == {}


def test_without_a_run(child: Any, job: dict[str, str]) -> None:
    """While run history was not reached, records wait; `connect` is asked for the run, and then they arrive."""
    code = (
        PREAMBLE
        + """
answers = [None, run]
out = azureml_exporter.AzureMLExporter(".", None, lambda seconds: answers.pop(0))
offer(scalar("x", 1)); offer(scalar("x", 1)); out.close()
print(azureml_exporter.AzureMLExporter(".").export([scalar("x", 1)], 1.0).default.state)
"""
    )
    ran = child(code, env=job)
    assert ran.returncode == 0, ran.stderr
    first, second, third = ran.stdout.splitlines()
    assert (json.loads(first)[0], json.loads(second)[0], third) == (["waiting"], ["delivered"], "waiting")


def test_says_nothing_of_what_it_sends(child: Any, job: dict[str, str]) -> None:
    """With the root logger at DEBUG, neither azureml nor msrest's HTTP logger repeat the metrics that are sent."""
    code = """
seen = []
handler = logging.Handler()
handler.emit = lambda one: seen.append(f"{one.name} {one.getMessage()}")
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.DEBUG)
out.export([scalar("secret", 1.0), call("set_tags", tags={"secret": "1"})], 5.0)
print([one for one in seen if "secret" in one or one.startswith(("azureml", "msrest.http_logger"))])
"""
    logged = child(PREAMBLE + code, env=job).stdout
    assert "http_logger" not in logged
    assert "secret" not in logged


def test_public_methods_where_the_private_are_gone(
    child: Any, job: dict[str, str], azure: AzureOnThisMachine
) -> None:
    """A run that has only azureml's public methods is served through these."""
    code = (
        PREAMBLE
        + """
class Public:
    id, experiment = run.id, None
    log, log_list, log_table, flush = run.log, run.log_list, run.log_table, run.flush

out = azureml_exporter.AzureMLExporter(".", Public())
offer(scalar("x", 1.5, step="2"), event("list", "l", {"columns": {"l": "int"}, "rows": [[1], [2]]}),
      event("row", "r", {"columns": {"a": "int"}, "rows": [[1]]}), seconds=20.0)
out.close()
"""
    )
    ran = child(code, env=job)
    assert json.loads(ran.stdout)[0] == ["delivered"] * 3, ran.stderr
    assert azure.values("run_1") == {"x": [1.5], "l": [1, 2], "r": [{"a": 1}]}


def test_a_long_name_arrives(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """A metric with a name too long for run history arrives there under a shorter one, and in full elsewhere."""
    ran = child("import amllog; amllog.setup().metric('loss ' + 'x' * 60, 0.5)", env=job)
    assert "run history takes 50 characters" in ran.stderr
    ((name, values),) = azure.values(job["AZUREML_RUN_ID"]).items()
    assert (name[:41], values) == ("loss " + "x" * 36, [0.5])
    sent = [
        one["data"]["baseData"]["metrics"][0]["name"] for one in azure.envelopes if "Metric" in one["name"]
    ]
    assert sent == ["loss " + "x" * 60]
