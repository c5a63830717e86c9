"""What a restore refuses, what it ends, and what it settles."""

import os
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import inspect, select

from cli.migrating import alembic_commands
from core import restore_marker, serve_lock
from core.errors import DomainError, ErrorCode
from core.extensions import site_store
from models.engine import db
from models.promotions import PromotionState
from models.sessions import UserSession
from models.tokens import ApiToken
from models.users import OneTimeToken
from services import invitations, switching
from services.actors import cli_actor
from services.backup_format import Scope
from services.installation_backups import save as save_as
from services.invitations import LinkKind
from services.seed_roles import ensure_roles
from services.transaction import transaction
from tests.factories import environment, last_event, live, promote, release, roll_back
from tests.factories import promotions as all_promotions
from tests.installations import fill, installation, restore, save, served
from tests.installations import migrated as migrated
from tests.installations import source as source
from tests.people import find

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def saved(source: Flask, tmp_path: Path) -> Path:
    """A backup of an installation in which something happened."""
    fill(source)
    return Path(save(tmp_path / "saved.tar").file)


def refused(path: Path) -> DomainError:
    """Expect that a restore is refused before it has touched anything."""
    data_dir = site_store().layout.root.parent
    tables = inspect(db.engine).get_table_names()
    before = {it for it in data_dir.rglob("*") if it.parent.name != "run"}
    with pytest.raises(DomainError) as caught:
        restore(path)
    assert not restore_marker.is_set(data_dir)
    assert inspect(db.engine).get_table_names() == tables
    assert {it for it in data_dir.rglob("*") if it.parent.name != "run"} - before <= {
        data_dir / "run"
    }
    return caught.value


def test_an_installation_with_rows_is_refused_and_kept(saved: Path, source: Flask) -> None:
    error = refused(saved)

    assert error.code is ErrorCode.INSTALLATION_NOT_EMPTY
    assert "users (2)" in error.detail
    assert live() == 2


def test_a_folder_of_sites_is_refused(saved: Path, tmp_path: Path) -> None:
    with installation(tmp_path / "other"):
        site_store().prepare()
        site_store().layout.site("web").mkdir()

        assert "the folder of web" in refused(saved).detail


def test_a_running_server_is_left_alone(saved: Path, tmp_path: Path) -> None:
    with installation(tmp_path / "other"):
        descriptor = serve_lock.take(tmp_path / "other")
        assert descriptor is not None

        error = refused(saved)

        os.close(descriptor)
        assert error.code is ErrorCode.SERVER_RUNNING


def test_a_spoilt_file_touches_nothing(saved: Path, tmp_path: Path) -> None:
    os.truncate(saved, saved.stat().st_size - 100)

    with installation(tmp_path / "other"):
        error = refused(saved)

    assert error.code is ErrorCode.INSTALLATION_BACKUP_INVALID
    assert [complaint.code for complaint in error.errors] == ["truncated"]


def test_a_backup_of_rows_alone_is_refused(source: Flask, tmp_path: Path) -> None:
    fill(source)
    path = tmp_path / "rows.tar"
    save_as(path=path, scope=Scope.ROWS)

    with installation(tmp_path / "other"):
        assert "holds rows only" in refused(path).detail


def test_tables_without_anybody_in_them_are_in_nobodys_way(saved: Path, tmp_path: Path) -> None:
    with installation(tmp_path / "other") as app:
        alembic_commands().upgrade()
        ensure_roles()

        restore(saved)

        assert served(app)["www.example.org", "/"].status == 200


def test_signins_and_links_end_but_tokens_go_on(source: Flask, tmp_path: Path) -> None:
    fill(source)
    invitations.make_link(actor=cli_actor(), user=find("zoë"), kind=LinkKind.RESET)
    made = save(tmp_path / "saved.tar")

    with installation(tmp_path / "other"):
        restore(made.file, keep_sessions=False)

        assert db.session.scalars(select(UserSession.revoke_reason)).all() == ["restored"] * 2
        assert None not in db.session.scalars(select(OneTimeToken.used_at)).all()
        assert db.session.scalars(select(ApiToken.revoked_at)).all() == [None]
        assert last_event().action == "installation.restored"


def test_signins_and_links_go_on_when_that_is_asked_for(source: Flask, tmp_path: Path) -> None:
    fill(source)
    invitations.make_link(actor=cli_actor(), user=find("zoë"), kind=LinkKind.RESET)
    made = save(tmp_path / "saved.tar")

    with installation(tmp_path / "other"):
        restore(made.file, keep_sessions=True)

        assert db.session.scalars(select(UserSession.revoke_reason)).all() == [None] * 2
        assert db.session.scalars(select(OneTimeToken.used_at)).all() == [None]


def test_a_promotion_that_was_running_is_settled(source: Flask, tmp_path: Path) -> None:
    fill(source)
    place = environment()
    with transaction() as session:
        switching.begin(
            actor=cli_actor(),
            site=place.site,
            environment=session.merge(place),
            release=session.merge(release(3)),
            kind=all_promotions()[0].kind,
        )
    made = save(tmp_path / "saved.tar")

    with installation(tmp_path / "other"):
        restore(made.file)

        assert all_promotions()[-1].state is PromotionState.FAILED
        assert live() == 2
        assert promote(3).state is PromotionState.SUCCEEDED


def test_a_rollback_made_on_disk_is_not_lost(source: Flask, tmp_path: Path) -> None:
    fill(source)
    site_store().rollback_offline(
        "web", "main", to_digest=None, by="ana", reason="bad menu", at="2026-11-20T00:00:00Z"
    )
    made = save(tmp_path / "saved.tar")

    with installation(tmp_path / "other"):
        restore(made.file)

        assert live() == 1
        assert all_promotions()[-1].comment == "bad menu"
        assert environment().held_at is not None


def test_rollback_without_the_database_works_after_a_restore(source: Flask, tmp_path: Path) -> None:
    """There was no journal, so it is made anew from the history."""
    fill(source)
    promote(3)
    roll_back()
    site_store().layout.journal("web", "main").unlink()
    made = save(tmp_path / "saved.tar")

    with installation(tmp_path / "other"):
        restore(made.file)
        journal = site_store().rollback_offline(
            "web", "main", to_digest=None, by="ana", reason=None, at="2026-11-20T00:00:00Z"
        )

        assert journal.release == 1


def test_compressed_files_are_made_again(source: Flask, tmp_path: Path) -> None:
    fill(source)
    digest = release(2).digest
    site_store().compress("web", digest, lambda: False)
    made = save(tmp_path / "saved.tar")

    with installation(tmp_path / "other"):
        restore(made.file)

        assert release(2).compressed_at is None


def test_tables_of_an_older_version_are_brought_up(source: Flask, tmp_path: Path) -> None:
    fill(source)
    older = _older_revision()
    alembic_commands().downgrade(revision=older)
    path = tmp_path / "older.tar"
    made = save_as(path=path, scope=Scope.FULL)
    assert made.revision == older

    with installation(tmp_path / "other") as app:
        restore(path)

        alembic_commands().check()
        assert served(app)["web.localhost", "/"].status == 200
        assert live() == 2


def _older_revision() -> str:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_revision(str(scripts.get_current_head()))
    if not isinstance(head.down_revision, str):
        pytest.skip("there is only one migration yet")
    return head.down_revision
