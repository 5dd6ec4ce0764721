"""Skip strings that cannot contain a secret.

Every secret has a sign such as `=`, a dash, a run of 16 characters, or one of three words. Most strings have none of
these, so that the expensive expressions for secrets are not applied to them.
"""

from __future__ import annotations

__all__ = ["RUN", "find_marks"]

# Nearly every credential has 16 such characters in a row. The search for a fixed run costs a tenth of an expression.
RUN = b"x" * 16
# A value follows one of these (`named_secrets`), or its format contains one (`provider_secrets` without a run).
SIGN = b"!"
_SIGNS = b"=:~+/%<>&\"'\\"


def _class_of(byte: int) -> int:
    if byte in _SIGNS:
        return SIGN[0]
    if byte < 128 and (chr(byte).isalnum() or byte in b"_-"):
        return RUN[0]
    return ord(" ")


_CLASSES = bytes(map(_class_of, range(256)))


def find_marks(string: str) -> bytes:
    """Return the UTF-8 bytes of a string, each replaced by the byte of RUN, by SIGN or by a space.

    The result is empty if the string contains no secret.
    """
    try:
        marks = string.encode().translate(_CLASSES)
    except UnicodeEncodeError:  # a lone surrogate
        marks = string.encode("utf-8", "replace").translate(_CLASSES)
    # Options and the first line of a PEM key begin with a dash.
    if SIGN in marks or RUN in marks or "-" in string:
        return marks
    lowered = string.lower()
    if "bearer" in lowered or "basic" in lowered or "passw" in lowered:
        return marks
    return b""
