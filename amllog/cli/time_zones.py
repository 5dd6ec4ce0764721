"""Convert the times of rows to the zone of `--tz`, for text. JSON and CSV stay in UTC."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")


class LocalZone(tzinfo):
    """The zone of this machine (TZ), which has another offset in summer."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return the offset at a time of this zone."""
        return moment.replace(tzinfo=None).astimezone().utcoffset() if moment else None

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Return None: it is not needed."""

    def tzname(self, moment: datetime | None) -> str | None:
        """Return the name of the option's value."""
        return "local"

    def fromutc(self, moment: datetime) -> datetime:
        """Return a time in UTC as a time of this zone."""
        return moment.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=self)


def parse_zone(text: str) -> tzinfo:
    """Parse UTC, `local`, an offset such as +02:00, or a name such as Europe/Berlin."""
    offset = _OFFSET.fullmatch(text.strip())
    if text.strip().upper() in ("UTC", "Z"):
        return timezone.utc
    if text.strip().lower() == "local":
        return LocalZone()
    if offset is not None and int(offset[2]) < 24 and int(offset[3]) < 60:
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text.strip())
    except (ValueError, KeyError, OSError):  # unknown, or the data base is not installed
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected UTC, local, an offset such as +02:00, or a name such as Europe/Berlin "
            "(if it is valid: pip install tzdata)"
        ) from None


def in_zone(options: Namespace, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with its times in the zone of the options."""
    zone = getattr(options, "tz", None)
    if zone is None:
        return row
    return {name: _converted(value, zone) for name, value in row.items()}


def _converted(value: Any, zone: tzinfo) -> Any:
    try:
        return value.astimezone(zone) if isinstance(value, datetime) else value
    except OverflowError:  # at the end of the calendar
        return value
