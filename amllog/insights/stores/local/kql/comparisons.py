"""Compile the operators between two values, by their types. Source: the reference of KQL, scalar operators."""

from __future__ import annotations

import re

from amllog.insights.stores.local.kql.conversions import converted
from amllog.insights.stores.local.kql.function_rows import fill, pattern
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import NUMBERS, ORDERED, TypedSql, text_sql, to_text, widen

_DEFAULT = {"==": "false", "!=": "true"}
_MODULO = "((({0} % nullif({1}, 0)) + abs({1})) % nullif(abs({1}), 0))"
_NULL_AWARE = "CASE WHEN {{0}} IS NULL AND {{1}} IS NULL THEN NULL ELSE coalesce({{0}} {} {{1}}, {}) END"
_BOOL_OF_TEXT = (
    "CASE {} WHEN 'True' THEN true WHEN 'False' THEN false WHEN '' THEN NULL "
    "ELSE error('kql: a text other than True and False is compared with a bool') END"
)


def arithmetic(operator: str, left: TypedSql, right: TypedSql) -> TypedSql:
    """Compile +, -, *, / and %."""
    types = (left.type, right.type)
    if left.type in NUMBERS and right.type in NUMBERS:
        return _numbers(operator, left, right)
    if "timespan" in types and (types == ("timespan",) * 2 or {*types} & {*NUMBERS}):
        sql, type_ = _spans(operator, left, right)
        if sql:
            return TypedSql(sql, type_)
    if operator in "+-" and types == ("datetime", "timespan"):
        return TypedSql(f"({left.sql} {operator} to_microseconds({right.sql} // 10))", "datetime")
    if operator == "+" and types == ("timespan", "datetime"):
        return arithmetic("+", right, left)
    if operator == "-" and types == ("datetime", "datetime"):
        return TypedSql(f"((epoch_us({left.sql}) - epoch_us({right.sql})) * 10)", "timespan")
    raise InvalidKql(f"{operator!r} of {left.type} and {right.type}{_advice(left, right)}")


def _numbers(operator: str, left: TypedSql, right: TypedSql) -> TypedSql:
    if "real" in (left.type, right.type):
        if operator == "%":
            raise UnsupportedKql("'%' of real numbers")
        return TypedSql(f"({widen(left, 'real')} {operator} {widen(right, 'real')})", "real")
    first, second = (TypedSql(widen(value, "long"), "long") for value in (left, right))
    if operator == "/":
        return TypedSql(f"({first.sql} // nullif({second.sql}, 0))", "long")
    if operator == "%":
        return TypedSql(fill(_MODULO, [first, second]), "long")
    return TypedSql(f"({first.sql} {operator} {second.sql})", "long")


def _spans(operator: str, left: TypedSql, right: TypedSql) -> tuple[str, str]:
    """Return the SQL and the type of an operator on a duration. "" if there is none."""
    if left.type == right.type:
        if operator in "+-":
            return f"({left.sql} {operator} {right.sql})", "timespan"
        if operator == "/":
            return f"(CAST({left.sql} AS DOUBLE) / CAST({right.sql} AS DOUBLE))", "real"
        return (fill(_MODULO, [left, right]), "timespan") if operator == "%" else ("", "")
    if operator == "*" and right.type == "timespan":
        left, right = right, left
    if right.type == "timespan" or operator not in ("*", "/"):
        return "", ""
    if right.type == "real":
        return f"CAST(trunc({left.sql} {operator} {right.sql}) AS BIGINT)", "timespan"
    number = widen(right, "long")
    return (
        f"({left.sql} * {number})" if operator == "*" else f"({left.sql} // nullif({number}, 0))"
    ), "timespan"


def compare(operator: str, left: TypedSql, right: TypedSql) -> TypedSql:
    """Compile a comparison, or an operator on text."""
    if operator in ("==", "!="):
        return _equality(operator, left, right)
    if operator in ("<", "<=", ">", ">="):
        return _ordering(operator, left, right)
    for value in (left, right):
        if value.type not in ("string", "dynamic"):
            raise InvalidKql(f"{operator!r} needs text and not {value.type}: convert it, as in tostring(…)")
    if right.type == "dynamic":
        raise UnsupportedKql(f"{operator!r} with a dynamic value on the right: convert it, as in tostring(…)")
    return TypedSql(_text_operator(operator, to_text(left), right), "bool")


def _advice(left: TypedSql, right: TypedSql) -> str:
    if "dynamic" in (left.type, right.type):
        other = right.type if left.type == "dynamic" else left.type
        return f": convert the dynamic value, as in to{'string' if other == 'dynamic' else other}(…)"
    if "string" in (left.type, right.type) and left.type != right.type:
        other = right.type if left.type == "string" else left.type
        return f": convert the text, as in to{other}(…)"
    if "timespan" in (left.type, right.type):
        return ": divide the timespan, as in 1s / 1ms, which is 1000"
    return ""


def _coerced(left: TypedSql, right: TypedSql) -> tuple[TypedSql, TypedSql]:
    """Return two values for ==. A constant text becomes the type of the other side.

    A text equals a constant bool if it is True or False, as in `success == true` of Microsoft's own queries.
    """
    for text, other, is_right in ((right, left, True), (left, right, False)):
        if text.type != "string" or other.type in ("string", "dynamic"):
            continue
        if text.is_constant:
            changed = TypedSql(converted(text, other.type).sql, other.type)
        elif other.type == "bool" and other.is_constant and other.value is not None:
            changed = TypedSql(_BOOL_OF_TEXT.format(text.sql), "bool")
        else:
            continue
        return (other, changed) if is_right else (changed, other)
    return left, right


def _equality(operator: str, left: TypedSql, right: TypedSql) -> TypedSql:
    left, right = _coerced(left, right)
    types, sign = {left.type, right.type}, "=" if operator == "==" else "<>"
    if types == {"string"} or types == {"string", "dynamic"}:
        return TypedSql(f"({to_text(left)} {sign} {to_text(right)})", "bool")
    if "dynamic" in types:
        raise UnsupportedKql(f"{operator!r} of {left.type} and {right.type}{_advice(left, right)}")
    if len(types) > 1 and not types <= {*NUMBERS}:
        raise InvalidKql(f"{operator!r} of {left.type} and {right.type}{_advice(left, right)}")
    wide = left.type if len(types) == 1 else "real" if "real" in types else "long"
    first, second = TypedSql(widen(left, wide), wide), TypedSql(widen(right, wide), wide)
    if any(value.is_constant and value.value is not None for value in (left, right)):
        return TypedSql(f"coalesce({first.sql} {sign} {second.sql}, {_DEFAULT[operator]})", "bool")
    return TypedSql(fill(_NULL_AWARE.format(sign, _DEFAULT[operator]), [first, second]), "bool")


def _ordering(operator: str, left: TypedSql, right: TypedSql) -> TypedSql:
    if left.type == right.type and left.type in ORDERED:
        return TypedSql(f"({left.sql} {operator} {right.sql})", "bool")
    if left.type in NUMBERS and right.type in NUMBERS:
        wide = "real" if "real" in (left.type, right.type) else "long"
        return TypedSql(f"({widen(left, wide)} {operator} {widen(right, wide)})", "bool")
    advice = ": use strcmp()" if left.type == right.type == "string" else _advice(left, right)
    error = UnsupportedKql if "dynamic" in (left.type, right.type) else InvalidKql
    raise error(f"{operator!r} of {left.type} and {right.type}{advice}")


def _text_operator(operator: str, left: str, right: TypedSql) -> str:
    if operator in ("=~", "!~"):
        return f"(kql_lower({left}) {'=' if operator == '=~' else '<>'} kql_lower({right.sql}))"
    if operator == "matches regex":
        return f"regexp_matches({left}, {text_sql(pattern(right))})"
    name, is_exact = operator.lstrip("!"), operator.endswith("_cs")
    name = name[:-3] if is_exact else name
    first, second = (left, right.sql) if is_exact else (f"kql_lower({left})", f"kql_lower({right.sql})")
    functions = {"contains": "contains", "startswith": "starts_with", "endswith": "ends_with"}
    if name in functions:
        sql = f"{functions[name]}({first}, {second})"
    elif not right.is_constant:
        raise UnsupportedKql(f"{operator!r} with a term that is not a constant: use contains")
    else:
        sql = f"regexp_matches({first}, {text_sql(_term(str(right.value), name, is_exact=is_exact))})"
    return f"(NOT {sql})" if operator[0] == "!" else sql


def _term(text: str, name: str, *, is_exact: bool) -> str:
    """Return the pattern of a term, which is a run of letters and digits. Its case is that of ASCII letters."""
    start = r"(?:^|[^\pL\pN])" if name != "hassuffix" and text[:1].isalnum() else ""
    end = r"(?:$|[^\pL\pN])" if name != "hasprefix" and text[-1:].isalnum() else ""
    lowered = text if is_exact else re.sub("[A-Z]+", lambda match: match[0].lower(), text)
    return start + re.sub(r"([^\w\s])", r"\\\1", lowered, flags=re.ASCII if text.isascii() else 0) + end
