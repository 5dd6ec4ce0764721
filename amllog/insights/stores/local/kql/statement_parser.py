"""Parse a whole query: its definitions, its sources and its operators."""

from __future__ import annotations

from collections.abc import Iterable

from amllog.insights.stores.local.kql.annotations import skip_hints
from amllog.insights.stores.local.kql.expression_parser import ExpressionParser
from amllog.insights.stores.local.kql.keywords import DECLARED, DEFINED
from amllog.insights.stores.local.kql.literals import TYPES
from amllog.insights.stores.local.kql.operator_parser import UNSUPPORTED, OperatorParser
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, unsupported_operator
from amllog.insights.stores.local.kql.syntax import (
    DataTable,
    Expression,
    Function,
    FunctionCall,
    Invocation,
    KqlQuery,
    Let,
    Print,
    Range,
    Source,
    TableName,
    TableUnion,
    Wildcard,
)
from amllog.insights.stores.local.kql.token_cursor import TokenCursor

_STATEMENTS = ("set", "declare", "alias", "restrict", "pattern")


class StatementParser:
    """A parser of one query. `tables`: the names that are tables."""

    def __init__(self, text: str, tables: Iterable[str]) -> None:
        self._cursor = TokenCursor(text)
        self._tables = set(tables)
        self._functions: dict[str, bool] = {}  # name: whether the function returns a table
        self._expressions = ExpressionParser(self._cursor, self._is_query, self._pipeline)
        self._operators = OperatorParser(self._cursor, self._expressions, self._pipeline, self._union)

    def query(self) -> tuple[tuple[Let, ...], KqlQuery]:
        """Return the definitions and the query."""
        lets = []
        while self._cursor.is_at("let"):
            lets.append(self._let())
            if self._cursor.token.kind != "end":
                self._cursor.expect(";")
        if self._cursor.token.kind == "end":
            text = "a query is expected after the last let" if lets else "the query is empty"
            raise InvalidKql(text, code="SYN0002")
        if self._cursor.is_at(*_STATEMENTS) and self._cursor.peek().kind == "name":
            raise UnsupportedKql(f"the statement {self._cursor.token.text!r}: leave it out")
        body = self._pipeline()
        self._cursor.take(";")
        if self._cursor.token.kind != "end":
            raise self._cursor.error("the end is expected")
        return tuple(lets), body

    def _let(self) -> Let:
        self._cursor.expect("let")
        name = self._cursor.declared(DEFINED)
        self._cursor.expect("=")
        value = self._definition()
        self._functions.pop(name, None)
        self._tables.discard(name)
        if isinstance(value, Function):
            self._functions[name] = isinstance(value.body, KqlQuery)
        elif isinstance(value, KqlQuery):
            self._tables.add(name)
        return Let(name, value)

    def _definition(self) -> Expression | KqlQuery | Function:
        if self._cursor.is_at("view") and self._cursor.is_before("("):
            self._cursor.step()
        if self._cursor.is_at("(") and self._is_function():
            return self._function()
        return self._pipeline() if self._is_query() else self._expressions.expression()

    def _is_function(self) -> bool:
        index, depth = self._cursor.index, 0
        while self._cursor.at(index).kind != "end":
            token = self._cursor.at(index)
            depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "symbol" else 0
            index += 1
            if not depth:
                return self._cursor.at(index).text == "{"
        return False

    def _function(self) -> Function:
        saved_tables, saved_functions = set(self._tables), dict(self._functions)
        self._cursor.expect("(")
        parameters: list[tuple[str, str, Expression | None]] = []
        if not self._cursor.take(")"):
            parameters.append(self._parameter())
            while self._cursor.take(","):
                parameters.append(self._parameter())
            self._cursor.expect(")")
        self._cursor.expect("{")
        lets = []
        while self._cursor.is_at("let"):
            lets.append(self._let())
            self._cursor.expect(";")
        body = self._pipeline() if self._is_query() else self._expressions.expression()
        self._cursor.take(";")
        self._cursor.expect("}")
        self._tables, self._functions = saved_tables, saved_functions
        names = [name for name, _, _ in parameters]
        if len(set(names)) < len(names):
            raise InvalidKql("two parameters have the same name")
        return Function(tuple(parameters), tuple(lets), body)

    def _parameter(self) -> tuple[str, str, Expression | None]:
        name = self._cursor.name()
        self._cursor.expect(":")
        if self._cursor.is_at("("):
            raise UnsupportedKql("functions with a table as a parameter")
        type_ = self._type()
        self._tables.discard(name)
        return name, type_, self._expressions.expression() if self._cursor.take("=") else None

    def _type(self) -> str:
        word = self._cursor.token.text
        if word not in TYPES:
            raise self._cursor.error("a type is expected")
        self._cursor.step()
        if TYPES[word] == "decimal":
            raise UnsupportedKql("the type decimal")
        return TYPES[word]

    def _is_query(self) -> bool:
        """Return whether a query begins here, and not an expression."""
        index = self._cursor.index
        while self._cursor.at(index).text == "(" and self._cursor.at(index).kind == "symbol":
            index += 1
        token, after = self._cursor.at(index), self._cursor.at(index + 1)
        if token.kind == "quoted":
            return str(token.value) in self._tables
        if token.kind != "name":
            return False
        is_call = after.kind == "symbol" and after.text == "("
        if token.text in ("print", "union", "search", "find") and not is_call:
            return after.kind != "symbol" or after.text in ("*", "-")
        if token.text == "range" and not is_call:
            return after.kind in ("name", "quoted")
        if token.text in ("print", "union", "datatable", "externaldata", "materialize"):
            return is_call
        if is_call:
            return self._functions.get(token.text, False)
        return token.text in self._tables or (after.kind == "symbol" and after.text == "|")

    def _pipeline(self) -> KqlQuery:
        with self._cursor.nested():
            source = self._source()
            operators = self._operators.operators()
            return source if isinstance(source, KqlQuery) and not operators else KqlQuery(source, operators)

    def _source(self) -> Source | KqlQuery:
        if self._cursor.take("("):
            return self._closed_pipeline()
        token, is_call = self._cursor.token, self._cursor.is_before("(")
        if token.kind not in ("name", "quoted"):
            raise self._cursor.error("a table is expected")
        if token.kind == "name":
            if token.text == "print":
                self._cursor.step()
                return Print(self._expressions.items())
            if token.text == "datatable" and is_call:
                return self._data_table()
            if token.text == "range" and self._cursor.peek().kind in ("name", "quoted"):
                return self._range()
            if token.text == "union":
                self._cursor.step()
                return self._union()
            if token.text == "materialize" and is_call:
                self._cursor.step()
                self._cursor.step()
                return self._closed_pipeline()
            if token.text in UNSUPPORTED and not self._cursor.is_before("|", ";", ")", ","):
                raise unsupported_operator(token.text)
        name = self._cursor.name()
        if token.kind == "name" and is_call:
            return self._invocation(name)
        if self._cursor.is_at("."):
            raise UnsupportedKql("tables of other databases")
        return TableName(name)

    def _closed_pipeline(self) -> KqlQuery:
        query = self._pipeline()
        self._cursor.expect(")")
        return query

    def _invocation(self, name: str) -> Invocation:
        call = self._expressions.call(name)
        if not isinstance(call, FunctionCall) or self._cursor.is_at("."):
            raise UnsupportedKql(f"{name}() as a table")
        return Invocation(call)

    def _data_table(self) -> DataTable:
        self._cursor.step()
        self._cursor.expect("(")
        columns: list[tuple[str, str]] = []
        while not self._cursor.is_at(")") or not columns:
            name = self._cursor.declared(DECLARED - {"by"})
            self._cursor.expect(":")
            columns.append((name, self._type()))
            if not self._cursor.is_at(")"):
                self._cursor.expect(",")
        self._cursor.expect(")")
        self._cursor.expect("[")
        values = []
        while not self._cursor.is_at("]"):
            values.append(self._expressions.literal())
            if not self._cursor.is_at("]"):
                self._cursor.expect(",")
        self._cursor.expect("]")
        return DataTable(tuple(columns), tuple(values))

    def _range(self) -> Range:
        self._cursor.step()
        name, values = self._cursor.declared(DEFINED), []
        for word in ("from", "to", "step"):
            self._cursor.expect(word)
            values.append(self._expressions.expression())
        return Range(name, *values)

    def _union(self) -> TableUnion:
        kind, source_column, is_fuzzy = "outer", "", False
        skip_hints(self._cursor, "union")
        while self._cursor.token.kind == "name" and self._cursor.is_before("="):
            key = self._cursor.name()
            self._cursor.expect("=")
            value = self._cursor.name()
            skip_hints(self._cursor, "union")
            if key == "kind" and value in ("inner", "outer"):
                kind = value
            elif key in ("withsource", "with_source"):
                source_column = value
            elif key == "isfuzzy" and value in ("true", "false"):
                is_fuzzy = value == "true"
            else:
                raise UnsupportedKql(f"union {key}={value}")
        parts = [self._part()]
        while self._cursor.take(","):
            parts.append(self._part())
        return TableUnion(kind, source_column, is_fuzzy, tuple(parts))

    def _part(self) -> Source | KqlQuery:
        if self._cursor.take("("):
            return self._closed_pipeline()
        if self._cursor.token.kind == "quoted" or self._cursor.is_before("("):
            return self._source()
        text, is_pattern = self._cursor.joined()
        if not text:
            raise self._cursor.error("a table is expected")
        return Wildcard(text) if is_pattern else TableName(text)
