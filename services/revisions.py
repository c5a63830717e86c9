"""Which form the tables have, and which form this version wants."""

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from core.settings import current_settings
from models.engine import db


def wanted_revisions() -> set[str]:
    """Return the newest revision of this version, as a set because alembic allows several."""
    return set(_scripts().get_heads())


def present_revisions() -> set[str]:
    """Return the revision of the tables; empty when there are none."""
    with db.engine.connect() as connection:
        return revisions_of(connection)


def revisions_of(connection: Connection) -> set[str]:
    """Return the revision that an open connection sees."""
    return set(MigrationContext.configure(connection).get_current_heads())


def is_known(revision: str) -> bool:
    """Tell whether this version has the migration of that name."""
    try:
        return _scripts().get_revision(revision) is not None
    except CommandError:
        return False


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(current_settings().root_dir / "migrations"))
    return ScriptDirectory.from_config(config)
