"""The functions of text and lists whose SQL depends on constants: extract, trim, range, bag_pack and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amllog.insights.stores.local.kql.comparisons import compare
from amllog.insights.stores.local.kql.conversions import converted
from amllog.insights.stores.local.kql.function_rows import fill, groups, pattern
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, check_size
from amllog.insights.stores.local.kql.typed_sql import (
    WHOLE,
    TypedSql,
    constant,
    need,
    need_count,
    text_sql,
    to_json,
    widen,
)

VALUES_MAX = 1_000_000  # of a range
_TYPES = (
    "coalesce(CASE json_type({0}) WHEN 'ARRAY' THEN 'array' WHEN 'OBJECT' THEN 'dictionary' "
    "WHEN 'VARCHAR' THEN 'string' "
    "WHEN 'BOOLEAN' THEN 'bool' WHEN 'DOUBLE' THEN 'double' WHEN 'NULL' THEN 'null' "
    "ELSE CASE WHEN {0} IS NOT NULL THEN 'long' END END, 'null')"
)
_COUNT = (
    "CASE WHEN {1} = '' THEN 0 ELSE len(list_filter(range(1, length({0}) + 1), "
    "lambda _kql_e: substring({0}, _kql_e, length({1})) = {1})) END"
)
_INDEX = "CASE WHEN {%d} < 0 THEN greatest(len(kql_array({0})) + {%d}, 0) ELSE {%d} END + 1"
_SLICE = f"to_json(list_slice(kql_array({{0}}), {_INDEX % (1, 1, 1)}, {_INDEX % (2, 2, 2)}))"
_KINDS = (
    "list_distinct(list_transform(kql_array({0}), lambda _kql_e: CASE json_type(_kql_e) WHEN 'UBIGINT' THEN 'n' "
    "WHEN 'BIGINT' THEN 'n' WHEN 'DOUBLE' THEN 'n' WHEN 'VARCHAR' THEN 's' ELSE 'o' END))"
)
_NUMBERS = (
    "to_json(list_transform({function}(list_transform(kql_array({{0}}), lambda _kql_e: "
    "struct_pack(k := CAST(_kql_e AS DOUBLE), v := _kql_e))), lambda _kql_e: _kql_e.v))"
)
_TEXTS = "to_json({function}(list_transform(kql_array({{0}}), lambda _kql_e: kql_text(_kql_e))))"


def gettype(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile gettype(value)."""
    need_count(arguments, "gettype", 1)
    if arguments[0].type != "dynamic":
        return constant("string", arguments[0].type)
    return TypedSql(fill(_TYPES, arguments), "string")


def bag_pack(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile bag_pack(key, value, …)."""
    keys, values = arguments[::2], arguments[1::2]
    if not arguments or len(arguments) % 2 or any(key.type != "string" for key in keys):
        raise InvalidKql("bag_pack() needs pairs of a text and a value")
    if len({key.sql for key in keys}) < len(keys):
        raise UnsupportedKql("bag_pack() with a key twice")
    pairs = ", ".join(f"{key.sql}, {to_json(value)}" for key, value in zip(keys, values))
    return TypedSql(f"json_object({pairs})", "dynamic")


def array_slice(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile array_slice(array, first, last)."""
    need_count(arguments, "array_slice", 3)
    array = need(arguments[0], "array_slice()", "dynamic")
    ends = [
        TypedSql(widen(need(end, "an end of array_slice()", *WHOLE), "long"), "long") for end in arguments[1:]
    ]
    return TypedSql(fill(_SLICE, [array, *ends]), "dynamic")


def array_concat(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile array_concat(array, …)."""
    need_count(arguments, "array_concat", 1, 64)
    error = "error('kql: array_concat() of a value that is not an array')"
    lists = [
        f"coalesce(kql_array({need(value, 'array_concat()', 'dynamic').sql}), {error})" for value in arguments
    ]
    joined = lists[0]
    for item in lists[1:]:
        joined = f"list_concat({joined}, {item})"
    return TypedSql(f"to_json({joined})", "dynamic")


def range_(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile range(first, last, step) of constant whole numbers."""
    need_count(arguments, "range", 2, 3)
    if any(value.type not in WHOLE or not value.is_constant or value.value is None for value in arguments):
        raise UnsupportedKql("range() of other values than constant whole numbers")
    first, last, step = (value.value for value in (*arguments, constant("long", 1))[:3])
    if not step or abs(last - first) / abs(step) > VALUES_MAX:
        raise UnsupportedKql(f"range() with the step 0 or more than {VALUES_MAX} values")
    values = ", ".join(f"CAST({number} AS BIGINT)" for number in (first, last, step))
    return TypedSql(f"to_json(generate_series({values}))", "dynamic")


def extract(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile extract(regex, group, text) with an optional type."""
    need_count(arguments, "extract", 3, 4)
    expression, group, text = arguments[:3]
    need(text, "extract()", "string")
    if not group.is_constant or group.type not in WHOLE or group.value is None:
        raise UnsupportedKql("extract() with a group that is not a constant number")
    regex = pattern(expression)
    value = constant("string", "")
    if 0 <= group.value <= groups(regex):
        value = TypedSql(
            f"coalesce(regexp_extract({text.sql}, {text_sql(regex)}, {group.value}), '')", "string"
        )
    if len(arguments) == 3:
        return value
    if arguments[3].type != "typeof":
        raise InvalidKql("extract() needs typeof() as its last argument")
    if arguments[3].value == "dynamic":
        raise UnsupportedKql("extract() to typeof(dynamic)")
    return converted(value, str(arguments[3].value))


def extract_all(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile extract_all(regex, text) with one capture group."""
    if len(arguments) != 2:
        raise UnsupportedKql("extract_all() with a list of groups")
    expression, text = arguments
    need(text, "extract_all()", "string")
    regex = pattern(expression)
    if groups(regex) != 1:
        raise UnsupportedKql("extract_all() with another number of capture groups than 1")
    sql = f"nullif(to_json(regexp_extract_all({text.sql}, {text_sql(regex)}, 1)), CAST('[]' AS JSON))"
    return TypedSql(sql, "dynamic")


def countof(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile countof(text, search, kind). Matches of texts may overlap, and those of regular expressions do not."""
    need_count(arguments, "countof", 2, 3)
    text, search = (need(argument, "countof()", "string") for argument in arguments[:2])
    kind = arguments[2].value if len(arguments) == 3 else "normal"
    if kind == "normal":
        return TypedSql(f"({fill(_COUNT, [text, search])})", "long")
    if kind != "regex":
        raise UnsupportedKql("countof() of another kind than normal or regex")
    return TypedSql(
        f"CAST(len(regexp_extract_all({text.sql}, {text_sql(pattern(search))})) AS BIGINT)", "long"
    )


def _trimmed(name: str, form: str) -> Callable[[Sequence[TypedSql]], TypedSql]:
    """Return the function that removes a regular expression from the ends of a text. `form`: the whole expression."""

    def compile_trimmed(arguments: Sequence[TypedSql]) -> TypedSql:
        need_count(arguments, name, 2)
        text = need(arguments[1], f"{name}()", "string").sql
        regex = text_sql(form.replace("…", f"(?:{pattern(arguments[0])})"))
        return TypedSql(f"coalesce(regexp_replace({text}, {regex}, '', 'g'), '')", "string")

    return compile_trimmed


def has_any_index(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile has_any_index(text, constant list of texts)."""
    need_count(arguments, "has_any_index", 2)
    text, terms = need(arguments[0], "has_any_index()", "string"), arguments[1].value
    if not isinstance(terms, list) or not terms or not all(isinstance(term, str) for term in terms):
        raise UnsupportedKql("has_any_index() with another list than a constant one of texts")
    check_size(text.sql, len(terms))
    arms = (
        f"WHEN {compare('has', text, constant('string', term)).sql} THEN {n}" for n, term in enumerate(terms)
    )
    return TypedSql(f"CAST(CASE {' '.join(arms)} ELSE -1 END AS BIGINT)", "long")


def _sorted(name: str, function: str) -> Callable[[Sequence[TypedSql]], TypedSql]:
    """Return the function that sorts a list of numbers or of texts."""
    sql = (
        f"CASE WHEN kql_array({{0}}) IS NULL THEN NULL WHEN len(kql_array({{0}})) = 0 THEN {{0}} "
        f"WHEN {_KINDS} = ['n'] THEN {_NUMBERS.format(function=function)} "
        f"WHEN {_KINDS} = ['s'] THEN {_TEXTS.format(function=function)} "
        "ELSE error('kql: an array of values of several types is sorted') END"
    )

    def compile_sorted(arguments: Sequence[TypedSql]) -> TypedSql:
        if len(arguments) != 1:
            raise UnsupportedKql(f"{name}() of several arrays")
        return TypedSql(fill(sql, [need(arguments[0], f"{name}()", "dynamic")]), "dynamic")

    return compile_sorted


LIST_FUNCTIONS = {
    "gettype": gettype,
    "bag_pack": bag_pack,
    "array_slice": array_slice,
    "array_concat": array_concat,
    "range": range_,
    "extract": extract,
    "extract_all": extract_all,
    "has_any_index": has_any_index,
    "countof": countof,
    "trim": _trimmed("trim", "^…|…$"),
    "trim_start": _trimmed("trim_start", "^…"),
    "trim_end": _trimmed("trim_end", "…$"),
    "array_sort_asc": _sorted("array_sort_asc", "list_sort"),
    "array_sort_desc": _sorted("array_sort_desc", "list_reverse_sort"),
}
