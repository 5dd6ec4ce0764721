"""Any Python object in any place of any call, the whole way: one line of strict JSON within the service's limits."""

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
    """Raises whatever it is asked for."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def _fail(self, *args: object) -> Any:
        raise self.error("no")

    __str__ = __repr__ = __eq__ = __len__ = __iter__ = __bool__ = __float__ = __format__ = _fail
    __hash__ = object.__hash__


class Recursing:
    """Its text needs its text."""

    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


class Slotted(Exception):
    """An exception whose chain and notes fail when they are looked at."""

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
    """An enum of texts."""

    HIGH = "high"


@dataclasses.dataclass
class Point:
    """A dataclass that may hold itself."""

    x: object
    y: object = None


class Model:
    """What a pydantic model looks like."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def __iter__(self) -> Iterator[tuple[str, object]]:
        yield from self.__dict__.items()

    def __repr__(self) -> str:
        return f"Model({', '.join(f'{key}={value!r}' for key, value in self)})"

    def model_dump(self) -> dict[str, object]:
        return dict(self.__dict__)


class Tensor:
    """What a torch tensor looks like: of one number, of many, on a device that is gone."""

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
    """A container that holds itself."""
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
    """Three exceptions in a circle, with notes of every kind."""
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
    """An exception group of groups; before Python 3.11, something that looks like one."""
    kind: Any = getattr(__builtins__, "ExceptionGroup", None) or __builtins__.get("ExceptionGroup")  # type: ignore[attr-defined]
    if kind is None:
        error: Any = ValueError("looks like a group")
        error.exceptions = (ValueError("member"),) * width
        return error  # type: ignore[no-any-return]
    members = [ValueError(f"member {number}") for number in range(width)]
    return kind("group", members if depth == 0 else [group(depth - 1, width) for _ in range(3)])  # type: ignore[no-any-return]


def same_kind(one: object) -> type:
    """A function."""
    return type(one)


def frame_of(rows: int) -> Any:
    """A DataFrame."""
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"a": range(rows), "b": ["\u2028 text"] * rows, "c": [None, 1.5] * (rows // 2)})


def of_pandas(name: str, *args: object) -> Any:
    """A value of pandas."""
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
    "naive": lambda: datetime.datetime(1, 1, 1),  # noqa: DTZ001  # that is what is odd
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
    "generator": lambda: (one for one in iter(int, 1)),
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
    """One line as strict JSON: no NaN, no name twice, nothing but UTF-8."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"a name twice: {Counter(names).most_common(1)}"
        return dict(pairs)

    found: dict[str, Any] = json.loads(line.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
    return found


class Journal:
    """amllog set up with a journal, and the checked records of each call."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory, self.read = directory, 0

    def new(self) -> list[dict[str, Any]]:
        """The records since the last look, each one that the strict service takes; no fault of ours was counted."""
        data = b"".join(file.read_bytes() for file in sorted(self.directory.glob("*.jsonl")))
        lines, self.read = data[self.read :].splitlines(keepends=True), len(data)
        found = []
        for line in lines:
            assert line.endswith(b"}\n") and len(line) <= 65_536
            envelope = strict(line)
            now = datetime.datetime.now(datetime.timezone.utc)
            assert validate_envelope(envelope, len(line), now) is None
            found.append(envelope["data"]["baseData"])
        assert amllog.status().refused == 0
        return found


@pytest.fixture
def journal(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Journal]:
    """A journal, and a driver log that fails a test which makes it fail."""
    amllog.setup(
        capture="logging", directory=tmp_path / "j", connection_string=KEY, exporter="none", level="DEBUG"
    )
    journal = Journal(tmp_path / "j")
    journal.new()
    yield journal
    amllog.shutdown(0)
    capsys.readouterr()  # megabytes


def ways(odd: Any) -> dict[str, Callable[[], object]]:
    """Every call that makes exactly one record, with `odd` in one of its places."""
    log, plain = amllog.get_logger("odd"), logging.getLogger("plain")
    plain.setLevel(logging.DEBUG)
    for handler in list(logging.getLogger().handlers):
        if type(handler).__module__.startswith(
            "_pytest"
        ):  # keeps what it is given, and raises what its text raises
            logging.getLogger().removeHandler(handler)
    error = odd if issubclass(type(odd), BaseException) else RuntimeError(odd)
    mapping = odd if type(odd) in (dict, OrderedDict, Counter) else {"a": odd}
    texts = {f"key {key[:100]}": value for key, value in mapping.items() if type(key) is str}

    def spanned() -> None:
        with log.span(odd, value=odd):
            pass

    def bound() -> None:
        with amllog.bound(around=odd):
            log.debug("bound")

    def raised(say: Callable[[], object]) -> None:
        try:
            raise error
        except BaseException:
            say()

    return {
        "message": lambda: log.info(odd),
        "argument": lambda: log.info("%s", odd),
        "arguments that do not fit": lambda: log.info("%d %s", odd, odd, odd),  # noqa: PLE1205  # that is the point
        "mapping as argument": lambda: log.info("m", mapping),  # noqa: PLE1205  # the guide's form
        "value": lambda: log.info("m", value=odd, nested={"in": [odd, (odd,)]}),
        "keys": lambda: log.info("m", **texts),
        "exception": lambda: raised(lambda: log.exception(odd, value=odd)),  # noqa: LOG004  # it is inside
        "exc_info": lambda: log.error("m", exc_info=error),
        "odd exc_info": lambda: log.error("m", exc_info=odd),
        "extra": lambda: log.info("m", extra={"custom_dimensions": mapping, "x": odd}),
        "odd extra": lambda: log.info("m", extra=odd),
        "bind": lambda: log.bind(value=odd).info("m"),
        "bound": bound,
        "plain message": lambda: plain.info(odd),
        "plain argument": lambda: plain.warning("%s %r", "x", odd),
        "plain mapping": lambda: plain.info("m", mapping),
        "plain exception": lambda: raised(lambda: plain.exception("m %s", odd)),
        "plain extra": lambda: plain.info("m", extra={"value": odd, "custom_dimensions": mapping}),
        "plain custom": lambda: plain.info("m", extra={"custom_dimensions": odd}),
        "event": lambda: log.event(odd, value=odd),
        "span": spanned,
        "metric's dimension": lambda: log.metric("m", 1, note=odd, **texts),
    }


@pytest.mark.parametrize("kind", OBJECTS)
def test_any_object_in_any_place(journal: Journal, kind: str) -> None:
    """Whatever it is and wherever it stands: the call returns, and makes its one record."""
    odd = OBJECTS[kind]()
    for way, call in ways(odd).items():
        call()
        found = journal.new()
        assert len(found) == 1, (way, str(found)[:2_000])


@pytest.mark.parametrize("kind", OBJECTS)
def test_any_object_as_a_metric(journal: Journal, kind: str) -> None:
    """A value is a number or MetricError says that it is none, as a name is a name or none; nothing between."""
    odd, log = OBJECTS[kind](), amllog.get_logger("odd")
    warnings.simplefilter("ignore", AmllogWarning)  # of names that run history cuts
    for call in (lambda: log.metric("m", odd), lambda: log.metrics({"m": odd, "n": 1}), lambda: log.metric(odd, 1),
                 lambda: log.metric("m", 1, step=odd)):  # fmt: skip
        try:
            call()
        except (TypeError, ValueError):  # MetricError is both; Python's own of a name without a hash is one
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
    """Every number that a double can hold is a metric with that value; NaN, infinities and what is beyond a double
    are events that tell the value as a text."""
    try:
        expected = float(value)
    except OverflowError:
        expected = math.inf
    except ValueError:  # a NaN that asks for an error
        with pytest.raises(MetricError):
            amllog.get_logger("n").metric("m", value)
        return
    amllog.get_logger("n").metric("m", value, step=step)
    (found,) = journal.new()
    if math.isfinite(expected):
        (point,) = found["metrics"]
        assert float(point["value"]) == expected and math.isfinite(point["value"])
    else:
        assert found["name"] == "m" and found["properties"]["value"] and "metrics" not in found


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
@given(odd=anything, way=st.integers(0, 21))
def test_anything(journal: Journal, odd: Any, way: int) -> None:
    """The same for what hypothesis thinks of."""
    calls = list(ways(odd).values())
    calls[way % len(calls)]()
    assert len(journal.new()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_stays_one(journal: Journal, error: type[BaseException]) -> None:
    """Ctrl-C and the end of the process come where they please, also inside an object's own text: they go on, nothing
    is half written, and the next call is as ever."""
    log = amllog.get_logger("interrupted")
    for call in (lambda: log.info(Raising(error)), lambda: log.info("m", value=[Raising(error)])):
        with pytest.raises(error):
            call()
    assert journal.new() == []
    log.info("goes on")
    assert [one["message"] for one in journal.new()] == ["goes on"]
