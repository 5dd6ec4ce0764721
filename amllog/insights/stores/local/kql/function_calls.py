"""The functions that the local engine has, and the call of one of them.

A function without a row here is rejected, and so is a row whose types do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from amllog.insights.stores.local.kql.aggregates import AGGREGATES, ROWS
from amllog.insights.stores.local.kql.bins import BINS
from amllog.insights.stores.local.kql.calendar_functions import CALENDAR
from amllog.insights.stores.local.kql.comparisons import arithmetic
from amllog.insights.stores.local.kql.conditionals import CONDITIONALS
from amllog.insights.stores.local.kql.conversions import CONVERSIONS
from amllog.insights.stores.local.kql.dynamic_functions import DYNAMIC_FUNCTIONS
from amllog.insights.stores.local.kql.function_rows import Rows, apply
from amllog.insights.stores.local.kql.list_functions import LIST_FUNCTIONS
from amllog.insights.stores.local.kql.number_functions import NUMBER_FUNCTIONS
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, unsupported_function
from amllog.insights.stores.local.kql.text_functions import TEXT_FUNCTIONS
from amllog.insights.stores.local.kql.time_functions import TIME_FUNCTIONS
from amllog.insights.stores.local.kql.typed_sql import TypedSql, need, need_count
from amllog.insights.stores.local.kql.value_formats import FORMATS

FUNCTIONS: Rows = {**TEXT_FUNCTIONS, **NUMBER_FUNCTIONS, **TIME_FUNCTIONS, **DYNAMIC_FUNCTIONS, **CONVERSIONS}
SPECIAL: Mapping[str, Callable[[Sequence[TypedSql]], TypedSql]] = {
    **CONDITIONALS,
    **BINS,
    **CALENDAR,
    **FORMATS,
    **LIST_FUNCTIONS,
}
TIMES = ("now", "ago")
ALIASES = {
    "todouble": "toreal", "toboolean": "tobool", "iif": "iff", "todynamic": "parse_json", "parsejson": "parse_json",
    "notempty": "isnotempty", "notnull": "isnotnull", "weekofyear": "week_of_year", "pack": "bag_pack",
    "pack_dictionary": "bag_pack", "floor": "bin", "base64_encodestring": "base64_encode_tostring",
}  # fmt: skip
NAMES = {*FUNCTIONS, *SPECIAL, *TIMES, *ALIASES}


def call(name: str, arguments: Sequence[TypedSql], now: TypedSql) -> TypedSql:
    """Return a call of a function of KQL. Raises KqlError if it, or its types of arguments, are not supported."""
    check_name(name)
    known = ALIASES.get(name, name)
    if known in TIMES:
        return _time(known, arguments, now)
    if known in SPECIAL:
        return SPECIAL[known](arguments)
    for row in FUNCTIONS[known]:
        result = apply(row, arguments)
        if result is not None:
            return result
    types = ", ".join(argument.type for argument in arguments)
    advice = ": convert the dynamic value, as in tostring(…)" if "dynamic" in types else ""
    raise UnsupportedKql(f"{name}({types}){advice}")


def _time(name: str, arguments: Sequence[TypedSql], now: TypedSql) -> TypedSql:
    need_count(arguments, name, int(name == "ago"), 1)
    if not arguments:
        return now
    return arithmetic("-" if name == "ago" else "+", now, need(arguments[0], f"{name}()", "timespan"))


def check_name(name: str) -> None:
    """Raise KqlError for a function that is not here."""
    if name in NAMES:
        return
    if name in (*AGGREGATES, *ROWS):
        raise InvalidKql(f"{name}() outside of summarize")
    equal = [known for known in (*NAMES, *AGGREGATES, *ROWS) if known.lower() == name.lower()]
    if equal:
        raise InvalidKql(f"there is no function {name}(). Did you mean {equal[0]}? Names are case-sensitive")
    raise unsupported_function(name)
