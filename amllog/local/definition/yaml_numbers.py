"""The numbers of YAML 1.1, as PyYAML reads them."""

from __future__ import annotations


def yaml_integer(text: str) -> int:
    """Convert an integer of YAML 1.1: also binary, octal, hexadecimal and of base 60."""
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if ":" in digits:
        return sign * int(_base60(digits))
    for prefix, base in (("0b", 2), ("0x", 16), ("0", 8)):
        if digits.startswith(prefix) and digits != "0":
            return sign * int(digits[len(prefix) :], base)
    return sign * int(digits)


def yaml_number(text: str) -> float:
    """Convert a number of YAML 1.1."""
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if digits in {".inf", ".nan"}:
        return sign * float(digits[1:])
    return sign * (_base60(digits) if ":" in digits else float(digits))


def _base60(digits: str) -> float:
    total = 0.0
    for part in digits.split(":"):
        total = total * 60 + float(part)
    return total
