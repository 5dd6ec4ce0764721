"""Masks credentials that are recognisable by their format alone.

In: a text. Out: the same text with `***` in place of each credential. A documented prefix stays visible.
"""

from __future__ import annotations

import re
from collections import defaultdict

from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets.prefilter import RUN
from amllog.record.secrets.provider_patterns import (
    ADDRESS_PARTS,
    ADDRESSES,
    FIXED_PART_SIGNS,
    FIXED_PARTS,
    PREFIXES,
    SEPARATED,
    SEPARATED_WITH_PARTS,
)

MASK = "***"

# Not a token but a name: words with separators between them, such as `npm_config_cache_directory`.
_WORD = r"(?:[A-Z]?[a-z]+[0-9]{0,4}|[A-Z]+|[0-9]{1,4})"
_NAME = rf"(?:{_WORD}[_-]){{1,30}}{_WORD}?(?![A-Za-z0-9_-])"
_TOKEN = r"[A-Za-z0-9_\-]{16,}(?:[.+/~=%$]+[A-Za-z0-9_-]{2,})*={0,3}"
_EVERY_PREFIX = [prefix for _, _, row in PREFIXES for prefix in row.split()]
_WHOLE = 100  # characters: more than any prefix has
_SHORT = "|".join(pattern for _, _, pattern in SEPARATED)
_OTHER = "|".join([_SHORT, *(pattern for _, _, _, pattern in SEPARATED_WITH_PARTS)])


def _separated() -> str:
    """Return the pattern at a separator: every prefix before it, and the token behind it."""
    return f"(?=[A-Za-z0-9_-]{{16}})(?<![0-9]-)(?:(?:{_behind(_WHOLE)})(?!{_NAME}){_TOKEN}|{_OTHER})"


def _behind(width: int) -> str:
    """Return lookbehinds for the last `width` characters of every prefix."""
    by_width: defaultdict[int, set[str]] = defaultdict(set)
    for prefix in _EVERY_PREFIX:
        by_width[min(width, len(prefix))].add(re.escape(prefix[-width:]))
    return "|".join(
        f"(?<={'' if length == width else '(?<![A-Za-z0-9])'}(?:{'|'.join(sorted(same))}))"
        for length, same in sorted(by_width.items())
    )


_ADDRESSES = "|".join(pattern for _, _, pattern in ADDRESSES)
_SIGNS = "|".join(f"(?<={first})(?:{rest})" for first, rest in FIXED_PART_SIGNS)
# A search skips to the characters of the first set at the speed of C; ordinary text has few of them.
_SEPARATORS = LazyPattern(f"[_.~$=:|!/-](?:{_separated()}|(?<=/)(?:{_ADDRESSES}))")
# A text without a match has no credential. Seven characters of a prefix are enough for that: they compile faster
# than whole prefixes, and amllog's own `local_…` ids do not match.
_SIGN = LazyPattern(
    f"[_.~$=:|!/ABEFGIJLNQSVZ-](?:(?=[A-Za-z0-9_-]{{16}})(?:{_behind(7)}|{_OTHER})"
    f"|(?<=[A-Z=-])(?:{_SIGNS})|(?<=/)(?:{_ADDRESSES}))"
)
# The same for the first texts of a process: slower, but compiled in a third of the time, which setup() has to wait.
_PARTS = tuple(
    {
        *(prefix[-7:] for prefix in _EVERY_PREFIX),
        *ADDRESS_PARTS,
        *(part for _, _, part, _ in SEPARATED_WITH_PARTS),
    }
)
_OTHER_SIGN = LazyPattern(
    f"[_.~$=:|!/ABEFGIJLNQSVZ-](?:(?=[A-Za-z0-9_-]{{16}})(?:{_SHORT})|(?<=[A-Z=-])(?:{_SIGNS}))"
)
# A text that `_OTHER_SIGN` finds has one of these parts, a capital letter of those, or two dots or dashes.
_OTHER_PARTS = (
    "sk-", "pat", ".atlasv1.", "s.", "0.A", "1.A", "_mmk", "00D", "|", "==", "-us", "key-",
    *(f"{digit}:" for digit in range(10)),
)  # fmt: skip
_CAPITALS = frozenset("ABEFGIJLNQSVZ")
FIRST_TEXTS = 32
_first_texts = iter(range(FIRST_TEXTS))
_DIGEST = LazyPattern(r"(?i:\b(?:sha-?512|digest|checksum|blake2b)\b[^\n;]{0,40}\Z)")
_FIXED = tuple((part, LazyPattern(pattern)) for _, _, part, pattern in FIXED_PARTS)


def mask(said: str, marks: bytes) -> str:
    """`said` with every credential of a known format masked; `marks` are those of the text (`secret_signs`)."""
    # Without such a run, only a few formats are left: each has one of these parts.
    if RUN not in marks and not (
        "://" in said
        or "==" in said
        or ("A" in said and ("+A" in said or "ABSK" in said or "AIoT" in said))
        or ("Q" in said and ("Q~" in said or "IQoJ" in said))
        or "FwoG" in said
    ):
        return said
    if not _has_sign(said) and "dapi" not in said and "dose" not in said and "oy2" not in said:
        return said
    for part, pattern in _FIXED:
        if part in said:
            said = pattern.sub(_masked, said)
    return _SEPARATORS.sub(lambda match: match.group()[0] + MASK, said)


def _masked(match: re.Match[str]) -> str:
    """The mask, or the digest of a file: 64 bytes in Base64 look like an account key."""
    is_digest = (
        match.group().endswith("==")
        and len(match.group()) == 88
        and _DIGEST.search(match.string[max(0, match.start() - 60) : match.start()])
    )
    return match.group() if is_digest else MASK


def _has_sign(said: str) -> bool:
    if next(_first_texts, None) is not None and not is_suspicious(said):
        return False
    return _SIGN.search(said) is not None


def is_suspicious(said: str) -> bool:
    """Return whether a text may hold a credential. True for each text with one, and for a few others."""
    for part in _PARTS:
        if part in said:
            return True
    return may_be_unlisted(said) and _OTHER_SIGN.search(said) is not None


def may_be_unlisted(said: str) -> bool:
    """Return whether `_OTHER_SIGN` may find something. Plain searches: it takes a millisecond to compile."""
    return (
        not _CAPITALS.isdisjoint(said)
        or said.count(".") > 1
        or said.count("-") > 1
        or any(part in said for part in _OTHER_PARTS)
    )
