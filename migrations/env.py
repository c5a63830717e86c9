"""Run migrations on the database of the application, and nothing else."""

import logging

from alembic import context
from flask import current_app

from models.engine import WRITES
from models.registry import MODELS
from models.types import UtcDateTime

logging.getLogger("alembic").setLevel(logging.WARNING)

database = current_app.extensions["migrate"].db


def render_item(kind, item, autogen_context):
    """Write our own column types by name."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen_context.imports.add("from models.types import UtcDateTime")
        return "UtcDateTime()"
    return False


def run():
    """Upgrade or downgrade in one transaction where the engine has transactional DDL."""
    if not MODELS:
        raise RuntimeError("no tables are registered")
    with database.engine.connect().execution_options(**{WRITES: True}) as connection:
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            render_item=render_item,
            compare_type=True,
            transactional_ddl=connection.dialect.name != "mysql",
        )
        with context.begin_transaction():
            context.run_migrations()


run()
