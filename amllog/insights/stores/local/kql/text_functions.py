"""The functions of text, as rows. Source: the reference of KQL, string functions."""

from __future__ import annotations

from amllog.insights.stores.local.kql.function_rows import Row, Rows

# fmt: off
TEXT_FUNCTIONS: Rows = {
    "strlen": (Row("S", "long", "length({0})"),),
    "string_size": (Row("s", "long", "strlen({0})"),),
    "toupper": (Row("S", "string", "upper({0})"),),
    "tolower": (Row("S", "string", "lower({0})"),),
    "strcat": (Row("XX*", "string", "concat({*})"), Row("X", "string", "{0}")),
    "strcat_delim": (Row("sXX*", "string", "concat_ws({*})"),),
    "strrep": (
        Row("Xl", "string", "repeat({0}, greatest({1}, 0))"),
        Row("Xls", "string",
            "CASE WHEN {1} <= 0 THEN '' "
            "ELSE system.main.concat(repeat(system.main.concat({0}, {2}), {1} - 1), {0}) END"),
    ),
    "reverse": (Row("X", "string", "reverse({0})"),),
    "substring": (
        Row("Sl", "string", "CASE WHEN {1} < -length({0}) THEN '' WHEN {1} < 0 "
            "THEN substring({0}, length({0}) + {1} + 1) ELSE substring({0}, {1} + 1) END"),
        Row("Sll", "string", "CASE WHEN {1} < -length({0}) OR {2} <= 0 THEN '' WHEN {1} < 0 "
            "THEN substring({0}, length({0}) + {1} + 1, {2}) ELSE substring({0}, {1} + 1, {2}) END"),
    ),
    "split": (
        Row("Ss", "dynamic", "to_json(str_split({0}, {1}))"),
        Row("Ssl", "dynamic", "CASE WHEN {2} >= 0 AND {2} < len(str_split({0}, {1})) "
            "THEN to_json(system.main.list_value(str_split({0}, {1})[{2} + 1])) END"),
    ),
    "replace_string": (Row("sss", "string", "CASE WHEN {1} = '' THEN {0} ELSE \"replace\"({0}, {1}, {2}) END"),),
    "replace_regex": (Row("s/w", "string", "regexp_replace({0}, {1}, {2}, 'g')"),),
    "replace": (Row("/ws", "string", "regexp_replace({2}, {0}, {1}, 'g')"),),
    "indexof": (
        Row("SS", "long", "position({1} IN {0}) - 1"),
        Row("SSl", "long", "CASE WHEN {2} < 0 THEN NULL WHEN {2} > length({0}) THEN -1 "
            "WHEN position({1} IN substring({0}, {2} + 1)) = 0 THEN -1 "
            "ELSE position({1} IN substring({0}, {2} + 1)) - 1 + {2} END"),
    ),
    "isempty": (Row("S", "bool", "{0} = ''"), Row("x", "bool", "{0} IS NULL")),
    "isnotempty": (Row("S", "bool", "{0} <> ''"), Row("x", "bool", "{0} IS NOT NULL")),
    "isnull": (Row("s", "bool", "false"), Row("x", "bool", "{0} IS NULL")),
    "isnotnull": (Row("s", "bool", "true"), Row("x", "bool", "{0} IS NOT NULL")),
    "isascii": (Row("s", "bool", "regexp_full_match({0}, '(?s)[\\x00-\\x7f]*')"),),
    "strcmp": (Row("ss", "long", "CASE WHEN {0} < {1} THEN -1 WHEN {0} > {1} THEN 1 ELSE 0 END"),),
    "base64_encode_tostring": (Row("s", "string", "to_base64(encode({0}))"),),
    "hash_md5": (Row("Z", "string", "md5({0})"),),
    "hash_sha1": (Row("Z", "string", "sha1({0})"),),
    "hash_sha256": (Row("Z", "string", "sha256({0})"),),
    "url_decode": (Row("s", "string", "url_decode({0})"),),
    "tohex": (Row("l", "string", "lower(to_hex({0}))"),),
}
# fmt: on
