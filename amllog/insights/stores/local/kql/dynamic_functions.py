"""The functions of dynamic values whose SQL does not depend on a constant, as rows. Source: the reference of KQL."""

from __future__ import annotations

from amllog.insights.stores.local.kql.function_rows import Row, Rows

_NO_NUMBERS = (
    "list_filter(kql_array({0}), lambda _kql_e: json_type(_kql_e) NOT IN ('UBIGINT', 'BIGINT', 'DOUBLE'))"
)
_TEXTS = "list_transform(kql_array({0}), lambda _kql_e: kql_text(_kql_e))"

# fmt: off
DYNAMIC_FUNCTIONS: Rows = {
    "array_length": (Row("d", "long", "CAST(len(kql_array({0})) AS BIGINT)"),),
    "array_reverse": (Row("d", "dynamic", "to_json(list_reverse(kql_array({0})))"),),
    "array_sum": (
        Row("d", "real", f"CASE WHEN len({_NO_NUMBERS}) = 0 THEN list_sum(TRY_CAST(kql_array({{0}}) AS DOUBLE[])) END"),
    ),
    "array_index_of": (
        Row("dJ", "long", "CASE WHEN kql_array({0}) IS NOT NULL "
            "THEN coalesce(list_position(kql_array({0}), {1}), 0) - 1 END"),
    ),
    "set_has_element": (Row("dJ", "bool", "list_contains(kql_array({0}), {1})"),),
    "strcat_array": (Row("dc", "string", f"array_to_string({_TEXTS}, {{1}})"),),
    "pack_array": (Row("JJ*", "dynamic", "json_array({*})"), Row("J", "dynamic", "json_array({0})")),
    "bag_keys": (Row("d", "dynamic", "to_json(kql_keys({0}))"),),
    "bag_has_key": (Row("dK", "bool", "list_contains(kql_keys({0}), {1})"),),
}
# fmt: on
