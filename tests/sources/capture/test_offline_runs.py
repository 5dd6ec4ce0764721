"""azureml's offline run: its calls are recorded, the attributes of the online run work, and its own lines stay."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import amllog
from amllog.sources.capture.offline_runs import OfflineRuns
from amllog.sources.run.run import Run


@pytest.fixture
def own_class() -> Iterator[Any]:
    """azureml's class of offline runs, which has its own attributes again at the end."""
    from azureml.core.run import _OfflineRun

    before = dict(vars(_OfflineRun))
    yield _OfflineRun
    amllog.shutdown(timeout=0)
    assert dict(vars(_OfflineRun)) == before


def run_data() -> dict[str, Any]:
    """Return the values of each record of `run`, by the name of the metric or call and the run."""
    lines = [json.loads(line)["data"] for file in Path(".amllog").glob("*.jsonl") for line in file.open()]
    data: dict[str, Any] = {}
    for line in lines:
        base, properties = line["baseData"], line["baseData"].get("properties", {})
        if properties.get("logger") in ("run", "mlflow"):
            metric = base.get("metrics", [{}])[0]
            name = metric.get("name") or base["name"]
            value = metric.get("value", json.loads(properties.get("run_metric_data", "{}")))
            run = properties.get("run_name") or properties.get("run_id", "").rpartition(".")[2]
            data.setdefault((name, run) if run else name, []).append(value)
    return data


@pytest.mark.parametrize("early", [True, False])
def test_all_calls_of_the_guide(own_class: Any, capsys: Any, early: bool) -> None:
    """Metrics, tags and child runs are recorded, also of a run from before setup(), and azureml's lines stay."""
    from azureml.core import Run as OnlineRun

    run = OnlineRun.get_context()
    run.log("loss", 0.5)
    printed = capsys.readouterr().out
    amllog.setup(driver_level="CRITICAL")
    run = run if early else OnlineRun.get_context()
    run.log("loss", 0.5)
    assert capsys.readouterr().out == printed
    run.log("loss", 0.25, step=1)
    run.log("late", 1, "of a keyword", 2)
    run.log_list("list", [1, 2])
    run.log_row("row", x=1)
    run.log_table("table", {"x": [1, 2]})
    run.log_confusion_matrix("matrix", {"schema_type": "confusion_matrix"})
    run.tag("a", "b")
    run.tag(key="c", value="d")
    run.set_tags({"e": "f"})
    run.flush(timeout_seconds=1)
    child = run.child_run("kid")
    child.log("loss", 2, step=3)
    run.complete()
    run.fail("reason", error_code="E1")
    data = run_data()
    assert (data["loss"], data[("loss", "kid")]) == ([0.5, 0.25], [2])
    assert [data[name][0]["rows"] for name in ("list", "row", "table")] == [[[1], [2]], [[1]], [[1], [2]]]
    assert [call["tags"] for call in data["run.set_tags"]] == [{"a": "b"}, {"c": "d"}, {"e": "f"}]
    assert data["run.log_confusion_matrix"] and data["run.fail"][0]["error_code"] == "E1"
    assert run.id.startswith("OfflineRun_") and child.id == f"{run.id}.kid"


def test_attributes_of_the_online_run(own_class: Any) -> None:
    """`parent`, `experiment`, `tags` and other attributes work. An unknown attribute is missing."""
    from azureml.core import Run as OnlineRun

    amllog.setup(driver_level="CRITICAL", step_name="train", experiment_name="digits")
    run = OnlineRun.get_context()
    run.log("loss", 0.5)
    run.tag("a", "b")
    run.display_name = "shown"
    run.parent.log("of the parent", 1)
    assert run.get_metrics() == {"loss": 0.5}
    assert (run.tags, run.get_tags(), run.experiment.name) == ({"a": "b"}, {"a": "b"}, "digits")
    assert (run.display_name, run.number, run.properties) == ("shown", 0, {})
    assert [len(run.create_children(2)), len(run.get_children())] == [2, 2]
    assert run.get_details()["status"] == "Running"
    assert not hasattr(run, "nonsense")
    with pytest.raises(AttributeError, match=r"Workspace\.from_config"):  # scripts catch it
        run.experiment.workspace  # noqa: B018  the access is the test
    with pytest.warns(UserWarning, match="register_model needs Azure ML"):
        assert run.register_model("model", "path") is None


def test_values_that_are_only_printed(own_class: Any, capsys: Any, tmp_path: Path) -> None:
    """A value that azureml's class prints and amllog rejects raises nothing. One notice reports it."""
    from azureml.core import Run as OnlineRun

    amllog.setup()
    run = OnlineRun.get_context()
    for _ in range(2):
        run.log("odd", [1, 2])
    run.log_image("image", path="missing.png")
    run.upload_file("model", __file__)
    run.upload_folder("models", str(tmp_path))
    output = capsys.readouterr().out
    assert output.count("run.log(…) is not recorded: ") == 1
    assert output.count("run.log_image(…) is not recorded: FileNotFoundError") == 1
    assert output.count("Attempted to log scalar metric odd") == 2
    assert "Attempted to track file model" in output
    assert run_data() == {} and not list(Path(".amllog").rglob("artifacts/*"))
    with pytest.raises(amllog.MetricError):  # azureml's class rejects the argument, too
        run.log("loss", 0.5, step="no number")


class Raising:
    """A value whose methods raise."""

    def __iter__(self) -> Iterator[object]:
        raise RuntimeError("no items")

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def keys(self) -> object:
        """Raise, as an object that only looks like a dict."""
        raise RuntimeError("no keys")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.builds(Raising),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(name=st.text(max_size=5) | st.none(), value=VALUES)
def test_any_value(name: Any, value: Any) -> None:
    """Each method with any value raises nothing, as azureml's own."""
    from azureml.core.run import _OfflineRun

    if not hasattr(_OfflineRun, "parent"):
        amllog.setup(driver_level="CRITICAL")
    run = _OfflineRun()
    for method in ("log", "log_list", "log_table", "log_residuals", "log_image", "tag"):
        assert getattr(run, method)(name, value) is None
    assert run.log_row(name, x=value) is None
    assert run.set_tags(value) is run.add_properties(value) is None


VALID = {"tags": {"a": "b"}, "properties": {"a": "b"}, "step": 1, "timeout_seconds": 1}


def test_every_method_takes_the_arguments_of_both_classes(own_class: Any) -> None:
    """Each public method of azureml's offline class takes all its keywords, and those of the online class."""
    theirs = {name: value for name, value in vars(own_class).items() if inspect.isfunction(value)}
    amllog.setup(driver_level="CRITICAL")
    for name, method in theirs.items():
        hooked = getattr(own_class, name)
        assert inspect.signature(hooked) == inspect.signature(method)
        if name[0] == "_" or name.startswith("upload"):
            assert hooked is method
            continue
        keywords = [*inspect.signature(method).parameters][1:]
        ours = [*inspect.signature(getattr(Run, name)).parameters][1:]
        for names in (keywords, ours):
            values = {key: VALID.get(key, "x") for key in names if key not in ("kwargs", "_")}
            getattr(own_class(), name)(**values)


def test_a_second_setup_and_no_metrics(own_class: Any) -> None:
    """A second setup() changes nothing. Without metrics and after shutdown(), the class is azureml's."""
    before = own_class.log
    amllog.setup(driver_level="CRITICAL")
    hooked = own_class.log
    amllog.setup(driver_level="CRITICAL")
    assert own_class.log is hooked is not before
    amllog.setup(driver_level="CRITICAL", metrics="none")
    assert own_class.log is before
    amllog.setup(driver_level="CRITICAL", metrics="auto")
    assert own_class.log is not before
    amllog.shutdown(timeout=0)
    assert own_class.log is before and not hasattr(own_class(), "parent")


def test_children_are_bounded(own_class: Any) -> None:
    """The runs of children after the first thousand are recorded for the step itself."""
    from amllog.session import api

    amllog.setup(driver_level="CRITICAL")
    recorder = api.session().recorder
    runs = OfflineRuns(recorder, lambda message, level: None)
    runs.install()
    parent = own_class()
    for number in range(1001):
        last = parent.child_run(f"c{number}")
    assert runs.run_of(last) is recorder.run
    runs.remove()


def test_import_after_setup(child: Any) -> None:
    """setup() does not import azureml. An import afterwards is noticed, also in a forked worker."""
    code = """
import multiprocessing, sys, amllog

def work():
    from azureml.core import Run
    Run.get_context().log("of the worker", 1)

if __name__ == "__main__":
    amllog.setup()
    assert "azureml.core" not in sys.modules
    from azureml.core.run import Run
    Run.get_context().log("loss", 0.5)
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start(); process.join()
"""
    ran = child(code)
    assert ran.returncode == 0, ran.stderr
    assert run_data() == {"loss": [0.5], "of the worker": [1]}


def test_metrics_on_the_command_line(child: Any) -> None:
    """`amllog metrics` shows the metrics of an old script, with those of its child run by name."""
    script = """
import amllog; amllog.setup()
from azureml.core import Run
run = Run.get_context()
run.log("loss", 0.5); run.log("loss", 0.25, step=1)
for name in ("a", "b"):
    with run.child_run(name) as kid: kid.log("loss", 2)
"""
    Path("old.py").write_text(script)
    ran = child(Path("old.py"))
    assert ran.returncode == 0, ran.stderr
    shown = child((sys.executable, "-m", "amllog", "metrics")).stdout.split("\n")
    assert [line.split() for line in shown if line][:4] == [
        ["step_name", "run", "name", "values", "first", "last", "min", "max"],
        ["old.py", "loss", "2", "0.5", "0.25", "0.25", "0.5"],
        ["old.py", "a", "loss", "1", "2", "2", "2", "2"],
        ["old.py", "b", "loss", "1", "2", "2", "2", "2"],
    ]
