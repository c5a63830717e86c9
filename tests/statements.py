"""What is asked of the database, statement by statement."""

from collections.abc import Iterator

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements that were sent since the fixture was made, BEGIN included."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_parameters: object) -> None:
        sent.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)
