"""The only module that asks what time it is."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present moment, aware and in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that never go backwards, for durations and deadlines."""
    return time.monotonic()


def isoformat(moment: datetime) -> str:
    """Write `moment` as the API does: ISO 8601, UTC, six digits of microseconds, `Z`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"  # instead of +00:00
