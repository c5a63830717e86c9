"""Locks and holds of environments, written with what was there before."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import InstrumentedAttribute

from core.clock import isoformat, utc_now
from models.environments import Environment
from services.transaction import changed_rows, transaction

Mark = InstrumentedAttribute[datetime | None]
"""The column that says since when there is a lock or a hold."""


def write(
    *,
    environment: Environment,
    values: Mapping[str, object],
    only_if: Mark | None,
    event: Callable[..., object],
) -> Environment:
    """Write `values` and the event, which takes `before`; nothing when `only_if` is empty."""
    with transaction() as session:
        session.get_one(Environment, environment.id, with_for_update=True, populate_existing=True)
        before = _marks(environment, values)
        statement = update(Environment).where(Environment.id == environment.id)
        if only_if is not None:
            statement = statement.where(only_if.is_not(None))
        changed = changed_rows(
            statement.values(**values, version=Environment.version + 1, updated_at=utc_now())
        )
        if changed:
            event(before=before)
        session.refresh(environment)
    return environment


def _marks(environment: Environment, names: Iterable[str]) -> dict[str, object] | None:
    """Return the lock or hold that is about to change as JSON values, None without one."""
    values = {name: getattr(environment, name) for name in names}
    shown = {
        name: isoformat(value) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }
    return shown or None
