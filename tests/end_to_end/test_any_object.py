"""Any Python object in any argument of any call becomes one line of strict JSON within the service's limits."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import logging
import math
import pathlib
import sys
import uuid
import warnings
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import amllog
from amllog.errors import AmllogWarning, MetricError
from amllog.local.app_insights.validation import validate_envelope

KEY = "00000000-0000-0000-0000-0000000010ca"


class Raising:
    """An object that raises in each of its methods."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def _fail(self, *args: object) -> Any:
        raise self.error("no")

    __str__ = __repr__ = __eq__ = __len__ = __iter__ = __bool__ = __float__ = __format__ = _fail
    __hash__ = object.__hash__


class Recursing:
    """An object whose conversion to a string recurses."""

    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


class Slotted(Exception):
    """An exception whose conversion to a string and whose notes fail."""

    @property
    def __notes__(self) -> Any:
        return iter(lambda: "note", None)

    def __str__(self) -> str:
        raise RecursionError("no")


class Access(enum.Flag):
    """A flag."""

    READ = 1
    WRITE = 2


class Level(str, enum.Enum):
    """An enum of strings."""

    HIGH = "high"


@dataclasses.dataclass
class Point:
    """A dataclass that may hold itself."""

    x: object
    y: object = None


class Model:
    """An object like a pydantic model."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def __iter__(self) -> Iterator[tuple[str, object]]:
        yield from self.__dict__.items()

    def __repr__(self) -> str:
        return f"Model({', '.join(f'{key}={value!r}' for key, value in self)})"

    def model_dump(self) -> dict[str, object]:
        return dict(self.__dict__)


class Tensor:
    """An object like a torch tensor with several numbers, or on a device that failed."""

    ndim, shape = 1, (3,)

    def __init__(self, error: type[Exception] = ValueError) -> None:
        self.error = error

    def numel(self) -> int:
        return 3

    def size(self) -> tuple[int, ...]:
        return self.shape

    def item(self) -> float:
        raise self.error("only one element tensors can be converted to Python scalars")

    def tolist(self) -> list[float]:
        raise self.error("CUDA error: device-side assert triggered")

    def __float__(self) -> float:
        return self.item()

    def __repr__(self) -> str:
        return "tensor([1., 2., 3.], device='cuda:0')"


def holds_itself(kind: str) -> object:
    """Return a container that contains itself."""
    point = Point(1)
    point.y = [point, {"point": point}]
    mapping: UserDict[str, object] = UserDict()
    mapping["self"] = {"again": mapping}
    line: deque[object] = deque([1])
    line.append(line)
    array = numpy.empty(1, dtype=object)
    array[0] = array
    knot: list[object] = [1]
    knot.append(knot)
    loop: dict[str, object] = {}
    loop["self"] = loop
    return {
        "list": knot,
        "dict": loop,
        "dataclass": point,
        "mapping": mapping,
        "deque": line,
        "array": array,
    }[kind]


def chained(*, cause: bool) -> BaseException:
    """Return the first of three exceptions in a cycle, with notes of several types."""
    errors = [
        ValueError("\udc80" * 5_000),
        KeyError(Raising(ValueError)),
        OSError(2, "no\0such", "f" * 50_000),
    ]
    for error, before in zip(errors, [*errors[1:], errors[0]]):
        error.__cause__, error.__context__ = (before, before) if cause else (None, before)
        error.__notes__ = ["note" * 5_000, 7, Raising(ValueError), "\x1b[2J"]  # type: ignore[attr-defined]
    return errors[0]


def group(depth: int, width: int) -> BaseException:
    """Return an exception group of groups, or a similar exception before Python 3.11."""
    kind: Any = getattr(__builtins__, "ExceptionGroup", None) or __builtins__.get("ExceptionGroup")  # type: ignore[attr-defined]
    if kind is None:
        error: Any = ValueError("looks like a group")
        error.exceptions = (ValueError("member"),) * width
        return error  # type: ignore[no-any-return]
    members = [ValueError(f"member {number}") for number in range(width)]
    return kind("group", members if depth == 0 else [group(depth - 1, width) for _ in range(3)])  # type: ignore[no-any-return]


def same_kind(value: object) -> type:
    """A function."""
    return type(value)


def frame_of(rows: int) -> Any:
    """Return a DataFrame."""
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"a": range(rows), "b": ["\u2028 text"] * rows, "c": [None, 1.5] * (rows // 2)})


def of_pandas(name: str, *args: object) -> Any:
    """Return a value of pandas."""
    return getattr(pytest.importorskip("pandas"), name)(*args)


OBJECTS: dict[str, Callable[[], Any]] = {
    "raises RecursionError": lambda: Raising(RecursionError),
    "raises MemoryError": lambda: Raising(MemoryError),
    "raises Exception": lambda: Raising(Exception),
    "raises StopIteration": lambda: Raising(StopIteration),
    "recurses": Recursing,
    "10 MB": lambda: "x" * 10_000_000,
    "10 MB of bytes": lambda: b"\xff" * 10_000_000,
    "10 MB in a list": lambda: ["x" * 10_000_000] * 3,
    "10 MB as a key": lambda: {"x" * 10_000_000: "y" * 10_000_000},
    "lone surrogates": lambda: "\ud800\udfff a \udc80" * 9_000,
    "control characters": lambda: (
        "".join(map(chr, [*range(32), *range(127, 160), 0x2028, 0xFEFF, 0xFFFF])) * 999
    ),
    "wide characters": lambda: "\U0010ffff\U0001f600" * 20_000,
    "NaN": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "huge int": lambda: 10**100_000,
    "negative huge int": lambda: -(2**63) - 1,
    "list in itself": lambda: holds_itself("list"),
    "dict in itself": lambda: holds_itself("dict"),
    "dataclass in itself": lambda: holds_itself("dataclass"),
    "mapping in itself": lambda: holds_itself("mapping"),
    "deque in itself": lambda: holds_itself("deque"),
    "array in itself": lambda: holds_itself("array"),
    "numpy array": lambda: numpy.arange(10**6).reshape(1000, 1000),
    "numpy NaN": lambda: numpy.float32("nan"),
    "numpy complex": lambda: numpy.complex128(1 + 2j),
    "numpy time": lambda: numpy.datetime64("NaT"),
    "numpy record": lambda: numpy.zeros(2, dtype=[("a", "i4"), ("b", "U5")]),
    "numpy void": lambda: numpy.zeros(1, dtype="V8")[0],
    "tensor": Tensor,
    "broken tensor": lambda: Tensor(RuntimeError),
    "DataFrame": lambda: frame_of(1_000),
    "empty DataFrame": lambda: frame_of(0),
    "Series": lambda: frame_of(100)["b"],
    "Timestamp": lambda: of_pandas("Timestamp", "2026-01-02T03:04:05Z"),
    "Timedelta": lambda: of_pandas("Timedelta", 1, "s"),
    "NaT": lambda: pytest.importorskip("pandas").NaT,
    "NA": lambda: pytest.importorskip("pandas").NA,
    "aware": lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    "naive": lambda: datetime.datetime(1, 1, 1),  # noqa: DTZ001  # naive on purpose
    "timedelta": lambda: datetime.timedelta.max,
    "timezone": lambda: datetime.timezone(datetime.timedelta(hours=-23, minutes=-59)),
    "Decimal": lambda: decimal.Decimal("1e9999"),
    "signaling NaN": lambda: decimal.Decimal("sNaN"),
    "Fraction": lambda: fractions.Fraction(10**5_000, 3),
    "Enum": lambda: Level.HIGH,
    "Flag": lambda: Access.READ | Access.WRITE,
    "Path": lambda: pathlib.PurePosixPath("/" + "a\udc80" * 9_000),
    "PathLike that fails": type("P", (), {"__fspath__": Raising._fail, "error": OSError}),
    "UUID": uuid.uuid4,
    "pydantic-like": lambda: Model(name="\ud800", inner=Model(x=[1] * 5_000), password="hunter22"),
    "generator": lambda: (number for number in iter(int, 1)),
    "endless iterator": lambda: iter(lambda: "x", None),
    "exceptions in a circle of causes": lambda: chained(cause=True),
    "exceptions in a circle of contexts": lambda: chained(cause=False),
    "exception that fails": Slotted,
    "exception group": lambda: group(0, 3),
    "deep exception group": lambda: group(7, 1),
    "wide exception group": lambda: group(0, 5_000),
    "type": lambda: type("T" * 5_000, (), {}),
    "module": lambda: sys,
    "function": lambda: same_kind,
    "frame": sys._getframe,
    "memoryview": lambda: memoryview(bytearray(100_000)).cast("H"),
    "ChainMap": lambda: ChainMap({1: 2}, {"a": [1]}),
    "Counter": lambda: Counter("abracadabra"),
    "OrderedDict": lambda: OrderedDict([((1, 2), 3), (None, 4)]),
    "UserList": lambda: UserList([1, [2]]),
    "keys that become one": lambda: {1: "a", "1": "b", 1.5: "d", "1.5": "e", "k" * 200: 1, "k" * 201: 2},
    "key without a hash of its own": lambda: {frozenset([1]): 1, (): 2, "": 3, b"": 4},
    "many keys": lambda: {f"{number}" * 30: "v" * 300 for number in range(3_000)},
    "log record attributes": lambda: {
        "name": 1,
        "msg": 2,
        "args": 3,
        "level": 4,
        "time": 5,
        "iKey": 6,
        "ver": 7,
    },
}


def strict(line: bytes) -> dict[str, Any]:
    """Decode one line as strict JSON: UTF-8, without NaN and repeated names."""

    def reject(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"a name twice: {Counter(names).most_common(1)}"
        return dict(pairs)

    content: dict[str, Any] = json.loads(line.decode("utf-8"), parse_constant=reject, object_pairs_hook=once)
    return content


class Journal:
    """The journal of the test, and the validated records of each call."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory, self.read = directory, 0

    def new(self) -> list[dict[str, Any]]:
        """Return the records since the last call. Each is valid for the strict service, and no fault was counted."""
        data = b"".join(file.read_bytes() for file in sorted(self.directory.glob("*.jsonl")))
        lines, self.read = data[self.read :].splitlines(keepends=True), len(data)
        records = []
        for line in lines:
            assert line.endswith(b"}\n") and len(line) <= 65_536
            envelope = strict(line)
            now = datetime.datetime.now(datetime.timezone.utc)
            assert validate_envelope(envelope, len(line), now) is None
            records.append(envelope["data"]["baseData"])
        assert amllog.status().refused == 0
        return records


@pytest.fixture
def journal(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Journal]:
    """Set amllog up with a journal and a driver log that makes the test fail on errors."""
    amllog.setup(
        capture="logging", directory=tmp_path / "j", connection_string=KEY, exporter="none", level="DEBUG"
    )
    journal = Journal(tmp_path / "j")
    journal.new()
    yield journal
    amllog.shutdown(0)
    capsys.readouterr()  # megabytes


def calls(value: Any) -> dict[str, Callable[[], object]]:
    """Return every call that makes exactly one record, with `value` in one of its arguments."""
    log, plain = amllog.get_logger("odd"), logging.getLogger("plain")
    plain.setLevel(logging.DEBUG)
    for handler in list(logging.getLogger().handlers):
        if type(handler).__module__.startswith("_pytest"):
            logging.getLogger().removeHandler(handler)
    error = value if issubclass(type(value), BaseException) else RuntimeError(value)
    mapping = value if type(value) in (dict, OrderedDict, Counter) else {"a": value}
    strings = {f"key {key[:100]}": value for key, value in mapping.items() if type(key) is str}

    def spanned() -> None:
        with log.span(value, value=value):
            pass

    def bound() -> None:
        with amllog.bound(around=value):
            log.debug("bound")

    def raised(say: Callable[[], object]) -> None:
        try:
            raise error
        except BaseException:
            say()

    return {
        "message": lambda: log.info(value),
        "argument": lambda: log.info("%s", value),
        "arguments that do not fit": lambda: log.info("%d %s", value, value, value),  # noqa: PLE1205  # on purpose
        "mapping as argument": lambda: log.info("m", mapping),  # noqa: PLE1205  # the guide's form
        "value": lambda: log.info("m", value=value, nested={"in": [value, (value,)]}),
        "keys": lambda: log.info("m", **strings),
        "exception": lambda: raised(lambda: log.exception(value, value=value)),  # noqa: LOG004  # called in an except block
        "exc_info": lambda: log.error("m", exc_info=error),
        "odd exc_info": lambda: log.error("m", exc_info=value),
        "extra": lambda: log.info("m", extra={"custom_dimensions": mapping, "x": value}),
        "odd extra": lambda: log.info("m", extra=value),
        "bind": lambda: log.bind(value=value).info("m"),
        "bound": bound,
        "plain message": lambda: plain.info(value),
        "plain argument": lambda: plain.warning("%s %r", "x", value),
        "plain mapping": lambda: plain.info("m", mapping),
        "plain exception": lambda: raised(lambda: plain.exception("m %s", value)),
        "plain extra": lambda: plain.info("m", extra={"value": value, "custom_dimensions": mapping}),
        "plain custom": lambda: plain.info("m", extra={"custom_dimensions": value}),
        "event": lambda: log.event(value, value=value),
        "span": spanned,
        "metric's dimension": lambda: log.metric("m", 1, note=value, **strings),
    }


@pytest.mark.parametrize("kind", OBJECTS)
def test_any_object_in_any_argument(journal: Journal, kind: str) -> None:
    """A call with any object in any argument returns and makes one record."""
    value = OBJECTS[kind]()
    for call_name, call in calls(value).items():
        call()
        records = journal.new()
        assert len(records) == 1, (call_name, str(records)[:2_000])


@pytest.mark.parametrize("kind", OBJECTS)
def test_any_object_as_a_metric(journal: Journal, kind: str) -> None:
    """A call with an invalid metric name, value or step raises and makes no record. Others make records."""
    value, log = OBJECTS[kind](), amllog.get_logger("odd")
    warnings.simplefilter("ignore", AmllogWarning)  # for names that run history shortens
    for call in (
        lambda: log.metric("m", value),
        lambda: log.metrics({"m": value, "n": 1}),
        lambda: log.metric(value, 1),
        lambda: log.metric("m", 1, step=value),
    ):
        try:
            call()
        except (TypeError, ValueError):  # MetricError, or TypeError for an unhashable name
            assert journal.new() == []
        else:
            assert len(journal.new()) in (1, 2)


NUMBERS = (
    st.floats(width=64)
    | st.integers()
    | st.integers(-(2**1100), 2**1100)
    | st.decimals()
    | st.fractions()
    | st.booleans()
    | st.sampled_from(
        [sys.float_info.max, -sys.float_info.max, 2**1023, 2**1024 - 2**970, 2**1024, -(2**63), 2**63]
    )
)
ready = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@ready
@given(value=NUMBERS, step=st.none() | st.integers(-(2**63), 2**63 - 1))
def test_any_number_is_a_metric(journal: Journal, value: Any, step: int | None) -> None:
    """A number within a double is a metric, and NaN, infinity and larger numbers are events with a string."""
    try:
        expected = float(value)
    except OverflowError:
        expected = math.inf
    except ValueError:  # a signaling NaN
        with pytest.raises(MetricError):
            amllog.get_logger("n").metric("m", value)
        return
    amllog.get_logger("n").metric("m", value, step=step)
    (record,) = journal.new()
    if math.isfinite(expected):
        (point,) = record["metrics"]
        assert float(point["value"]) == expected and math.isfinite(point["value"])
    else:
        assert record["name"] == "m" and record["properties"]["value"] and "metrics" not in record


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.uuids()
    | st.decimals() | st.fractions() | st.datetimes() | st.timedeltas() | st.complex_numbers()
    | st.text(st.characters(categories=["Cs", "Cc", "Cn"]))
    | st.sampled_from(["raises Exception", "exception group", "Flag", "tensor"]).map(lambda name: OBJECTS[name]()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.binary() | st.floats(), inner, max_size=4)
        | st.tuples(inner, inner) | inner.map(ValueError) | inner.map(Point)
    ),
    max_leaves=8,
)  # fmt: skip


@ready
@given(value=anything, way=st.integers(0, 21))
def test_generated_objects(journal: Journal, value: Any, way: int) -> None:
    """A call with any object that hypothesis generates makes one record."""

    functions = list(calls(value).values())
    functions[way % len(functions)]()
    assert len(journal.new()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_reach_the_script(journal: Journal, error: type[BaseException]) -> None:
    """An interrupt inside an object's conversion reaches the script, and no partial record is written."""
    log = amllog.get_logger("interrupted")
    for call in (lambda: log.info(Raising(error)), lambda: log.info("m", value=[Raising(error)])):
        with pytest.raises(error):
            call()
    assert journal.new() == []
    log.info("goes on")
    assert [record["message"] for record in journal.new()] == ["goes on"]
