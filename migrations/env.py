"""Run migrations on the database of the application, and nothing else."""

import logging

import sqlalchemy as sa
from alembic import context
from flask import current_app
from sqlalchemy.dialects import mysql

from models.engine import WRITES, send_begin
from models.registry import MODELS
from models.servers import lift_limits
from models.types import UtcDateTime
from services.migrations import migration_turn

logging.getLogger("alembic").setLevel(logging.WARNING)

database = current_app.extensions["migrate"].db


def render_item(kind, item, autogen_context):
    """Write our own column types by name."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen_context.imports.add("from models.types import UtcDateTime")
        return "UtcDateTime()"
    return False


def compare_type(_context, _inspected_column, _column, inspected, wanted):
    """Tell whether a type differs; MariaDB has other names for JSON and for large contents."""
    if isinstance(inspected, mysql.LONGTEXT) and isinstance(wanted, sa.JSON):
        return False
    if isinstance(inspected, mysql.LONGBLOB) and isinstance(wanted, sa.LargeBinary):
        return False
    return None


def run():
    """Upgrade or downgrade in one transaction where the engine has transactional DDL."""
    if not MODELS:
        raise RuntimeError("no tables are registered")
    with (
        migration_turn(database.engine),
        database.engine.connect().execution_options(**{WRITES: True}) as connection,
    ):
        lift_limits(connection)
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            render_item=render_item,
            compare_type=compare_type,
            transactional_ddl=connection.dialect.name != "mysql",
        )
        with context.begin_transaction():
            send_begin(connection)
            context.run_migrations()


run()
