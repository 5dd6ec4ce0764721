"""Messages that say the same: what differs from one call to the next, folded away.

In: a message. Out: its pattern: "batch 17 of 'a.csv'" and "batch 18 of 'b.csv'" have the same.
"""

from __future__ import annotations

import re

NUMBER, QUOTED = "#", "'…'"
_HEX = "[0-9a-fA-F]"
_FOLDED = (
    (re.compile(r"""(?<!\w)'[^'\n]*'(?!\w)|"[^"\n]*"|`[^`\n]*`"""), QUOTED),
    (re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"), NUMBER),
    (re.compile(rf"\b0[xX]{_HEX}+\b|\b(?=\d*[a-fA-F])(?=[a-fA-F]*\d){_HEX}{{8,}}\b"), NUMBER),
    (re.compile(r"(?:(?<![\w.])[-+])?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?"), NUMBER),
    (re.compile(r"\s+"), " "),
)


def pattern(message: str) -> str:
    """The first line of a message without its numbers, ids and quoted texts."""
    text = next(iter(message.strip().splitlines()), "")
    for expression, instead in _FOLDED:
        text = expression.sub(instead, text)
    return text
