"""The operation_Id and the span id of a run, which are the same in all of its processes."""

from __future__ import annotations

import re

_GUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")


def operation_id_of(root_run_id: str) -> str:
    """Return the operation_Id (W3C trace id) of a run, which is the same in all of its processes.

    It consists of the 32 hexadecimal digits of a run id that is a GUID, or else of the first 32 of the id's SHA-256.
    """
    lowered = root_run_id.lower()
    digits = lowered.replace("-", "")
    if _GUID.fullmatch(lowered) and digits.strip("0"):
        return digits
    return _digest(root_run_id)[:32]


def span_id_of(run_id: str) -> str:
    """Return the span id of a run: the first 16 hexadecimal digits of its id's SHA-256."""
    return _digest(run_id)[:16]


def _digest(text: str) -> str:
    import hashlib  # here: `import amllog` must stay light

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
