"""Decides by one cheap look whether a text can hold a secret.

In: a text. Out: its marks, or nothing. Every secret needs a sign such as `=`, a dash, a run of 16 characters, or one
of three words. Most texts have none of these, and the expressions that find secrets are not tried.
"""

from __future__ import annotations

__all__ = ["RUN", "find_marks"]

# Nearly every credential has 16 such characters in a row. A search for one fixed run is a tenth of a pattern's cost.
RUN = b"x" * 16
# A value stands behind one of these (`named_secrets`), or the format has one (`provider_secrets`, without a run).
SIGN = b"!"
_SIGNS = b"=:~+/%<>&\"'\\"


def _class_of(byte: int) -> int:
    if byte in _SIGNS:
        return SIGN[0]
    if byte < 128 and (chr(byte).isalnum() or byte in b"_-"):
        return RUN[0]
    return ord(" ")


_CLASSES = bytes(map(_class_of, range(256)))


def find_marks(said: str) -> bytes:
    """Return the text with each byte of its UTF-8 replaced: by that of RUN, by SIGN, or by a space.

    An empty answer means that no secret is in the text.
    """
    try:
        marks = said.encode().translate(_CLASSES)
    except UnicodeEncodeError:  # half of a surrogate pair
        marks = said.encode("utf-8", "replace").translate(_CLASSES)
    if SIGN in marks or RUN in marks or "-" in said:  # options begin with a dash, and the first line of a key
        return marks
    lowered = said.lower()
    if "bearer" in lowered or "basic" in lowered or "passw" in lowered:
        return marks
    return b""
