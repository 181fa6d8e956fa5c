"""Whether two values have the same bits, and how far apart they are."""

from __future__ import annotations

import math
import struct
from typing import Any

from regression.compare.flatten import Row

ABSENT = "absent"
# further apart than that, a count of floats says nothing
MOST_ULPS = 1 << 20


def equal(one: Any, other: Any) -> bool:
    """The same bits; NaN is NaN."""
    if isinstance(one, Row) and isinstance(other, Row):
        return (one.hash, one.shape, one.dtype) == (other.hash, other.shape, other.dtype)
    if isinstance(one, float) and isinstance(other, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and bool(one == other)


def apart(one: Any, other: Any) -> tuple[Any, Any, float | None, float | None, int | None]:
    """Both sides as shown, their distance, relative distance, and ulps."""
    if isinstance(one, Row) or isinstance(other, Row):
        shown = [
            value.norm if isinstance(value, Row) and value.norm is not None else _text(value) for value in (one, other)
        ]
    else:
        shown = [one, other]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in shown):
        return shown[0], shown[1], None, None, None
    distance = abs(shown[0] - shown[1])
    largest = max(abs(shown[0]), abs(shown[1]))
    relative = distance / largest if largest and math.isfinite(distance) else None
    scalar = isinstance(one, float) and isinstance(other, float)
    return shown[0], shown[1], distance, relative, _ulps(*shown) if scalar else None


def _text(value: Any) -> Any:
    return f"{value.dtype} {list(value.shape)} {value.hash}" if isinstance(value, Row) else value


def _ulps(one: float, other: float) -> int | None:
    """Floats between the two, counted in float32 where both are float32 numbers, else in float64."""
    if not (math.isfinite(one) and math.isfinite(other)):
        return None
    single = all(abs(v) < 3e38 and struct.unpack("f", struct.pack("f", v))[0] == v for v in (one, other))
    pack, unpack, sign = ("f", "i", 1 << 31) if single else ("d", "q", 1 << 63)
    places = [struct.unpack(unpack, struct.pack(pack, value))[0] for value in (one, other)]
    ordered = [place if place >= 0 else -(place + sign) for place in places]
    return int(abs(ordered[0] - ordered[1]))
