"""Connections to real servers: dead ones are replaced unnoticed, and units of work are whole."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Executable, func, make_url, select, text
from sqlalchemy.exc import DBAPIError

from app import create_app
from config import load_settings
from core.clock import utc_now
from models.engine import Base, db
from models.mariadb import _described
from models.servers import SIGN_OF_LIFE_SECONDS
from models.tags import Tag
from services.transaction import (
    first_rows,
    keeping_connection,
    single_statements,
    transaction,
)
from tests.engines import MARIADB, POSTGRESQL, on_engines
from tests.engines import fresh_url as fresh_url
from tests.outages.proxy import Proxy, proxy_to
from tests.people import ENVIRONMENT

ON_SERVERS = on_engines(POSTGRESQL, MARIADB)
SERVER_SIDE_NAME = {POSTGRESQL: "pg_backend_pid()", MARIADB: "connection_id()"}
SLEEP = {POSTGRESQL: "pg_sleep", MARIADB: "sleep"}


@pytest.fixture
def proxy(fresh_url: str) -> Iterator[Proxy]:
    url = make_url(fresh_url)
    assert url.host is not None
    assert url.port is not None
    with proxy_to(url.host, url.port) as found:
        yield found


@pytest.fixture
def behind(fresh_url: str, proxy: Proxy, tmp_path: Path) -> Iterator[Flask]:
    """An application whose database is reached through the proxy."""
    url = make_url(fresh_url).set(host="127.0.0.1", port=proxy.port)
    place = {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "DATA_DIR": str(tmp_path),
    }
    app = create_app(load_settings({**ENVIRONMENT, **place}))
    with app.app_context():
        Base.metadata.create_all(db.engine)
        yield app
        db.session.remove()
        db.engine.dispose()


def _read(statement: Executable) -> object:
    with keeping_connection():
        return first_rows(statement, {})[0][0]


def _read_all(statement: Executable) -> None:
    with db.engine.connect() as connection:
        connection.execute(statement).all()


def _tag(name: str) -> Tag:
    now = utc_now()
    return Tag(name=name, colour="#000000", created_at=now, updated_at=now)


def _number_of_tags() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Tag)) or 0


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_what_a_call_begins_with_replaces_a_connection_that_was_cut(
    engine_name: str, proxy: Proxy
) -> None:
    who = text(f"SELECT {SERVER_SIDE_NAME[engine_name]}")
    first = _read(who)
    assert _read(who) == first

    proxy.cut()

    assert _read(who) != first


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_any_statement_that_a_call_begins_with_finds_a_connection_that_is_alive(
    engine_name: str, proxy: Proxy
) -> None:
    who = text(f"SELECT {SERVER_SIDE_NAME[engine_name]}")
    first = _read(who)

    proxy.cut()
    with keeping_connection(), single_statements() as connection:
        found = connection.scalar(who)
        with single_statements() as same:
            assert same.scalar(who) == found

    assert found != first


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_what_a_call_begins_with_gives_a_silent_connection_up_soon_and_reads_again(
    engine_name: str,
) -> None:
    who = text(f"SELECT {SERVER_SIDE_NAME[engine_name]}")
    slow = text(
        f"SELECT {SERVER_SIDE_NAME[engine_name]}, {SLEEP[engine_name]}({2 * SIGN_OF_LIFE_SECONDS})"
    )
    first = _read(who)
    started = time.monotonic()

    found = _read(slow)

    assert found != first
    assert time.monotonic() - started > 3 * SIGN_OF_LIFE_SECONDS  # once in vain, once in full


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_a_connection_that_was_cut_within_a_call_is_not_used_again(
    engine_name: str, proxy: Proxy
) -> None:
    who = text(f"SELECT {SERVER_SIDE_NAME[engine_name]}")
    with keeping_connection():
        first = first_rows(who, {})[0][0]
        proxy.cut()
        with pytest.raises(DBAPIError), single_statements() as connection:
            connection.execute(who)
        with single_statements() as connection:
            assert connection.scalar(who) != first


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_a_call_that_was_answered_ends_well_on_a_connection_that_was_cut(proxy: Proxy) -> None:
    with transaction() as session:
        session.add(_tag("urgent"))
    assert db.session.scalar(select(Tag.name)) == "urgent"

    proxy.cut()
    db.session.remove()

    assert _number_of_tags() == 1


@on_engines(MARIADB)
@pytest.mark.usefixtures("behind")
def test_a_column_that_changed_is_read_as_what_it_is_now() -> None:
    for kind, value in (("INT", 7), ("VARCHAR(20)", "7"), ("VARBINARY(20)", b"7"), ("INT", 7)):
        with db.engine.connect() as connection:
            connection.execute(text(f"CREATE OR REPLACE TABLE changing (name {kind})"))
            connection.execute(text("INSERT INTO changing VALUES (7)"))
            rows = connection.execute(text("SELECT name, name AS again FROM changing"))
            assert list(rows.keys()) == ["name", "again"]
            assert rows.all() == [(value, value)]


@on_engines(MARIADB)
@pytest.mark.usefixtures("behind")
def test_a_column_is_taken_apart_once() -> None:
    statement = text("SELECT name, colour FROM tags")
    _read_all(statement)
    before = _described.cache_info()
    for _ in range(5):
        _read_all(statement)
    after = _described.cache_info()

    assert (after.misses, after.hits) == (before.misses, before.hits + 10)


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_a_mistake_in_what_a_call_begins_with_is_told(engine_name: str) -> None:
    who = text(f"SELECT {SERVER_SIDE_NAME[engine_name]}")
    first = _read(who)

    with pytest.raises(Exception, match="no_such_table"):
        _read(text("SELECT 1 FROM no_such_table"))

    assert _read(who) == first


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_a_unit_of_work_is_whole_and_leaves_nothing_behind_when_it_fails(engine_name: str) -> None:
    assert engine_name == db.engine.dialect.name.replace("mysql", MARIADB)
    with pytest.raises(ZeroDivisionError), transaction() as session:
        session.add(_tag("one"))
        session.flush()
        raise ZeroDivisionError

    with transaction() as session:
        session.add_all([_tag("two"), _tag("three")])

    assert _number_of_tags() == 2


@ON_SERVERS
@pytest.mark.usefixtures("behind")
def test_servers_show_what_was_committed_and_no_more(engine_name: str) -> None:
    level = {
        POSTGRESQL: "SHOW transaction_isolation",
        MARIADB: "SELECT @@SESSION.tx_isolation",
    }[engine_name]

    assert str(_read(text(level))).lower().replace("-", " ") == "read committed"
    with transaction() as session:
        session.add(_tag("one"))
        session.flush()
        with db.engine.connect() as other:
            assert other.scalar(select(func.count()).select_from(Tag)) == 0
    assert _number_of_tags() == 1
