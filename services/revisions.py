"""Which form the tables have, and which form this version wants.

Every server asks this when it starts and whenever somebody asks for its health, so it does without
alembic, which takes a sixth of the time of a start to load.
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, column, inspect, select, table

from core.settings import current_settings
from models.engine import db

VERSIONS = table("alembic_version", column("version_num"))
NAME = re.compile(r"""^revision = ["'](\w+)["']$""", re.MULTILINE)
FOLLOWED = re.compile(r"^down_revision = (.+)$", re.MULTILINE)
WORD = re.compile(r"""["'](\w+)["']""")


def wanted_revisions() -> set[str]:
    """Return the newest revision of this version, as a set because alembic allows several."""
    migrations = dict(_migrations())
    return migrations.keys() - set().union(*migrations.values())


def present_revisions() -> set[str]:
    """Return the revision of the tables; empty when there are none."""
    with db.engine.connect() as connection:
        return revisions_of(connection)


def revisions_of(connection: Connection) -> set[str]:
    """Return the revision that an open connection sees."""
    if not inspect(connection).has_table(VERSIONS.name):
        return set()
    return set(connection.scalars(select(VERSIONS.c.version_num)))


def is_known(revision: str) -> bool:
    """Tell whether this version has the migration of that name."""
    return revision in dict(_migrations())


def _migrations() -> Iterator[tuple[str, set[str]]]:
    """Yield each migration with those it follows."""
    for path in (current_settings().root_dir / "migrations" / "versions").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        name, followed = NAME.search(source), FOLLOWED.search(source)
        if name is None or followed is None:
            raise RuntimeError(f"{path} does not say which migration it is")
        yield name[1], set(WORD.findall(followed[1]))
