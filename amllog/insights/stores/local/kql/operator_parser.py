"""Parse the operators after the source of a query."""

from __future__ import annotations

from collections.abc import Callable

from amllog.insights.stores.local.kql.annotations import skip_chart, skip_hints
from amllog.insights.stores.local.kql.expression_parser import ExpressionParser
from amllog.insights.stores.local.kql.literals import TYPES
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, nearest, unsupported_operator
from amllog.insights.stores.local.kql.syntax import (
    Expand,
    Expression,
    Join,
    KqlQuery,
    Literal,
    Name,
    NamedExpression,
    Operator,
    Parse,
    RowOperator,
    SortKey,
    Summarize,
    TableName,
    TypeOf,
)
from amllog.insights.stores.local.kql.token_cursor import TokenCursor

UNSUPPORTED = {
    "as", "consume", "evaluate", "execute-and-cache", "externaldata", "facet", "find", "fork", "graph-match",
    "graph-to-table", "invoke", "macro-expand", "make-graph", "make-series", "mv-apply", "parse-kv", "partition",
    "reduce", "sample", "sample-distinct", "scan", "search", "top-hitters", "top-nested",
}  # fmt: skip
_JOINS = {
    "innerunique", "inner", "leftouter", "rightouter", "fullouter", "leftsemi", "rightsemi", "leftanti", "rightanti",
    "anti", "leftantisemi", "rightantisemi",
}  # fmt: skip


class OperatorParser:
    """A parser of operators. `query` parses the queries in them, and `union` the tables of a union."""

    def __init__(
        self,
        cursor: TokenCursor,
        expressions: ExpressionParser,
        query: Callable[[], KqlQuery],
        union: Callable[[], Operator],
    ) -> None:
        self._cursor, self._expressions, self._query = cursor, expressions, query
        self._parsers: dict[str, Callable[[], Operator]] = {
            "where": self._where,
            "filter": self._where,
            "extend": lambda: RowOperator("extend", expressions.items()),
            "project": lambda: RowOperator("project", expressions.items()),
            "project-away": lambda: RowOperator("project-away", patterns=self._patterns()),
            "project-keep": lambda: RowOperator("project-keep", patterns=self._patterns()),
            "project-reorder": lambda: RowOperator("project-reorder", patterns=self._patterns(ordered=True)),
            "project-rename": self._rename,
            "distinct": self._distinct,
            "count": self._count,
            "getschema": lambda: RowOperator("getschema"),
            "take": lambda: RowOperator("take", count=self._number()),
            "limit": lambda: RowOperator("take", count=self._number()),
            "sort": self._sort,
            "order": self._sort,
            "top": self._top,
            "serialize": self._serialize,
            "render": self._render,
            "summarize": self._summarize,
            "union": union,
            "join": lambda: self._join("join", "innerunique"),
            "lookup": lambda: self._join("lookup", "leftouter"),
            "mv-expand": self._expand,
            "mvexpand": self._expand,
            "parse": lambda: self._parse(is_filter=False),
            "parse-where": lambda: self._parse(is_filter=True),
        }

    def operators(self) -> tuple[Operator, ...]:
        """Parse all operators."""
        operators = []
        while self._cursor.take("|"):
            token = self._cursor.step()
            parse = self._parsers.get(token.text) if token.kind == "name" else None
            if parse is None:
                if token.kind == "name" and token.text in UNSUPPORTED:
                    raise unsupported_operator(token.text)
                self._cursor.back()
                raise self._cursor.error("an operator is expected", nearest(token.text, self._parsers))
            operators.append(parse())
        return tuple(operators)

    def _where(self) -> RowOperator:
        return RowOperator("where", (NamedExpression("", self._expressions.expression()),))

    def _count(self) -> RowOperator:
        if not self._cursor.take("as"):
            return RowOperator("count")
        return RowOperator("count", (NamedExpression(self._cursor.name(), Literal("long", 0)),))

    def _number(self) -> int:
        value = self._expressions.signed()
        if not isinstance(value, Literal) or value.type != "long" or value.value is None:
            raise UnsupportedKql("a number of rows that is not a constant whole number")
        if value.value < 0:
            raise InvalidKql("a number of rows below 0")
        return int(value.value)

    def _is_end(self) -> bool:
        return self._cursor.token.kind == "end" or self._cursor.is_at("|", ")", ";", "}")

    def _serialize(self) -> RowOperator:
        if self._is_end():
            return RowOperator("serialize")
        return RowOperator("extend", self._expressions.items())

    def _render(self) -> RowOperator:
        """Parse a chart, which does not change the rows."""
        columns = skip_chart(self._cursor)
        return RowOperator("render", patterns=tuple((name, "") for name in columns))

    def _patterns(self, *, ordered: bool = False) -> tuple[tuple[str, str], ...]:
        patterns = []
        while True:
            quoted = self._cursor.token.kind == "quoted"
            text = self._cursor.name() if quoted else self._cursor.joined()[0]
            if not text:
                raise self._cursor.error("a name is expected")
            order = self._cursor.step().text if ordered and self._cursor.is_at("asc", "desc") else ""
            patterns.append((text, order))
            if not self._cursor.take(","):
                return tuple(patterns)

    def _rename(self) -> RowOperator:
        items = self._expressions.items()
        if not all(item.name and isinstance(item.expression, Name) for item in items):
            raise InvalidKql("project-rename needs new = old")
        return RowOperator("project-rename", items)

    def _distinct(self) -> RowOperator:
        return (
            RowOperator("distinct")
            if self._cursor.take("*")
            else RowOperator("distinct", self._expressions.items())
        )

    def _keys(self) -> tuple[SortKey, ...]:
        keys = []
        while True:
            expression = self._expressions.expression()
            direction = self._cursor.step().text if self._cursor.is_at("asc", "desc") else "desc"
            nulls = "first" if direction == "asc" else "last"
            if self._cursor.take("nulls"):
                if not self._cursor.is_at("first", "last"):
                    raise self._cursor.error("first or last is expected")
                nulls = self._cursor.step().text
            keys.append(SortKey(expression, direction, nulls))
            if not self._cursor.take(","):
                return tuple(keys)

    def _sort(self) -> RowOperator:
        self._cursor.expect("by")
        return RowOperator("sort", keys=self._keys())

    def _top(self) -> RowOperator:
        count = self._number()
        self._cursor.expect("by")
        return RowOperator("top", keys=self._keys(), count=count)

    def _summarize(self) -> Summarize:
        skip_hints(self._cursor, "summarize")
        items = () if self._cursor.is_at("by") else self._expressions.items()
        return Summarize(items, self._expressions.items() if self._cursor.take("by") else ())

    def _join(self, operator: str, kind: str) -> Join:
        skip_hints(self._cursor, operator)
        while self._cursor.token.kind == "name" and self._cursor.is_before("="):
            key = self._cursor.name()
            self._cursor.expect("=")
            value = self._cursor.name()
            skip_hints(self._cursor, operator)
            if key != "kind":
                raise UnsupportedKql(f"{operator} {key}={value}: leave it out")
            kind = value
        if kind not in (_JOINS if operator == "join" else ("leftouter", "inner")):
            raise InvalidKql(f"{operator} kind={kind}")
        if self._cursor.take("("):
            right = self._query()
            self._cursor.expect(")")
        else:
            right = KqlQuery(TableName(self._cursor.name()))
        self._cursor.expect("on")
        keys = [self._expressions.expression()]
        while self._cursor.take(","):
            keys.append(self._expressions.expression())
        return Join(operator, kind, right, tuple(keys))

    def _expand(self) -> Expand:
        kind, index = "bag", ""
        while self._cursor.is_at("bagexpansion", "kind", "with_itemindex") and self._cursor.is_before("="):
            key = self._cursor.name()
            self._cursor.expect("=")
            if key == "with_itemindex":
                index = self._cursor.name()
            else:
                kind = self._cursor.name()
        if kind not in ("bag", "array"):
            raise InvalidKql(f"mv-expand kind={kind}: bag or array")
        targets = [self._target()]
        while self._cursor.take(","):
            targets.append(self._target())
        return Expand(tuple(targets), kind, index, self._number() if self._cursor.take("limit") else None)

    def _target(self) -> tuple[NamedExpression, str]:
        item = self._expressions.item()
        if not (self._cursor.is_at("to") and self._cursor.is_before("typeof")):
            return item, "dynamic"
        self._cursor.step()
        type_ = self._expressions.member()
        if not isinstance(type_, TypeOf):
            raise self._cursor.error("typeof(…) is expected")
        return item, type_.type

    def _parse(self, *, is_filter: bool) -> Parse:
        if self._cursor.is_at("kind", "flags") and self._cursor.is_before("="):
            raise UnsupportedKql("parse with kind= or flags=: use extract()")
        value: Expression = self._expressions.member()
        self._cursor.expect("with")
        parts: list[str | tuple[str, str] | None] = []
        while not self._is_end():
            if self._cursor.token.kind == "string":
                parts.append(str(self._cursor.step().value))
            elif self._cursor.take("*"):
                parts.append(None)
            else:
                name, type_ = self._cursor.name(), "string"
                if self._cursor.take(":"):
                    word = self._cursor.name()
                    if word not in TYPES:
                        raise InvalidKql(f"there is no type {word!r}", code="SYN0002")
                    type_ = TYPES[word]
                parts.append((name, type_))
        return Parse(value, tuple(parts), is_filter)
