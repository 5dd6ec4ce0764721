"""Run metrics through azureml-core's `Run`: the data that arrives, the verdicts of responses, and the time limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

# A job that connects to the run, creates lines as the recorder does, exports them and prints the results.
PREAMBLE = """
import json, logging, os, sys, time, urllib.request
from amllog.record import envelope
from amllog.exporters.run_metrics import azureml_exporter, azureml_sdk

run, _ = azureml_sdk.run_context()
exporter = azureml_exporter.AzureMLExporter(".", run)
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

def faults(*faults):
    data = json.dumps([{"service": "run_history", **fault} for fault in faults]).encode()
    address = os.environ["FAULTS_URL"]
    urllib.request.urlopen(urllib.request.Request(address, data=data, method="PUT")).read()

def export(*lines, seconds=5.0):
    began = time.monotonic()
    result = exporter.export(lines, seconds)
    took = time.monotonic() - began
    verdicts = [result.exceptions.get(index, result.default) for index in range(len(lines))]
    states, reasons = [verdict.state for verdict in verdicts], [verdict.reason for verdict in verdicts]
    print(json.dumps([states, reasons, result.pause_seconds, took]))
"""


@pytest.fixture
def exports(child: Any, job: dict[str, str]) -> Any:
    """Return a function that runs a job, and returns states, reasons, pause and seconds of each export."""

    def run(code: str, **env: str) -> list[Any]:
        ran = child(PREAMBLE + code, env={**job, **env})
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[[")]

    return run


def test_values_arrive(exports: Any, azure: AzureOnThisMachine) -> None:
    """Numbers, strings and tables arrive in order with their types, 45 per request, also for another run."""
    code = """
export(*[scalar("loss", i / 2, step=str(i)) for i in range(100)], scalar("n", 3),
      event("scalar", "nan", {"columns": {"nan": "double"}, "rows": [["NaN"]], "step": 4}),
      event("list", "l", {"columns": {"l": "int"}, "rows": [[1], [2]]}),
      event("row", "r", {"columns": {"a": "int", "b": "string"}, "rows": [[1, "x"]]}),
      scalar("above", 1.0, run_id="pipe_1"))
"""
    [(states, _, _, _)] = exports(code)
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
    assert sum(request.path.endswith("/batch") for request in azure.requests_log) == 4


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
def test_failed_requests(exports: Any, fault: dict[str, Any], state: str, reason: str) -> None:
    """Metrics, tags and uploads wait or are refused after a failure, within the time limit."""
    code = f"""
copy(b"content")
upload = lambda: call("upload_file", name="f", artifact=f"f{{count}}", file=FILE)
for lines in ([scalar("x", 1.0), scalar("y", 2.0)], [call("set_tags", tags={{"a": "1"}})], [upload()]):
    faults({fault!r})
    export(*lines, seconds=1.0)
faults()
copy(b"content")  # a refused upload deletes it
export(scalar("x", 1.0), call("set_tags", tags={{"a": "1"}}), upload())
"""
    *failed, worked = exports(code)
    for states, reasons, pause, took in failed:
        assert set(states) == {state}
        assert reason in reasons[0]
        assert pause == (7 if fault.get("status") == 429 else 0)
        assert took < 60  # a hanging request would take minutes
    assert worked[0] == ["delivered"] * 3


@pytest.mark.parametrize("status", [403, 404])
def test_forbidden_or_missing_run(exports: Any, status: int) -> None:
    """Lines for the run of the job wait after 403 and 404. Files, and metrics of another run after 404, are refused."""
    code = f"""
copy(b"content")
faults({{"status": {status}}})
export(scalar("x", 1.0), call("set_tags", tags={{"a": "1"}}))
export(call("upload_file", name="f", artifact="f", file=FILE))
export(scalar("x", 1.0, run_id="another"))
"""
    [(states, reasons, *_), (file, *_), (other, *_)] = exports(code)
    assert states == ["waiting"] * 2 and reasons[0] == f"run history: {status}"
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
UNCHANGED = """
assert open("mine").read() == "secret", "it was changed"
assert sorted(os.listdir("artifacts"))[:4] == [
    "000000000001-fifo", "000000000002-link", "000000000003-hard", "000000000004-folder"
]
"""


def test_invalid_lines_are_refused_alone(exports: Any, azure: AzureOnThisMachine) -> None:
    """Lines that another program has changed are refused with a reason, and the lines between them arrive once."""
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
export(*lines, seconds=60.0)
export(*lines[::2][:-1], seconds=60.0)
{UNCHANGED}
"""
    (states, reasons, _, _), (again, *_) = exports(code)
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
    assert {name: artifact.file.read_bytes() for name, artifact in azure.artifacts("run_1").items()} == {
        "good": b"content"
    }


def test_metric_that_msrest_rejects(exports: Any, azure: AzureOnThisMachine) -> None:
    """A metric that azureml's client rejects before sending is refused alone."""
    code = """
bad = scalar("bad", 1).replace(b'"time":"2027-01-15', b'"time":"2027-99-99', 1)
export(*[scalar("good", i) for i in range(10)], bad, *[scalar("good", i) for i in range(10, 20)])
"""
    [(states, reasons, _, _)] = exports(code)
    assert states == ["delivered"] * 10 + ["refused"] + ["delivered"] * 10
    assert "Error: " in reasons[10]
    assert azure.values("run_1") == {"good": list(range(20))}


def test_unusable_copy_waits_alone(exports: Any, azure: AzureOnThisMachine) -> None:
    """An upload without a free descriptor waits alone, its copy is kept, and other calls continue."""
    code = """
import resource
copy(b"content")
export(call("set_tags", tags={"a": "1"}))
once = call("upload_file", name="f", artifact="f", file=FILE)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
free = os.open(".", os.O_RDONLY)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
export(once, call("set_tags", tags={"b": "2"}))
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
export(once)
"""
    _, (states, reasons, *_), (later, *_) = exports(code)
    assert (states, later) == (["waiting", "delivered"], ["delivered"])
    assert reasons[0].startswith("copy of a file: not usable now: Too many open files")
    assert azure.tags("run_1") == {"a": "1", "b": "2"}


def test_invalid_metric_is_refused_alone(exports: Any, azure: AzureOnThisMachine) -> None:
    """A metric that the service rejects is refused alone, and the others arrive."""
    code = """
faults({"item": '"bad"', "status": 400, "message": "no such thing as 'bad'"})
export(*[scalar("good", i) for i in range(10)], scalar("bad", 1), *[scalar("good", i) for i in range(10, 20)])
"""
    [(states, reasons, _, _)] = exports(code)
    assert states == ["delivered"] * 10 + ["refused"] + ["delivered"] * 10
    assert reasons[10] == "run history: no such thing as …"
    assert azure.values("run_1") == {"good": list(range(20))}


def test_upload_continues_after_a_failure(exports: Any, azure: AzureOnThisMachine) -> None:
    """After a failure of the storage, the next attempt uses the created artifact, and then deletes the copy."""
    code = """
copy(b"\\x89PNG content")
once = call("log_image", name="pic", artifact="pics/a.png", file=FILE)
faults({"path": "/blobs/", "status": 500})
export(once)
faults()
export(once)
assert not os.path.exists(FILE)
copy(b"again")
export(once)
assert not os.path.exists(FILE)
"""
    first, second, third = exports(code)
    assert (first[0], second[0]) == (["waiting"], ["delivered"])
    assert third[0] == ["refused"]  # a name can be used once, as with azureml
    assert "Conflict" in third[1][0]
    assert azure.artifacts("run_1")["pics/a.png"].file.read_bytes() == b"\x89PNG content"
    assert azure.values("run_1") == {"pic": ["aml://artifactId/ExperimentRun/dcid.run_1/pics/a.png"]}


def test_every_call(exports: Any, azure: AzureOnThisMachine) -> None:
    """Tags, properties, names, documents, child runs and their ends reach their run."""
    code = """
copy(b"{}")
kid, other = "11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-666666666666"
export(call("set_tags", tags={"a": "1", "b": None, "c": "3"}), call("remove_tags", tags=["a"]),
      call("add_properties", properties={"p": "1"}), call("display_name", value="shown"),
      call("description", value="why"), call("log_confusion_matrix", name="cm", artifact="cm", file=FILE),
      call("child_run", child=kid, name="kid"), scalar("of kid", 1.0, run_id=kid),
      call("set_tags", kid, tags={"k": "v"}), call("complete", kid),
      call("child_run", child=other, name=None), call("fail", other, error_details="bad", error_code="E1"),
      call("fail", error_details="my own", error_code=None), call("surprise"))
"""
    [(states, reasons, _, _)] = exports(code)
    assert (states[:-1], states[-1]) == (["delivered"] * 13, "refused")
    assert "run.surprise is not a call" in reasons[-1]
    kid, other = (azure.runs[f"11111111-2222-3333-4444-{tail}"] for tail in ("555555555555", "666666666666"))
    run = azure.runs["run_1"]
    assert (run["tags"], run["properties"]) == ({"b": None, "c": "3"}, {"p": "1"})
    assert (run["displayName"], run["description"], run["status"]) == ("shown", "why", "Running")
    assert (kid["status"], kid["parentRunId"], kid["tags"], other["status"]) == (
        "Completed",
        "run_1",
        {"k": "v"},
        "Failed",
    )
    assert azure.values(kid["runId"]) == {"of kid": [1.0]}
    assert azure.values("run_1") == {"cm": ["aml://artifactId/ExperimentRun/dcid.run_1/cm"]}


def test_order_is_kept_while_a_call_waits(exports: Any, azure: AzureOnThisMachine) -> None:
    """While a child run cannot be created, its metrics and later calls wait, and other metrics continue."""
    code = """
faults({"path": "/history/", "status": 503, "times": 1})
export(call("child_run", child="kid", name="kid"), scalar("of kid", 1, run_id="kid"), scalar("mine", 1),
      call("set_tags", tags={"a": "1"}))
"""
    [(states, _, _, _)] = exports(code)
    assert states == ["waiting", "waiting", "delivered", "waiting"]
    assert azure.tags("run_1") == {}


def test_lines_wait_without_a_run(child: Any, job: dict[str, str]) -> None:
    """Lines wait until `connect` returns a run."""
    code = (
        PREAMBLE
        + """
runs = [None, run]
exporter = azureml_exporter.AzureMLExporter(".", None, lambda seconds: runs.pop(0))
export(scalar("x", 1)); export(scalar("x", 1)); exporter.close()
print(azureml_exporter.AzureMLExporter(".").export([scalar("x", 1)], 1.0).default.state)
"""
    )
    ran = child(code, env=job)
    assert ran.returncode == 0, ran.stderr
    first, second, third = ran.stdout.splitlines()
    assert (json.loads(first)[0], json.loads(second)[0], third) == (["waiting"], ["delivered"], "waiting")


def test_requests_are_not_logged(child: Any, job: dict[str, str]) -> None:
    """With the root logger at DEBUG, neither azureml nor msrest's HTTP logger log the metrics that are sent."""
    code = """
seen = []
handler = logging.Handler()
handler.emit = lambda record: seen.append(f"{record.name} {record.getMessage()}")
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.DEBUG)
exporter.export([scalar("secret", 1.0), call("set_tags", tags={"secret": "1"})], 5.0)
print([text for text in seen if "secret" in text or text.startswith(("azureml", "msrest.http_logger"))])
"""
    logged = child(PREAMBLE + code, env=job).stdout
    assert "http_logger" not in logged
    assert "secret" not in logged


def test_public_methods_without_the_private_ones(
    child: Any, job: dict[str, str], azure: AzureOnThisMachine
) -> None:
    """A run that has only azureml's public methods is used with these."""
    code = (
        PREAMBLE
        + """
class Public:
    id, experiment = run.id, None
    log, log_list, log_table, flush = run.log, run.log_list, run.log_table, run.flush

exporter = azureml_exporter.AzureMLExporter(".", Public())
export(scalar("x", 1.5, step="2"), event("list", "l", {"columns": {"l": "int"}, "rows": [[1], [2]]}),
      event("row", "r", {"columns": {"a": "int"}, "rows": [[1]]}), seconds=20.0)
exporter.close()
"""
    )
    ran = child(code, env=job)
    assert json.loads(ran.stdout)[0] == ["delivered"] * 3, ran.stderr
    assert azure.values("run_1") == {"x": [1.5], "l": [1, 2], "r": [{"a": 1}]}
