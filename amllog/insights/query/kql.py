"""Write a `Query` as KQL, to be sent, pasted into the portal, or put into an alert rule.

The classic dialect has the tables of an Application Insights resource (`traces`, `customDimensions`). The other one
has those of a Log Analytics workspace (`AppTraces`, `Properties`). Input of a user is only in string literals.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from amllog.insights.query import query as q
from amllog.insights.query.columns import CATALOGUE, DEFAULT_SEVERITIES, LEVEL, SEARCHED
from amllog.insights.query.kql_literals import ago, instant, literal
from amllog.insights.query.tables import TABLES
from amllog.record.line_format import LEVEL_NAMES

# Names of columns in an expression of the catalogue. Strings in quotes and keys after a dot are not names.
_WORD = re.compile(r'"[^"]*"|(?<![.\w])[A-Za-z_]\w*', re.ASCII)


def classic(query: q.Query, *, is_fuzzy: bool = False) -> str:
    """Return the query for the tables of an Application Insights resource.

    `is_fuzzy`: a table that does not exist yet has no rows. Otherwise the service rejects the query.
    """
    return _Writer(workspace=False, is_fuzzy=is_fuzzy).write(query)


def workspace(query: q.Query, *, is_fuzzy: bool = False) -> str:
    """Return the query for the tables of a Log Analytics workspace. `is_fuzzy` as in `classic`."""
    return _Writer(workspace=True, is_fuzzy=is_fuzzy).write(query)


class _Writer:
    """Write one query in one dialect."""

    def __init__(self, *, workspace: bool, is_fuzzy: bool) -> None:
        self._workspace, self._is_fuzzy = workspace, is_fuzzy
        self._tables: tuple[str, ...] = ()
        self._keys: set[str] = set()  # names of columns that are dimensions, chosen by a user

    def write(self, query: q.Query) -> str:
        self._tables = query.tables
        self._keys = {column.key for column in query.columns if isinstance(column, q.Dimension)}
        names = [TABLES[table].workspace if self._workspace else table for table in query.tables]
        tests = (*self._times(query), *map(self._condition, query.conditions))
        lines = [f"| where {test}" for test in tests if test]
        lines.append("| project " + ",\n    ".join(map(self._projected, query.columns)))
        for summary in query.summaries:
            lines += self._summary(summary, is_last=summary is query.summaries[-1])
        if query.order:
            lines.append(f"| order by {', '.join([*map(self._ordered, query.order), *_ties(query)])}")
        if query.limit is not None:
            lines.append(f"| take {query.limit}")
        return "\n".join([self._source(names, lines), *lines])

    def _source(self, names: list[str], lines: list[str]) -> str:
        """Return the first line. If it is fuzzy, an empty table has the columns of tables that do not exist."""
        if not self._is_fuzzy:
            return names[0] if len(names) == 1 else f"union {', '.join(names)}"
        types: dict[str, str] = {}
        for field in (field for table in self._tables for field in TABLES[table].fields):
            name = field.workspace if self._workspace else field.classic
            types[name] = (field.workspace_type if self._workspace else "") or field.type
        used = dict.fromkeys(word for line in lines for word in _WORD.findall(line) if word in types)
        columns = ", ".join(f"{name}: {types[name]}" for name in used)
        return f"union isfuzzy=true (datatable({columns})[]), {', '.join(names)}"

    def _times(self, query: q.Query) -> list[str]:
        time = self._in_dialect("timestamp", query.tables[0])
        tests = []
        if isinstance(query.since, timedelta):
            tests.append(f"{time} >= {ago(query.since)}")
        elif query.since is not None:
            tests.append(f"{time} >= {instant(query.since)}")
        if query.until is not None:
            tests.append(f"{time} < {instant(query.until)}")
        return tests

    def _condition(self, condition: q.Condition) -> str:
        if isinstance(condition, q.Equals):
            return " or ".join(self._equals(column, condition) for column in condition.columns)
        if isinstance(condition, q.Holds):
            return self._flag(condition.column)
        if isinstance(condition, q.AtLeast):
            return self._any_of(lambda table: self._in_dialect(_severe(table, condition.severity), table))
        return self._any_of(lambda table: self._contains(table, condition))

    def _equals(self, column: str | q.Dimension, condition: q.Equals) -> str:
        literals, value = list(map(literal, condition.values)), self._value(column)
        if literals == ['""']:
            return f"{'isnotempty' if condition.negated else 'isempty'}({value})"
        if len(literals) == 1:
            return f"{value} {'!=' if condition.negated else '=='} {literals[0]}"
        return f"{value} {'!in' if condition.negated else 'in'} ({', '.join(literals)})"

    def _any_of(self, test: Callable[[str], str]) -> str:
        """Return a test that differs by table, as a chain of `or`. "" if all rows of all tables pass."""
        tests = {table: test(table) for table in self._tables}
        if len(set(tests.values())) == 1:
            only = tests[self._tables[0]]
            return "" if only == "true" else only
        chain = []
        for table, text in tests.items():
            if text == "true":
                chain.append(self._is(table))
            elif text != "false":
                chain.append(f"{self._is(table)} and {f'({text})' if ' or ' in text else text}")
        if len(chain) == 1:
            return chain[0]
        return " or ".join(f"({part})" if " and " in part else part for part in chain)

    def _flag(self, column: str) -> str:
        """Return a column of type bool as a test."""
        return self._any_of(lambda table: self._in_dialect(CATALOGUE[column].source(table).kql, table))

    def _contains(self, table: str, condition: q.Contains) -> str:
        texts = [self._in_dialect(source.kql, table) for source in SEARCHED[table]]
        wanted = literal(condition.text)
        if not condition.text.isascii():  # `contains` ignores the case of ASCII letters only
            texts, wanted = [f"tolower({text})" for text in texts], f"tolower({wanted})"
        return " or ".join(f"{text} contains {wanted}" for text in texts)

    def _is(self, table: str) -> str:
        names = TABLES[table]
        return f'Type == "{names.workspace}"' if self._workspace else f'itemType == "{names.item_type}"'

    def _projected(self, column: str | q.Dimension | q.Alias) -> str:
        name, value = q.column_name(column), self._value(column)
        return value if name == value else f"{self._named(name)} = {value}"

    def _value(self, column: str | q.Dimension | q.Alias) -> str:
        if isinstance(column, q.Alias):
            column = column.column
        if isinstance(column, q.Dimension):
            bag = self._in_dialect("customDimensions", self._tables[0])
            return f"tostring({bag}[{literal(column.key)}])"
        if column == "itemType":
            return self._item_type()
        if column == LEVEL:
            return self._level()
        known = CATALOGUE[column]
        if known.type == "bool" and not known.only:
            return self._flag(column) or "true"
        tables = [table for table in self._tables if table in known.sources] if known.only else ()
        return self._case(
            {table: self._in_dialect(known.source(table).kql, table) for table in tables or self._tables}
        )

    def _level(self) -> str:
        known = next((table for table in self._tables if table in DEFAULT_SEVERITIES), "")
        arms = [
            f'{self._in_dialect("severityLevel", known)} == {n}, "{name}"'
            for n, name in enumerate(LEVEL_NAMES)
            if known
        ]
        bad = self._flag("is_bad")
        if bad != "false":
            arms.append(f'{bad or "true"}, "ERROR"')
        return f'case({", ".join(arms)}, "INFO")' if arms else '"INFO"'

    def _item_type(self) -> str:
        if not self._workspace:
            return "itemType"
        return self._case({table: f'"{TABLES[table].item_type}"' for table in self._tables})

    def _case(self, texts: dict[str, str]) -> str:
        """Return one expression for all tables. If their expressions differ, it depends on the table of the row."""
        last = max(texts, key=lambda table: list(texts.values()).count(texts[table]))
        arms = [f"{self._is(table)}, {text}" for table, text in texts.items() if text != texts[last]]
        if not arms:
            return texts[last]
        name = "iff" if len(arms) == 1 else "case"
        return f"{name}({', '.join([*arms, texts[last]])})"

    def _in_dialect(self, template: str, table: str) -> str:
        """Return an expression with the column names of the dialect."""
        if not self._workspace:
            return template
        names = {field.classic: field.workspace for field in TABLES[table].fields if field.workspace}
        return _WORD.sub(lambda match: names.get(match.group(), match.group()), template)

    def _summary(self, summary: q.Summary, *, is_last: bool) -> list[str]:
        by = [self._named(q.column_name(column)) for column in summary.by]
        latest = [total.argument for total in summary.totals if total.function == "last"]
        totals = [_total(total) for total in summary.totals if total.function != "last"]
        if latest:
            totals.append(f"arg_max(timestamp, {', '.join(latest)})")
        tail = f" by {', '.join(by)}" if by else ""
        lines = [f"| summarize {', '.join(totals)}{tail}"]
        for state in summary.states if is_last else ():
            cases = ", ".join(f"{test}, {literal(text)}" for test, text in state.cases)
            lines.append(f"| extend {state.name} = case({cases}, {literal(state.otherwise)})")
        states = [state.name for state in summary.states]
        names = [_renamed(total) for total in summary.totals]
        if is_last and (latest or states):
            lines.append(f"| project {', '.join([*by, *states, *names])}")
        return lines

    def _named(self, name: str) -> str:
        """Return a column name. Dimensions are in brackets: KQL has over 150 keywords (kind, last, set)."""
        return f"[{literal(name)}]" if name in self._keys else name

    def _ordered(self, name: str) -> str:
        is_descending = name.startswith("-") and name not in self._keys
        return f"{self._named(name[1:])} desc" if is_descending else f"{self._named(name)} asc"


def _ties(query: q.Query) -> tuple[str, ...]:
    """Return the terms that order records of one instant as they were written, as in SQL.

    A record id ends with a hexadecimal number, so that a longer id is a later one.
    """
    if query.summaries or query.order[0].lstrip("-") != "timestamp" or "dimensions" not in query.columns:
        return ()
    direction = "desc" if query.order[0].startswith("-") else "asc"
    record_id = "tostring(dimensions.record_id)"
    return (f"strlen({record_id}) {direction}", f"{record_id} {direction}")


def _severe(table: str, severity: int) -> str:
    if table not in DEFAULT_SEVERITIES:
        return "false"
    test = f"severityLevel >= {severity}"
    return f"isnull(severityLevel) or {test}" if severity <= DEFAULT_SEVERITIES[table] else test


def _total(total: q.Total) -> str:
    return f"{total.name} = {total.function}({total.argument})"


def _renamed(total: q.Total) -> str:
    return (
        total.name
        if total.function != "last" or total.name == total.argument
        else f"{total.name} = {total.argument}"
    )
