"""Reduce an envelope that is over the limit of the service for one item.

The longest strings are cut first. An envelope with short strings loses the frames at the end of a stack, then
dimensions. With very many dimensions it loses these first. The dimensions that identify the record always stay.
"""

from __future__ import annotations

from typing import Any

from amllog.record import text

OMITTED_DIMENSIONS = "dimensions_left_out"  # the dimension with the number of omitted dimensions
# Dimensions that are never omitted, because they identify the record, its run and its outlet.
_KEPT = {
    OMITTED_DIMENSIONS,
    "record_id",
    "step_id",
    "parent_run_id",
    "run_metric",
    "run_metric_data",
    "run_id",
    "step",
}
_SHORT = 200  # characters: shorter strings are not cut
_MANY_DIMENSIONS = 400  # fill an item even if all are short


def shrink(envelope: dict[str, Any], excess: int) -> None:
    """Change the envelope so that it is up to `excess` bytes shorter. Call it until the line fits."""
    data = envelope["data"]["baseData"]
    if len(data["properties"]) > _MANY_DIMENSIONS:  # truncating so many one by one takes seconds
        _omit_half(data["properties"])
        return
    owner, member = max(_strings(data), key=lambda place: len(place[0][place[1]]))
    value = owner[member]
    if len(value) > _SHORT:
        # A character takes up to 6 bytes (\u0000), so `excess` is an estimate. Halving guarantees that the loop ends.
        owner[member] = text.truncate_middle(
            value, max(len(value) // 2, len(value) - max(_SHORT // 2, excess))
        )
        return
    exceptions = data.get("exceptions", ())
    stacks: list[list[Any]] = [details["parsedStack"] for details in exceptions if "parsedStack" in details]
    longest = max(stacks, key=len, default=[])
    if len(longest) > 1:
        del longest[len(longest) // 2 :]
        return
    _omit_half(data["properties"])


def _omit_half(dimensions: dict[str, str]) -> None:
    """Delete half of the dimensions, and add the number of omitted ones as a dimension."""
    omitted = int(dimensions.pop(OMITTED_DIMENSIONS, 0))
    names = [name for name in dimensions if name not in _KEPT]
    for name in names[len(names) // 2 :]:
        del dimensions[name]
        omitted += 1
    dimensions[OMITTED_DIMENSIONS] = str(omitted)


def _strings(value: Any) -> list[tuple[Any, Any]]:
    """Return the position of each string in a container, as (container, key or index)."""
    places: list[tuple[Any, Any]] = []
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for member, item in members:
        if isinstance(item, str):
            places.append((value, member))
        elif isinstance(item, (dict, list)):
            places.extend(_strings(item))
    return places
