"""The public logger: calls at every level, bound dimensions, copies and pickles."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

import amllog


@pytest.fixture
def recorded(tmp_path: Path) -> Any:
    """Set amllog up at DEBUG. Return a function that returns (level, message, dimensions) of each record."""
    amllog.setup(directory=tmp_path / "j", level="DEBUG", driver_level="CRITICAL")

    def read() -> list[tuple[str, str, dict[str, str]]]:
        lines = [line for file in (tmp_path / "j").glob("*.jsonl") for line in file.open()]
        data = [json.loads(line)["data"]["baseData"] for line in lines]
        return [
            (item["properties"].get("level", ""), item.get("message", ""), item["properties"])
            for item in data
        ]

    return read


def test_levels(recorded: Any) -> None:
    """Every method of logging's and structlog's loggers records at its level."""
    log = amllog.get_logger("x")
    for name in ("debug", "info", "msg", "warning", "warn", "error", "err", "critical", "fatal", "exception"):
        getattr(log, name)("%s called", name)
    log.log(25, "log called")
    levels = [
        "DEBUG",
        "INFO",
        "INFO",
        "WARNING",
        "WARNING",
        "ERROR",
        "ERROR",
        "CRITICAL",
        "CRITICAL",
        "ERROR",
        "Level 25",
    ]
    assert [level for level, _, _ in recorded()] == levels
    assert recorded()[0][1] == "debug called"


def test_call_site(recorded: Any) -> None:
    """A record has the module, file and line of the call in the script."""
    log = amllog.get_logger("x")
    log.info("a")
    log.bind(b=1).log(20, "b")
    log.metric("m", 1)
    log.event("e")
    with log.span("s"):
        pass
    for _, _, properties in recorded():
        assert (properties["module"], properties["fileName"]) == ("test_logger", __file__)
        assert int(properties["lineNumber"]) > 40


def test_bind(recorded: Any) -> None:
    """bind adds dimensions, unbind and try_unbind remove them, and new replaces them, each in a new logger."""
    log = amllog.get_logger("x", a=1)
    bound = log.bind(b=2)
    bound.info("bound")
    log.info("before")
    bound.unbind("a").info("unbound")
    bound.try_unbind("zzz").info("same")
    bound.new(c=3).info("new")
    with pytest.raises(KeyError):
        log.unbind("zzz")
    dimensions = {
        message: {key: properties[key] for key in "abc" if key in properties}
        for _, message, properties in recorded()
    }
    assert dimensions == {"bound": {"a": "1", "b": "2"}, "before": {"a": "1"}, "unbound": {"b": "2"},
                     "same": {"a": "1", "b": "2"}, "new": {"c": "3"}}  # fmt: skip


def test_copies(recorded: Any) -> None:
    """A logger that was pickled or copied keeps its name and bound dimensions."""
    log = amllog.get_logger("x", a=1).bind(b={"c": 2})
    for number, other in enumerate((pickle.loads(pickle.dumps(log)), copy.copy(log), copy.deepcopy(log))):
        other.info("%d", number)
        assert (other.name, repr(other)) == (log.name, repr(log))
    assert [(message, p["a"], p["b"], p["logger"]) for _, message, p in recorded()] == [
        (str(number), "1", '{"c": 2}', "x") for number in range(3)
    ]


def test_below_the_level(tmp_path: Path) -> None:
    """A call below the level records nothing and converts no argument to a string."""
    log = amllog.setup(directory=tmp_path / "j", level="ERROR")

    class Expensive:
        def __str__(self) -> str:
            raise AssertionError("was converted to a string")

    log.debug(Expensive())
    log.info("%s", Expensive(), value=Expensive())
    assert (log.isEnabledFor(logging.INFO), log.is_enabled_for(logging.ERROR)) == (False, True)
    assert amllog.status().accepted == 0


def test_names() -> None:
    """setup() returns a logger with the name of the calling module, get_logger one with the given name."""
    assert amllog.setup().name == __name__
    assert (amllog.get_logger().name, amllog.get_logger("a.b").name) == ("__main__", "a.b")


@pytest.mark.parametrize(("name", "shown"), [(None, "root"), (5, "5"), (b"x", "x"), (len, str(len))])
def test_names_of_other_types(name: Any, shown: str, recorded: Any) -> None:
    """None is the root logger, as in `logging`, and any other object is converted to a string."""
    log = amllog.get_logger(name)
    log.info("hello")
    assert log.name == shown
    assert [record[1] for record in recorded()] == ["hello"]


def test_metrics(recorded: Any) -> None:
    """A metric accepts every type of number and rejects other values at the call."""
    numpy = pytest.importorskip("numpy")
    log = amllog.get_logger("x")
    log.metrics({"a": 1, "b": numpy.float32(0.5), "c": True, "d": numpy.array([2])}, step=3, fold=1)
    for wrong in ("1", None, [1], 1j, numpy.array([1, 2]), object(), {"a": 1}):
        with pytest.raises(amllog.MetricError):
            log.metric("wrong", wrong)
    for name in ("", None, 7):
        with pytest.raises(amllog.MetricError):
            log.metric(name, 1)  # type: ignore[arg-type]  # a caller without a type checker
    with pytest.raises(amllog.MetricError):
        log.metrics({"fine": 1, "wrong": "x"})
    for odd in (float("nan"), float("inf"), 10**400, numpy.float64("-inf")):
        log.metric("odd", odd)
    amllog.flush(0)
    assert len(recorded()) == 8
    assert [properties.get("step") for _, _, properties in recorded()[:4]] == ["3"] * 4
    assert [properties["value"] for _, _, properties in recorded()[4:]][::3] == ["NaN", "-Infinity"]


def test_spans(recorded: Any) -> None:
    """A span is recorded once as a block and as a decorator, also if an exception or SystemExit leaves it."""
    log = amllog.get_logger("x")
    with pytest.raises(ValueError), log.span("failing"):
        raise ValueError("x")

    @log.span("decorated")
    def work() -> int:
        return 7

    assert work() == 7
    with pytest.raises(SystemExit), log.span("ending"):
        raise SystemExit(0)
    assert amllog.status().accepted == 3


def test_before_setup() -> None:
    """All calls work before setup(), and their records are written by setup()."""
    log = amllog.get_logger("early")
    log.info("m")
    log.metric("m", 1)
    log.event("e")
    with log.span("s"):
        pass
    assert log.run is not None
    assert amllog.status().accepted == 0
    assert amllog.flush(0).accepted == 0 and amllog.shutdown(0).accepted == 0
    assert amllog.identity().step_id
    amllog.setup()
    assert amllog.status().accepted == 4
