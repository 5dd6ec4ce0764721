"""Find environment variables that look like those of amllog and are not, with the nearest valid name.

They are usually spelling errors, whose settings would have no effect without a word. Their values are not shown,
because a variable with another purpose may contain a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from amllog.config import variables
from amllog.config.settings_table import BY_NAME, SETTINGS
from amllog.errors import UNSHOWN, Problem

KNOWN = {
    *(variable.name for variable in variables.VARIABLES),
    *(variable for setting in SETTINGS for variable in setting.variables),
}
_OURS = sorted(name for name in KNOWN if name.startswith(variables.PREFIX))
# What may follow the prefix, also the name of a setting whose variable has another name, and the variable.
_BY_END = {
    **{name.upper(): setting.variables[0] for name, setting in BY_NAME.items()},
    **{name[len(variables.PREFIX) :]: name for name in _OURS},
}
# Kubernetes sets these for a service called `amllog` ("Discovering services", kubernetes.io).
_KUBERNETES = re.compile(
    r"(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)"
)
# The least similarity of a name without our prefix: AMLOG_LEVEL, AML_LOG_LEVEL.
_LEAST_SIMILARITY = 0.9


def find_unknown(environ: Mapping[str, str]) -> list[Problem]:
    """Return a problem for each variable that is set, looks like ours and is unknown."""
    names = [name for name in list(environ) if name not in KNOWN and name[:3].upper() == "AML"]
    unknown = [name for name in sorted(names) if _is_similar(name) and environ.get(name, "").strip()]
    return [Problem(name, UNSHOWN, f"is not an amllog variable: {_hint(name)}") for name in unknown]


def _is_similar(name: str) -> bool:
    upper = name.upper()
    if upper.startswith(variables.PREFIX):
        return not _KUBERNETES.fullmatch(upper[len(variables.PREFIX) :])
    return bool(difflib.get_close_matches(upper, _OURS, n=1, cutoff=_LEAST_SIMILARITY))


def _hint(name: str) -> str:
    upper = name.upper()
    if upper.startswith(variables.PREFIX):  # it would make all names similar
        near = difflib.get_close_matches(upper[len(variables.PREFIX) :], _BY_END, n=1)
        nearest = [_BY_END[end] for end in near]
    else:
        nearest = difflib.get_close_matches(upper, _OURS, n=1, cutoff=_LEAST_SIMILARITY)
    return f"did you mean {nearest[0]}?" if nearest else "docs/settings.md lists all variables"
