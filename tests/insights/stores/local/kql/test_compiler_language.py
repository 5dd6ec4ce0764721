"""What the compiler accepts, Microsoft's language service accepts, with the same names and types.

The service's grammar is more permissive than its engine, so only this direction is tested.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest

from amllog.insights.stores.local.kql.aggregates import AGGREGATES, ROWS
from amllog.insights.stores.local.kql.compiler import Compiled, compile_kql
from amllog.insights.stores.local.kql.function_calls import NAMES
from amllog.insights.stores.local.kql.reasons import KqlError

from .... import language
from .test_annotations import CHARTS, HINTED, REJECTED as ANNOTATIONS
from .test_column_names import NAMES as NAMED
from .test_compiler import ANSWERS, REJECTED
from .test_function_calls import EXAMPLES

pytestmark = pytest.mark.skipif(bool(language.missing()), reason=language.missing() or "available")
# fmt: off
TYPES = {
    "s": "string", "i": "int", "l": "long", "r": "real", "b": "bool", "t": "datetime", "p": "timespan", "g": "guid",
    "d": "dynamic",
}
SOURCE = f"datatable({', '.join(f'{name}: {type_}' for name, type_ in TYPES.items())})[]"
OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "=~",
    "has",
    "contains",
    "startswith",
    "matches regex",
    "and",
)
LISTS = ("in", "!in", "in~", "has_any", "has_all")
FORMS = (
    "sort by {}", "top 1 by {}", "distinct {}", "summarize count() by {}", "where {}", "mv-expand {}",
    "extend y = -{}", "extend y = {}.a", "extend y = {}[0]", f"join kind=inner ({SOURCE}) on {{}}",
    f"lookup ({SOURCE}) on {{}}", "parse {} with 'a' z: long",
)  # fmt: skip
CONSTANTS = ("'x'", "1", "1.5", "1h", "true", "dynamic(['a'])", "'day'")
# The service's engine returns long, and its language service says int (measured with the published examples).
CALENDAR = ("ceiling", "getyear", "monthofyear", "getmonth", "dayofmonth", "dayofyear", "hourofday", "week_of_year",
            "weekofyear", "datetime_part")  # fmt: skip
# Accepted with a warning or another type, as the engine has it.
CONSTANT_ONLY = ("KS234",)  # a constant is not an array
OTHER_TYPES = ("getschema",)
MUTATIONS = (
    "", ",", "(", ")", "[0]", "|", ";", "'", '"', "*", ".", "~", "!", "=", "==", "null", "-1", "1d", "''",
    "typeof(long)", "nulls first", "d[0]", "dynamic(null)", " by ", "$left", "\0", "é", "\n", "asc", "let x = 1;",
)  # fmt: skip


# fmt: on


def matrix() -> Iterator[str]:
    """Yield each function and operator with each combination of types."""
    for name in sorted(NAMES):
        arguments = [pair for n in range(3) for pair in itertools.product(TYPES, repeat=n)]
        arguments += [pair for c in CONSTANTS for t in TYPES for pair in ((t, c), (c, t))]
        arguments += itertools.product(("s", "l", "r", "t", "p", "d", "b", "'day'"), "slrtpd", "slrtpd")
        yield from (f"{SOURCE} | project x = {name}({', '.join(values)})" for values in arguments)
    values = (*TYPES, *CONSTANTS)
    yield from (f"{SOURCE} | project x = {a} {op} {b}" for op in OPERATORS for a in values for b in values)
    yield from (f"{SOURCE} | project x = {a} {op} ({b})" for op in LISTS for a in TYPES for b in values)
    ranges = itertools.product(TYPES, repeat=3)
    yield from (f"{SOURCE} | project x = {a} between ({b} .. {c})" for a, b, c in ranges)
    for name in (*AGGREGATES, *ROWS):
        arguments = [pair for n in range(3) for pair in itertools.product((*TYPES, "50"), repeat=n)]
        yield from (f"{SOURCE} | summarize x = {name}({', '.join(values)})" for values in arguments)
    yield from (f"{SOURCE} | {form.format(name)}" for form in FORMS for name in TYPES)


def compiled(kql: str) -> Compiled | None:
    """Return a compiled query, or None if it is rejected."""
    try:
        return compile_kql(kql, {})
    except KqlError:
        return None


# The combinations of types are compared in this number of tests, which run in parallel. Each of them compares one in
# EVERY, a prime, so that all functions and types are among them. All take some minutes: `TESTS_EVERY=1`.
PARTS = 2
EVERY = int(os.environ.get("TESTS_EVERY", "7"))


def differences(queries: list[str]) -> list[tuple[str, object]]:
    """Return the accepted queries that the service rejects, or of which it has other columns."""
    accepted = {kql: columns for kql in queries for columns in [compiled(kql)] if columns is not None}
    with language.Service() as service:
        results = service([("classic", kql) for kql in accepted])
    different = []
    for (kql, ours), result in zip(accepted.items(), results):
        columns = [list(column) for column in ours.columns.items()]
        if [error for error in result.errors if error[0] not in CONSTANT_ONLY]:
            different.append((kql, result.errors[0]))
        elif columns != result.columns and not any(f"{name}(" in kql for name in CALENDAR):
            different.append((kql, [columns, result.columns]))
    return [(kql, reason) for kql, reason in different if not any(name in kql for name in OTHER_TYPES)]


@pytest.mark.parametrize("part", range(PARTS))
def test_each_function_with_each_type(part: int) -> None:
    """No sampled combination of types is accepted that the service rejects, and the types of results are equal."""
    assert differences([*dict.fromkeys(matrix())][::EVERY][part::PARTS]) == []


def test_the_examples_are_valid() -> None:
    """The examples of these tests are valid for the service, with the same names and types."""
    examples = [f"print x = {kql}" for kql in EXAMPLES]
    fuzzy = [kql for kql in ANSWERS if "isfuzzy" not in kql and "description" not in kql]
    charts = [f"datatable(a: long, b: string)[] | render {chart}" for chart in CHARTS]
    assert differences([*examples, *fuzzy, *NAMED, *HINTED, *charts]) == []


def test_changed_queries() -> None:
    """Queries with changed characters are rejected by both, or equal. The compiler raises no other exception."""
    generator = random.Random(11)
    queries = [
        *(f"print x = {kql}" for kql in EXAMPLES),
        *ANSWERS,
        *NAMED,
        *HINTED,
        *ANNOTATIONS,
        *(kql for kql in REJECTED if len(kql) < 200),
    ]
    changed = []
    for _ in range(3_000):
        kql = generator.choice(queries)
        for _ in range(generator.randint(1, 3)):
            start = generator.randrange(len(kql) + 1)
            other = generator.choice(queries)
            piece = other[generator.randrange(len(other) + 1) :][: generator.randint(0, 12)]
            insert = generator.choice([piece, generator.choice(MUTATIONS)])
            kql = kql[:start] + insert + kql[start + generator.randint(0, 6) :]
        changed.append(kql)
    assert differences([kql for kql in dict.fromkeys(changed) if "isfuzzy" not in kql]) == []
