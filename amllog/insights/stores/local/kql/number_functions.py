"""The functions of numbers, as rows. Source: the reference of KQL, mathematical and binary functions."""

from __future__ import annotations

from amllog.insights.stores.local.kql.function_rows import Row, Rows

_PLAIN = ("sin", "cos", "tan", "cot", "atan", "degrees", "radians", "exp")
_LOGARITHMS = {"log": "ln", "log10": "log10", "log2": "log2"}


def _logarithm(function: str) -> tuple[Row, ...]:
    sql = f"CASE WHEN {{0}} = 0 THEN CAST('-inf' AS DOUBLE) ELSE {function}(kql_log_argument({{0}})) END"
    return (Row("r", "real", sql),)


# fmt: off
NUMBER_FUNCTIONS: Rows = {
    "abs": (Row("l", "long", "abs({0})"), Row("R", "real", "abs({0})"), Row("p", "timespan", "abs({0})")),
    "ceiling": (Row("r", "real", "ceil({0})"),),
    **{name: (Row("r", "real", f"{name}({{0}})"),) for name in _PLAIN},
    **{name: _logarithm(function) for name, function in _LOGARITHMS.items()},
    "exp2": (Row("r", "real", "pow(CAST(2 AS DOUBLE), {0})"),),
    "exp10": (Row("r", "real", "pow(CAST(10 AS DOUBLE), {0})"),),
    "sqrt": (Row("r", "real", "CASE WHEN {0} >= 0 THEN sqrt({0}) END"),),
    "pow": (Row("rr", "real", "pow({0}, {1})"),),
    "sign": (Row("r", "real", "CAST(coalesce(sign({0}), 0) AS DOUBLE)"),),
    "round": (Row("R", "real", "round({0})"), Row("Rk", "real", "round({0}, CAST({1} AS INTEGER))")),
    "pi": (Row("", "real", "pi()"),),
    "isnan": (Row("R", "bool", "isnan({0})"),),
    "isinf": (Row("R", "bool", "isinf({0})"),),
    "isfinite": (Row("R", "bool", "isfinite({0})"),),
    "asin": (Row("r", "real", "CASE WHEN abs({0}) <= 1 THEN asin({0}) END"),),
    "acos": (Row("r", "real", "CASE WHEN abs({0}) <= 1 THEN acos({0}) END"),),
    "atan2": (Row("rr", "real", "atan2({0}, {1})"),),
    "binary_and": (Row("ll", "long", "{0} & {1}"),),
    "binary_or": (Row("ll", "long", "{0} | {1}"),),
    "binary_xor": (Row("ll", "long", "xor({0}, {1})"),),
    "binary_not": (Row("l", "long", "~{0}"),),
}
# fmt: on
