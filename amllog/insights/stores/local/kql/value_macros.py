r"""The macros of DuckDB for the SQL of the compiler, which compute their argument once.

A function that needs its argument several times has it as the element of a list, so that nested calls do not grow.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

_TICKS_PER_DAY = 864_000_000_000
_VALUE = "_kql_v"  # the argument in a body
_SPAN = r"'\s*-?([0-9]{1,8}\.)?[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{1,7})?)?\s*'"
_TIME = (
    r"'\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,7})?)?)?\s*"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?\s*'"
)
_REAL = r"'\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*'"
_NO_NUMBER = "WHEN json_type(_kql_v) IN ('ARRAY', 'OBJECT') THEN NULL"


def _part(pattern: str) -> str:
    """Return the SQL of a number in a text, or 0."""
    return f"coalesce(TRY_CAST(nullif(regexp_extract({_VALUE}, '{pattern}', 1), '') AS BIGINT), 0)"


_DAYS, _HOURS, _MINUTES, _SECONDS = (
    _part(pattern) for pattern in (r"([0-9]+)\.[0-9]+:", "([0-9]+):", ":([0-9]+)", ":[0-9]+:([0-9]+)")
)
_FRACTION = r"':[0-9]+\.([0-9]+)'"

# Names and bodies of macros with one argument.
_ONE = {
    "kql_bool": "CASE WHEN _kql_v THEN 'True' WHEN NOT _kql_v THEN 'False' ELSE '' END",
    "kql_time": "coalesce(strftime(_kql_v, '%Y-%m-%dT%H:%M:%S.%f') || '0Z', '')",
    "kql_span": f"""CASE WHEN _kql_v IS NULL THEN '' ELSE system.main.concat(CASE WHEN _kql_v < 0 THEN '-' ELSE '' END,
  CASE WHEN abs(_kql_v) >= {_TICKS_PER_DAY} THEN CAST(abs(_kql_v) // {_TICKS_PER_DAY} AS VARCHAR) || '.' ELSE '' END,
  lpad(CAST(abs(_kql_v) // 36000000000 % 24 AS VARCHAR), 2, '0'), ':',
  lpad(CAST(abs(_kql_v) // 600000000 % 60 AS VARCHAR), 2, '0'), ':',
  lpad(CAST(abs(_kql_v) // 10000000 % 60 AS VARCHAR), 2, '0'),
  CASE WHEN _kql_v % 10000000 <> 0 THEN '.' || lpad(CAST(abs(_kql_v) % 10000000 AS VARCHAR), 7, '0')
  ELSE '' END) END""",
    "kql_real": """CASE WHEN _kql_v IS NULL THEN '' WHEN isnan(_kql_v) THEN 'NaN'
  WHEN isinf(_kql_v) THEN CASE WHEN _kql_v > 0 THEN 'Infinity' ELSE '-Infinity' END
  WHEN _kql_v = 0 OR (abs(_kql_v) >= 0.0001 AND abs(_kql_v) < 1e15) THEN CAST(_kql_v AS VARCHAR)
  ELSE error('kql: the text of a real number below 0.0001 or above 10^15') END""",
    "kql_json": "CASE WHEN json_type(_kql_v) = 'NULL' THEN NULL ELSE _kql_v END",
    "kql_text": "coalesce(_kql_v ->> '$', '')",
    "kql_time_json": "CASE WHEN _kql_v IS NOT NULL THEN to_json(strftime(_kql_v, '%Y-%m-%dT%H:%M:%S.%f') || '0Z') END",
    "kql_span_json": "CASE WHEN _kql_v IS NOT NULL THEN to_json(kql_span(_kql_v)) END",
    "kql_real_json": """CASE WHEN isnan(_kql_v) THEN CAST('"NaN"' AS JSON)
  WHEN isinf(_kql_v) THEN CAST(CASE WHEN _kql_v > 0 THEN '"Infinity"' ELSE '"-Infinity"' END AS JSON)
  ELSE to_json(_kql_v) END""",
    "kql_whole": r"""CASE WHEN regexp_full_match(_kql_v, '\s*[+-]?[0-9]+\s*') THEN TRY_CAST(trim(_kql_v) AS BIGINT)
  WHEN regexp_full_match(_kql_v, '\s*0[xX][0-9a-fA-F]{1,16}\s*') THEN TRY_CAST(trim(_kql_v) AS BIGINT) END""",
    "kql_truncated": """CASE WHEN isnan(_kql_v) THEN NULL WHEN _kql_v >= 9.2233720368547758e18 THEN 9223372036854775807
  WHEN _kql_v <= -9.2233720368547758e18 THEN -9223372036854775808 ELSE TRY_CAST(trunc(_kql_v) AS BIGINT) END""",
    "kql_low_bits": "CAST(((_kql_v + 2147483648) % 4294967296 + 4294967296) % 4294967296 - 2147483648 AS INTEGER)",
    "kql_saturated": "CAST(greatest(least(kql_truncated(_kql_v), 2147483647), -2147483648) AS INTEGER)",
    "kql_tolong": f"""CASE {_NO_NUMBER}
  WHEN json_type(_kql_v) = 'BOOLEAN' THEN CAST(CAST(_kql_v AS BOOLEAN) AS BIGINT)
  WHEN json_type(_kql_v) = 'VARCHAR' THEN kql_whole(kql_text(_kql_v))
  WHEN json_type(_kql_v) = 'DOUBLE' THEN kql_truncated(TRY_CAST(_kql_v AS DOUBLE))
  ELSE TRY_CAST(_kql_v AS BIGINT) END""",
    "kql_toint": f"""CASE {_NO_NUMBER}
  WHEN json_type(_kql_v) = 'BOOLEAN' THEN CAST(CAST(_kql_v AS BOOLEAN) AS INTEGER)
  WHEN json_type(_kql_v) = 'VARCHAR' THEN TRY_CAST(kql_whole(kql_text(_kql_v)) AS INTEGER)
  WHEN json_type(_kql_v) = 'DOUBLE' THEN kql_saturated(TRY_CAST(_kql_v AS DOUBLE))
  ELSE kql_low_bits(TRY_CAST(_kql_v AS BIGINT)) END""",
    "kql_toreal": f"""TRY_CAST(CASE WHEN lower(trim(_kql_v)) IN ('nan', 'infinity', '-infinity', 'inf', '-inf')
  OR regexp_full_match(_kql_v, {_REAL}) THEN trim(_kql_v) END AS DOUBLE)""",
    "kql_json_toreal": f"""CASE {_NO_NUMBER}
  WHEN json_type(_kql_v) = 'BOOLEAN' THEN CAST(CAST(_kql_v AS BOOLEAN) AS DOUBLE)
  ELSE kql_toreal(kql_text(_kql_v)) END""",
    "kql_tobool": """CASE lower(trim(_kql_v)) WHEN 'true' THEN true WHEN 'false' THEN false
  ELSE kql_whole(_kql_v) <> 0 END""",
    "kql_json_tobool": f"""CASE {_NO_NUMBER} WHEN json_type(_kql_v) = 'BOOLEAN' THEN CAST(_kql_v AS BOOLEAN)
  WHEN json_type(_kql_v) = 'VARCHAR'
  THEN CASE lower(kql_text(_kql_v)) WHEN 'true' THEN true WHEN 'false' THEN false END
  ELSE TRY_CAST(_kql_v AS DOUBLE) <> 0 END""",
    "kql_todatetime": f"""CASE WHEN regexp_full_match(_kql_v, {_TIME})
  THEN TRY_CAST(_kql_v AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
  WHEN regexp_matches(_kql_v, '[0-9]{{4}}|[0-9]+[./-][0-9]+')
  THEN error('kql: todatetime() of a text that is not ISO 8601') END""",
    "kql_totimespan": f"""CASE WHEN regexp_full_match(_kql_v, {_SPAN})
  AND {_HOURS} < 24 AND {_MINUTES} < 60 AND {_SECONDS} < 60
  THEN (CASE WHEN starts_with(trim(_kql_v), '-') THEN -1 ELSE 1 END) * (
  {_DAYS} * {_TICKS_PER_DAY} + {_HOURS} * 36000000000 + {_MINUTES} * 600000000 + {_SECONDS} * 10000000
  + coalesce(TRY_CAST(rpad(nullif(regexp_extract(_kql_v, {_FRACTION}, 1), ''), 7, '0') AS BIGINT), 0)) END""",
    "kql_parse_json": """CASE WHEN _kql_v = '' THEN NULL
  WHEN json_valid(_kql_v) THEN kql_json(CAST(CASE WHEN json_valid(_kql_v) THEN _kql_v END AS JSON))
  ELSE to_json(_kql_v) END""",
    "kql_array": "CASE WHEN json_type(_kql_v) = 'ARRAY' THEN CAST(_kql_v AS JSON[]) END",
    "kql_keys": "CASE WHEN json_type(_kql_v) = 'OBJECT' THEN json_keys(_kql_v) END",
    "kql_log_argument": "CASE WHEN _kql_v > 0 OR isnan(_kql_v) THEN _kql_v END",
}
# Macros whose arguments are mentioned once each.
_SEVERAL = {
    "kql_key(j, k)": """kql_json(json_extract(j, system.main.concat('/',
  system.main."replace"(system.main."replace"(k, '~', '~0'), '/', '~1'))))""",
    "kql_lower(s)": f"translate(s, '{ascii_uppercase}', '{ascii_lowercase}')",
    "kql_path(j, p)": "kql_json(json_extract(j, p))",
}


def _macros() -> str:
    bound = [
        f"CREATE MACRO {name}(a) AS list_transform(system.main.list_value(a), lambda {_VALUE}: {body})[1];"
        for name, body in _ONE.items()
    ]
    return "\n".join([*bound, *(f"CREATE MACRO {name} AS {body};" for name, body in _SEVERAL.items())])


MACROS = _macros()
