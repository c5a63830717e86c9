"""What a crash leaves between a row and its files harms nobody, and goes after a while."""

import pytest
from sqlalchemy import delete

from core.errors import ConflictError, ErrorCode
from core.extensions import site_store
from models.engine import db
from models.environments import Environment
from models.releases import Release, ReleaseState
from services import environments, leftovers, retention, sites
from services.transaction import end_reading, transaction
from storage.locks import file_lock, release_lock_path
from tests.factories import OPERATOR, environment, live, make_site, promote, release, upload

pytestmark = pytest.mark.usefixtures("inside")

DAY_SECONDS = 24 * 3600


def _make_stage() -> None:
    environments.create_environment(actor=OPERATOR, slug="web", name="stage", rank=15)


def _forget_row(model: type[Environment] | type[Release], row_id: int) -> None:
    """Delete a row as a process does that dies before it comes to the files."""
    with transaction() as session:
        session.execute(delete(model).where(model.id == row_id))


def _without_row(text: str = "unknown") -> str:
    """Leave the files of an upload whose process died before it wrote the row."""
    make_site(main=("one",))
    number = upload(text, to="none")
    digest = release(number).digest
    with transaction() as session:
        session.get_one(Release, release(number).id).state = ReleaseState.ARCHIVED
    return digest


def _sweep(older_than_seconds: float = 0) -> int:
    end_reading()
    return leftovers.sweep(older_than_seconds=older_than_seconds)


def test_a_tree_without_a_release_goes() -> None:
    digest = _without_row()

    removed = _sweep()

    assert (removed, site_store().has_release("web", digest), live()) == (1, False, 1)


def test_what_is_younger_stays() -> None:
    digest = _without_row()

    removed = _sweep(DAY_SECONDS)

    assert (removed, site_store().has_release("web", digest)) == (0, True)


def test_a_site_that_is_uploaded_to_waits_for_the_next_time() -> None:
    digest = _without_row()
    lock = release_lock_path(site_store().layout.root, "web")

    with file_lock(lock, exclusive=False, wait_seconds=None):
        removed = _sweep()

    assert (removed, site_store().has_release("web", digest)) == (0, True)


def test_a_pointer_without_an_environment_goes() -> None:
    make_site(main=("one",))
    _make_stage()
    promote(1, to="stage")
    _forget_row(Environment, environment("stage").id)

    removed = _sweep()

    assert (removed, site_store().pointer("web", "stage"), live()) == (1, None, 1)


def test_a_folder_without_a_site_goes() -> None:
    site = make_site(main=("one",))
    with transaction():
        sites._delete_rows(site.id)
    folder = site_store().layout.site("web")

    removed = _sweep()

    assert (removed, folder.exists()) == (1, False)


def test_nothing_goes_that_has_a_row() -> None:
    make_site(main=("one", "two"))
    upload("three", to="none")

    assert _sweep() == 0


def test_a_new_environment_does_not_inherit_the_pointer_of_its_namesake() -> None:
    make_site(main=("one",))
    _make_stage()
    promote(1, to="stage")
    _forget_row(Environment, environment("stage").id)

    _make_stage()

    assert live("stage") is None


def test_a_new_site_does_not_inherit_the_pointers_of_its_namesake() -> None:
    site = make_site(main=("one",))
    with transaction():
        sites._delete_rows(site.id)
    db.session.expunge_all()

    make_site()

    assert (live("main"), live("test")) == (None, None)


def test_deletions_do_not_wait_for_a_slow_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    make_site(main=("one",))
    number = upload("two", to="none")
    monkeypatch.setattr(retention, "UPLOAD_WAIT_SECONDS", 0)
    lock = release_lock_path(site_store().layout.root, "web")

    with file_lock(lock, exclusive=False, wait_seconds=None):
        with pytest.raises(ConflictError) as caught:
            retention.delete_release(actor=OPERATOR, slug="web", number=number)
        pruned = retention.prune(actor=OPERATOR, slug="web", keep=0, older_than_days=0)

    assert caught.value.code is ErrorCode.RELEASE_PROTECTED
    assert (pruned.deleted, release(number).state) == ((), ReleaseState.READY)
