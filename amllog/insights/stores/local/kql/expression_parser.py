"""Parse expressions of KQL."""

from __future__ import annotations

from collections.abc import Callable

from amllog.insights.stores.local.kql.keywords import DECLARED, REFERENCED, need_no_keyword
from amllog.insights.stores.local.kql.literals import TYPES, parse_literal
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.syntax import (
    Between,
    Binary,
    Expression,
    FunctionCall,
    KqlQuery,
    Literal,
    Member,
    Membership,
    Name,
    NamedExpression,
    Negative,
    Star,
    ToScalar,
    TypeOf,
)
from amllog.insights.stores.local.kql.token_cursor import TokenCursor

_TEXT_TESTS = ("has", "contains", "startswith", "endswith", "hasprefix", "hassuffix")
_TESTS = {f"{sign}{name}{case}" for name in _TEXT_TESTS for sign in ("", "!") for case in ("", "_cs")}
_COMPARISONS = {"==", "!=", "<>", "<", "<=", ">", ">=", "=~", "!~", *_TESTS}
_MEMBERSHIPS = {"in", "!in", "in~", "!in~", "has_any", "has_all"}
_LONG_MAX = 2**63


class ExpressionParser:
    """A parser of expressions. `is_query` and `query` parse the queries in them."""

    def __init__(
        self, cursor: TokenCursor, is_query: Callable[[], bool], query: Callable[[], KqlQuery]
    ) -> None:
        self._cursor, self._is_query, self._query = cursor, is_query, query

    def expression(self) -> Expression:
        """Parse an expression."""
        with self._cursor.nested():
            left = self._conjunction()
            while self._cursor.take("or"):
                left = Binary("or", left, self._conjunction())
            return left

    def items(self) -> tuple[NamedExpression, ...]:
        """Parse expressions with optional names, which commas separate."""
        items = [self.item()]
        while self._cursor.take(","):
            items.append(self.item())
        return tuple(items)

    def item(self) -> NamedExpression:
        """Parse an expression with an optional name."""
        if self._cursor.token.kind in ("name", "quoted") and self._cursor.is_before("="):
            name = self._cursor.declared(DECLARED)
            self._cursor.expect("=")
            return NamedExpression(name, self.expression())
        return NamedExpression("", self.expression())

    def _conjunction(self) -> Expression:
        left = self._comparison()
        while self._cursor.take("and"):
            left = Binary("and", left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        left = self._sum()
        word = self._word()
        if word == "matches":
            self._cursor.step()
            self._cursor.expect("regex")
            return self._last(Binary("matches regex", left, self._sum()))
        if word in _COMPARISONS:
            self._cursor.step()
            return self._last(Binary("!=" if word == "<>" else word, left, self._sum()))
        if word in _MEMBERSHIPS:
            self._cursor.step()
            self._cursor.expect("(")
            return self._last(Membership(word, left, self._members()))
        if word in ("between", "!between"):
            self._cursor.step()
            self._cursor.expect("(")
            low = self._sum()
            self._cursor.expect("..")
            high = self._sum()
            self._cursor.expect(")")
            return self._last(Between(left, low, high, word[0] == "!"))
        return left

    def _word(self) -> str:
        return self._cursor.token.text if self._cursor.token.kind in ("name", "symbol") else ""

    def _last(self, comparison: Expression) -> Expression:
        """Return a comparison. Raises UnsupportedKql if another one follows."""
        if self._word() in (_COMPARISONS | _MEMBERSHIPS | {"matches", "between", "!between"}):
            raise UnsupportedKql("two comparisons without brackets: write (a == b) == c")
        return comparison

    def _members(self) -> tuple[Expression, ...] | KqlQuery:
        if self._is_query():
            query = self._query()
            self._cursor.expect(")")
            return query
        return self._arguments()

    def _arguments(self) -> tuple[Expression, ...]:
        """Parse the arguments up to the closing bracket."""
        if self._cursor.take(")"):
            return ()
        arguments = [self.expression()]
        while self._cursor.take(","):
            arguments.append(self.expression())
        self._cursor.expect(")")
        return tuple(arguments)

    def _sum(self) -> Expression:
        left = self._product()
        while self._cursor.is_at("+", "-"):
            operator = self._cursor.step().text
            left = Binary(operator, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self.signed()
        while self._cursor.is_at("*", "/", "%"):
            operator = self._cursor.step().text
            left = Binary(operator, left, self.signed())
        return left

    def signed(self) -> Expression:
        """Parse an expression with an optional sign."""
        if not self._cursor.is_at("+", "-"):
            return self.member()
        operator = self._cursor.step().text
        argument = self.member()
        if operator == "+":
            raise UnsupportedKql("the sign + before a value: leave it out")
        is_number = isinstance(argument, Literal) and argument.type in ("long", "real", "timespan")
        if isinstance(argument, Literal) and is_number and argument.value is not None:
            return Literal(argument.type, -argument.value)
        return Negative(argument)

    def literal(self) -> Expression:
        """Parse a literal, the only form of a value in datatable."""
        literals = ("string", "long", "real", "timespan", "literal")
        if self._cursor.is_at("-") and self._cursor.peek().kind in ("long", "real", "timespan"):
            return self.signed()
        if self._cursor.token.kind in literals or self._cursor.is_at("true", "false"):
            return self._primary()
        raise self._cursor.error("a literal is expected")

    def member(self) -> Expression:
        """Parse a value with its members."""
        value = self._primary()
        for _ in range(64):
            if self._cursor.take("."):
                value = Member(value, self._cursor.name())
            elif self._cursor.take("["):
                key = self.expression()
                self._cursor.expect("]")
                is_text = isinstance(key, Literal) and key.type == "string"
                value = Member(value, str(key.value) if isinstance(key, Literal) and is_text else key)
            else:
                return value
        raise UnsupportedKql("more than 64 members in a path")

    def _primary(self) -> Expression:
        token = self._cursor.token
        if token.kind == "string":
            return self._string()
        if token.kind in ("long", "real", "timespan", "literal"):
            return self._number()
        if self._cursor.take("("):
            value = self.expression()
            self._cursor.expect(")")
            return value
        if self._cursor.take("*"):
            return Star()
        if token.kind not in ("name", "quoted"):
            raise self._cursor.error("an expression is expected")
        self._cursor.step()
        if token.kind == "quoted":
            return Name(str(token.value))
        if token.text in ("true", "false"):
            return Literal("bool", token.text == "true")
        if self._cursor.is_at("("):
            return self.call(token.text)
        return Name(need_no_keyword(token.text, REFERENCED))

    def _string(self) -> Literal:
        text = str(self._cursor.step().value)
        if self._cursor.token.kind == "string":
            raise UnsupportedKql("two string literals without an operator: use strcat()")
        if "\0" in text:
            raise InvalidKql("the query contains a NUL character")
        return Literal("string", text)

    def _number(self) -> Literal:
        token = self._cursor.step()
        if token.kind == "literal":
            type_ = TYPES[token.text]
            return Literal(type_, parse_literal(type_, str(token.value)))
        if token.kind in ("long", "timespan") and isinstance(token.value, int) and token.value >= _LONG_MAX:
            raise InvalidKql(f"{token.text} does not fit into 64 bits", code="SYN0002")
        return Literal(token.kind, token.value)

    def call(self, name: str) -> Expression:
        """Parse the arguments of a call, whose opening bracket is the present token."""
        self._cursor.expect("(")
        if name == "typeof":
            type_ = self._cursor.name()
            self._cursor.expect(")")
            if type_ not in TYPES:
                raise InvalidKql(f"there is no type {type_!r}", code="SYN0002")
            return TypeOf(TYPES[type_])
        if name == "toscalar":
            if not self._is_query():
                raise UnsupportedKql("toscalar() of an expression")
            query = self._query()
            self._cursor.expect(")")
            return ToScalar(query)
        return FunctionCall(name, self._arguments())
