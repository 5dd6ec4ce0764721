"""Mask credentials that are recognized by their format.

`***` replaces each credential. A documented prefix stays visible, so that a reader knows the kind of the credential.
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

# A name, not a token: words with separators between them, such as `npm_config_cache_directory`.
_WORD = r"(?:[A-Z]?[a-z]+[0-9]{0,4}|[A-Z]+|[0-9]{1,4})"
_NAME = rf"(?:{_WORD}[_-]){{1,30}}{_WORD}?(?![A-Za-z0-9_-])"
_TOKEN = r"[A-Za-z0-9_\-]{16,}(?:[.+/~=%$]+[A-Za-z0-9_-]{2,})*={0,3}"
_EVERY_PREFIX = [prefix for _, _, row in PREFIXES for prefix in row.split()]
_WHOLE = 100  # characters: longer than every prefix
_SHORT = "|".join(pattern for _, _, pattern in SEPARATED)
_OTHER = "|".join([_SHORT, *(pattern for _, _, _, pattern in SEPARATED_WITH_PARTS)])


def _separated() -> str:
    """Return the expression for a separator with a prefix before it and a token behind it."""
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
# The expression begins with a set of characters that are rare in ordinary strings, because a search skips others fast.
_SEPARATORS = LazyPattern(f"[_.~$=:|!/-](?:{_separated()}|(?<=/)(?:{_ADDRESSES}))")
# A string without a match has no credential. Seven characters of each prefix are enough for this check. They compile
# faster than whole prefixes, and the ids `local_…` of amllog do not match.
_SIGN = LazyPattern(
    f"[_.~$=:|!/ABEFGIJLNQSVZ-](?:(?=[A-Za-z0-9_-]{{16}})(?:{_behind(7)}|{_OTHER})"
    f"|(?<=[A-Z=-])(?:{_SIGNS})|(?<=/)(?:{_ADDRESSES}))"
)
# The same for the first strings of a process. The search is slower, but the expression compiles in a third of the
# time, which adds to the duration of setup().
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
# A string that `_OTHER_SIGN` matches has one of these parts or capitals, or two dots or dashes.
_OTHER_PARTS = (
    "sk-", "pat", ".atlasv1.", "s.", "0.A", "1.A", "_mmk", "00D", "|", "==", "-us", "key-",
    *(f"{digit}:" for digit in range(10)),
)  # fmt: skip
_CAPITALS = frozenset("ABEFGIJLNQSVZ")
FIRST_STRINGS = 32
_first_strings = iter(range(FIRST_STRINGS))
_DIGEST = LazyPattern(r"(?i:\b(?:sha-?512|digest|checksum|blake2b)\b[^\n;]{0,40}\Z)")
_FIXED = tuple((part, LazyPattern(pattern)) for _, _, part, pattern in FIXED_PARTS)


def mask(string: str, marks: bytes) -> str:
    """Return the string with every credential of a known format masked. `marks` is the result of `find_marks`."""
    # The few formats without such a run have one of these parts.
    if RUN not in marks and not (
        "://" in string
        or "==" in string
        or ("A" in string and ("+A" in string or "ABSK" in string or "AIoT" in string))
        or ("Q" in string and ("Q~" in string or "IQoJ" in string))
        or "FwoG" in string
    ):
        return string
    if not _has_sign(string) and "dapi" not in string and "dose" not in string and "oy2" not in string:
        return string
    for part, pattern in _FIXED:
        if part in string:
            string = pattern.sub(_masked, string)
    return _SEPARATORS.sub(lambda match: match.group()[0] + MASK, string)


def _masked(match: re.Match[str]) -> str:
    """Return the mask, or the string itself if it is a digest. Its 64 bytes in Base64 look like an account key."""
    is_digest = (
        match.group().endswith("==")
        and len(match.group()) == 88
        and _DIGEST.search(match.string[max(0, match.start() - 60) : match.start()])
    )
    return match.group() if is_digest else MASK


def _has_sign(string: str) -> bool:
    if next(_first_strings, None) is not None and not is_suspicious(string):
        return False
    return _SIGN.search(string) is not None


def is_suspicious(string: str) -> bool:
    """Return whether a string may contain a credential: true for each string with one, and for a few others."""
    for part in _PARTS:
        if part in string:
            return True
    return may_be_unlisted(string) and _OTHER_SIGN.search(string) is not None


def may_be_unlisted(string: str) -> bool:
    """Return whether `_OTHER_SIGN` may match, by plain searches. That expression takes a millisecond to compile."""
    return (
        not _CAPITALS.isdisjoint(string)
        or string.count(".") > 1
        or string.count("-") > 1
        or any(part in string for part in _OTHER_PARTS)
    )
