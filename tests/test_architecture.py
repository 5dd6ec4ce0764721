"""The house rules, checked: who may import whom and touch what, how large things get.

The order of rooms and their third-party packages stand in docs/map.md, and nowhere else. Where a figure would make
a room worse, the room wins: it stands in LARGER with its reason.
"""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import io
import re
import statistics
import sys
import tokenize
from collections import Counter
from pathlib import Path

import pytest

HOUSE = Path(importlib.util.find_spec("amllog").origin).parent
TESTS = Path(__file__).parent
MAP = (TESTS.parent / "docs" / "map.md").read_text(encoding="utf-8")
ROOMS = {  # from the first to the last: which third-party packages each may touch
    "amllog." + name.rstrip("/").replace("/", "."): set(re.findall(r"\w+", packages))
    for name, packages in re.findall(r"^\| `([\w/]+)` \|[^|]*\|([^|\n]*)\|$", MAP, re.MULTILINE)
}
DOORS = {"amllog.__init__", "amllog.__main__"}
MAX_MODULE, MEDIAN_MODULE, MAX_BODY, P95_BODY = 260, 140, 50, 30
LARGER = {
    "amllog.config.settings": (285, "a third of it is the one table of settings"),
    "amllog.session.session": (
        305,
        "setup() and shutdown() as transactions over everything that it composes",
    ),
    "amllog.sources.emitter": (290, "the one way into the journal, with the records that wait for setup()"),
}
GUARDS = {  # where an except may take everything: how many, and whom it guards against
    "text": (3, "a value's own methods"),
    "stacks": (2, "an exception's own methods"),
    "calls": (1, "a message's own arguments"),
    "intake": (5, "our own faults, at each entry that the step's code calls"),
    "whereabouts": (1, "azureml, which may not stop setup()"),
    "run": (1, "azureml, when something is read from it"),
    "attempt": (1, "azureml at setup(): carried to the thread that waits"),
    "delivery": (1, "an outlet: what it was offered waits"),
    "importing": (1, "a stdout that raises"),
    "orphans": (1, "a file of another process: it is reported, and the others are sent"),
    "courier": (3, "any fault of the delivery thread: it is reported, and the thread continues"),
    "interrupts": (2, "exceptions of signal handlers: they are raised again"),
    "forks": (2, "exceptions of signal handlers: they are raised again"),
    "capture": (2, "exceptions of signal handlers: they are raised again"),
    "worker_thread": (1, "a system that has no thread left: it is asked again"),
    "present": (1, "a package's own import, in doctor: the check says what it raised"),
    "outlets": (
        6,
        "stdout, a telemetry processor, OpenCensus, azureml, mlflow: the verdict says what failed",
    ),
}
ANSWERS = {"amllog.record.text.number"}  # nothing is lost: that the value is no number is the answer
POWERS = {  # what only these rooms may do
    r"\bThread\(|\bTimer\(|Executor\(|start_new_thread": {"attempt", "interrupts", "worker_thread", "local"},
    r"\bos\.(environ|getenv|putenv)\b": {"api", "session", "present", "testing", "insights"},
    r"\batexit\.|\bregister_at_fork\b|\bsys\.(unraisable)?excepthook = ": {
        "process",
        "forks",
        "intake",
        "insights",
    },
    r"\bsignal\.signal\b": {"process", "interrupts", "local"},
    r"\bsubprocess\b": {"present"},
}
# Where an except or suppress may take an exception of a signal handler: code that the main thread does not run, or
# runs in commands of ours only.
OTHER_THREADS = {
    "answer_body", "attempt", "courier", "deferral", "delivery", "insights", "leftovers", "local", "orphans",
    "outlets.app_insights", "outlets.deadline", "outlets.ingestion", "outlets.opentelemetry", "outlets.run_metrics",
    "outlets.sockets", "present",
}  # fmt: skip
# Functions with `with` on a lock that the main thread does not run, that `call_releasing` calls, or whose lock is the
# standard library's own Python code.
UNDECORATED = {"api._begin", "insights.pace.turn", "worker_thread._leave", "worker_thread._live"}
# Kinds that no handler raises to tell the script something: what is excepted is that one operation of the `try`.
NARROW = {
    "BlockingIOError", "FileExistsError", "FileNotFoundError", "GeneratorExit", "ImportError", "IndexError",
    "JSONDecodeError", "ModuleNotFoundError", "NoFile", "NotADirectoryError", "OverflowError", "PermissionError",
    "ProcessLookupError", "UnicodeEncodeError",
}  # fmt: skip
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_declared(node: ast.AST) -> bool:
    """Whether it is declared only (a protocol's member, an overload) or a property's setter: told elsewhere."""
    setter = any(ast.unparse(one).endswith(".setter") for one in node.decorator_list)
    return setter or ast.unparse(node.body) == "..."


class Module:
    """One file of the house, read."""

    def __init__(self, path: Path) -> None:
        self.name = ".".join((HOUSE.name, *path.relative_to(HOUSE).with_suffix("").parts))
        self.text = path.read_text(encoding="utf-8")
        self.lines = len(self.text.splitlines())
        self.tree = ast.parse(self.text)
        self.nodes = list(ast.walk(self.tree))
        self.functions = [node for node in self.nodes if isinstance(node, Function)]
        rows = [row for row in ROOMS if f"{self.name}.".startswith(f"{row}.")]
        self.room = max(rows, key=len, default="")

    def imports(self) -> set[str]:
        """Every module that is imported anywhere in this one: ours by their full name, others by their first."""
        found = {alias.name for node in self.nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return {self.ours(name) or name.partition(".")[0] for name in found}

    @staticmethod
    def ours(name: str) -> str | None:
        """The module of the house where an imported name stands."""
        tries = (name, f"{name}.__init__", name.rpartition(".")[0], name.rpartition(".")[0] + ".__init__")
        return next((one for one in tries if one in NAMES), None)

    def code(self) -> str:
        """The text without comments and docstrings."""
        kept = ast.parse(self.text)
        for node in ast.walk(kept):
            if isinstance(node, (ast.Module, ast.ClassDef, *Function)) and ast.get_docstring(node):
                node.body[0] = ast.Pass()
        return ast.unparse(kept)

    def undocumented(self) -> list[str]:
        """Public classes, functions and methods without a docstring."""
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        parts = [node for owner in (self.tree, *classes) for node in owner.body]
        named = [
            node for node in parts if isinstance(node, (ast.ClassDef, *Function)) and node.name[0] != "_"
        ]
        return [node.name for node in named if not ast.get_docstring(node) and not is_declared(node)]


ALL = [Module(path) for path in sorted(HOUSE.rglob("*.py"))]
NAMES = {module.name: module for module in ALL}


def lines_of(function: ast.FunctionDef) -> int:
    """Lines of a function after its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def takes_everything(node: ast.AST) -> bool:
    """Whether it is an except for every error that does not raise it again."""
    if not isinstance(node, ast.ExceptHandler) or isinstance(node.body[-1], ast.Raise):
        return False
    return node.type is None or bool(re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))


def test_every_module_is_on_the_map() -> None:
    """Each module with anything in it belongs to a room of docs/map.md, and each room exists."""
    furnished = {m.name: m.room for m in ALL if len(m.tree.body) > 1}
    assert [name for name, room in furnished.items() if not room and name not in DOORS] == []
    assert [room for room in ROOMS if room not in furnished.values()] == []


def test_imports_go_one_way() -> None:
    """A room imports rooms above it on the map, never below, and never the front door."""
    order = [*ROOMS, ""]
    steps = [(m, NAMES[name]) for m in ALL if m.room for name in m.imports() & NAMES.keys()]
    down = [(m, n) for m, n in steps if order.index(n.room) > order.index(m.room)]
    assert [f"{m.name} imports {n.name}" for m, n in down if n.room or n.name in DOORS] == []


def test_no_cycles() -> None:
    """No module imports itself by a detour."""
    graph = {m.name: m.imports() & NAMES.keys() for m in ALL}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(ALL)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the standard library's list of names came with 3.10")
def test_third_party_packages_stay_in_their_rooms() -> None:
    """What is not of the standard library is imported in the rooms that the map gives it, and nowhere else."""
    known = {"__future__", "typing_extensions", *sys.stdlib_module_names, *NAMES}
    strange = [(m, name) for m in ALL for name in m.imports() - known]
    assert [f"{m.name} imports {name}" for m, name in strange if name not in ROOMS.get(m.room, ())] == []


def test_powers_stay_in_their_rooms() -> None:
    """Threads, the environment, hooks of the process: each in the hands of few."""
    codes = {m.name: m.code() for m in ALL}
    used = [(name, power) for name, code in codes.items() for power in POWERS if re.search(power, code)]
    assert [(name, power) for name, power in used if name.split(".")[1] not in POWERS[power]] == []


def test_sizes() -> None:
    """Modules and functions stay small enough to be read at once, and most are much smaller."""
    assert {m.name: m.lines for m in ALL if m.lines > LARGER.get(m.name, (MAX_MODULE,))[0]} == {}
    assert statistics.median(m.lines for m in ALL) <= MEDIAN_MODULE
    bodies = {f"{m.name}.{f.name}:{f.lineno}": lines_of(f) for m in ALL for f in m.functions}
    assert {name: lines for name, lines in bodies.items() if lines > MAX_BODY} == {}
    assert sorted(bodies.values())[len(bodies) * 95 // 100] <= P95_BODY


def test_everything_says_what_it_is_for() -> None:
    """Every module with code and every public name has a docstring, every function its return type."""
    assert [m.name for m in ALL if m.tree.body and not ast.get_docstring(m.tree)] == []
    assert [f"{m.name}.{name}" for m in ALL for name in m.undocumented()] == []
    assert [f"{m.name}.{f.name}" for m in ALL for f in m.functions if not f.returns] == []


def test_no_global_statement() -> None:
    """What is global is one attribute of one object in session."""
    assert [m.name for m in ALL for node in m.nodes if isinstance(node, ast.Global)] == []


def test_broad_excepts_are_guards_and_never_silent() -> None:
    """An except that takes everything stands in a guard that we know, and says or counts what it caught."""
    inside = {node: f"{m.name}.{f.name}" for m in ALL for f in m.functions for node in ast.walk(f)}
    broad = {node: name for node, name in inside.items() if takes_everything(node)}
    found = Counter(name.split(".")[1] for name in broad.values())
    assert {room: count for room, count in found.items() if count > GUARDS.get(room, (0, ""))[0]} == {}
    silent = {
        name for node, name in broad.items() if not any(isinstance(n, ast.Call) for n in ast.walk(node))
    }
    assert silent - ANSWERS == set()
    assert [m.name for m in ALL if re.search(r"suppress\((Base)?Exception", m.text)] == []


def test_no_except_takes_a_signal() -> None:
    """In the script's threads, what a signal handler raises passes every except and every suppress."""
    rooms = [m for m in ALL if not any(f"{m.name}.".startswith(f"amllog.{one}.") for one in OTHER_THREADS)]
    excepts = [(m, node) for m in rooms for node in m.nodes if isinstance(node, ast.ExceptHandler)]
    taking = [
        f"{m.name}:{node.lineno}"
        for m, node in excepts
        if node.type is None or set(re.findall(r"\w+", ast.unparse(node.type))) - NARROW
        if not re.search(
            r"is_from_signal|pass_on|origin\(|raise_later|self\._(fault|keep)\(", ast.unparse(node.body)
        )
        if ast.unparse(node.body[-1]) != "raise"
    ]
    assert taking == []
    assert [m.name for m in ALL if re.search("contextlib import .*suppress", m.text)] == []
    allowed = {m.name for m in ALL if m not in rooms} - {
        "amllog.delivery.worker",
        "amllog.sources.capture.azureml_metrics",
    }
    assert [m.name for m in ALL if "contextlib.suppress(" in m.text and m.name not in allowed] == []


def test_locks_are_released_on_every_python() -> None:
    """Each function of the script's threads with `with` on a lock of ours is decorated, or called by call_releasing."""
    form = re.compile(r"(?:self\.)?(\w+) = threading\.(?:R?Lock|Condition|(?:Bounded)?Semaphore)\(")
    locks = {m: set(form.findall(m.text)) for m in ALL}
    bare = set()
    for module, function in ((m, f) for m in ALL for f in m.functions):
        items = [one for node in ast.walk(function) if isinstance(node, ast.With) for one in node.items]
        held = {ast.unparse(one.context_expr).removeprefix("self.") for one in items} & locks[module]
        decorated = {ast.unparse(one) for one in function.decorator_list}
        if any(f"releasing({name!r})" not in decorated for name in held):
            bare.add(f"{module.name.removeprefix('amllog.')}.{function.name}")
    assert {name for name in bare if not name.startswith("local.")} == UNDECORATED
    assert [m.name for m in ALL if ".acquire(" in m.code()] == []


def test_ignore_comments_have_a_code_and_a_reason() -> None:
    """`# noqa: CODE  why` and `# type: ignore[code]  why`, at most two in a thousand lines."""
    tokens = [(m.name, t) for m in ALL for t in tokenize.generate_tokens(io.StringIO(m.text).readline)]
    comments = [(name, token.string) for name, token in tokens if token.type == tokenize.COMMENT]
    ignores = [pair for pair in comments if re.search("noqa|type: ignore|pragma", pair[1])]
    form = re.compile(r"# (noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\]|pragma: no cover)\W+\w.*")
    assert [pair for pair in ignores if not form.fullmatch(pair[1])] == []
    assert len(ignores) <= 2 * sum(m.lines for m in ALL) / 1000
