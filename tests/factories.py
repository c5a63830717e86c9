"""Sites, uploads and promotions in one line, made through the real services."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select

from core.errors import DomainError, ErrorCode
from core.extensions import site_store
from models.audit import AuditEvent
from models.engine import db
from models.environments import Domain, Environment
from models.promotions import Promotion, SiteBackup
from models.releases import Release, Submission
from models.roles import Role
from models.sites import Membership, Site
from models.users import User
from services import publishing, rollbacks, sites
from services.actors import Actor, cli_actor
from services.credentials import actor_for_token
from services.promotion_rules import PromotionOrder
from services.promotions import loaded
from services.promotions import promote as promote_release
from services.publishing import PublishedUpload
from services.releases import ReceiveOptions, UploadNote
from services.transaction import end_reading, transaction
from tests.archives.zip_maker import simple_zip
from tests.people import ADDRESS, Answer, Caller

OPERATOR = cli_actor()
"""Whoever owns DATA_DIR: may do everything, and is no user."""


def page(text: str) -> dict[str, bytes]:
    """Return the files of a site that says one thing."""
    return {"index.html": text.encode()}


def make_site(slug: str = "web", *, main: Sequence[str] = (), **members: str) -> Site:
    """Make a site with test and main.

    Args:
        slug: the site.
        main: what main has shown, oldest first; each is a release that was promoted.
        members: roles by the names of users that exist: `make_site(ana="owner")`.
    """
    site_store().prepare()
    site = sites.create_site(actor=OPERATOR, slug=slug, name=slug.title())
    with transaction() as session:
        for username, role in members.items():
            session.add(
                Membership(
                    site_id=site.id,
                    user=session.scalars(select(User).where(User.username == username)).one(),
                    role=session.scalars(select(Role).where(Role.name == role)).one(),
                    created_at=site.created_at,
                )
            )
    for text in main:
        promote(upload(text, slug=slug), slug=slug)
    return site


def push(
    files: Mapping[str, bytes] | str = "one",
    *,
    slug: str = "web",
    actor: Actor = OPERATOR,
    to: str | None = None,
    **note: Any,
) -> PublishedUpload:
    """Upload a release; a text stands for a site of one page that says it."""
    content = page(files) if isinstance(files, str) else dict(files)
    return publishing.upload(
        actor=actor,
        slug=slug,
        stream=io.BytesIO(simple_zip(content)),
        to=to,
        options=ReceiveOptions(note=UploadNote(**note)),
    )


def upload(files: Mapping[str, bytes] | str = "one", **options: Any) -> int:
    """Upload a release like `push` and return its number."""
    return push(files, **options).upload.release.number


def promote(
    release: int | str | None = None,
    *,
    to: str = "main",
    slug: str = "web",
    actor: Actor = OPERATOR,
    **order: Any,
) -> Promotion:
    """Promote a release, or what the environment below shows."""
    wanted = PromotionOrder(to=to, release=release, **order)
    return promote_release(actor=actor, slug=slug, order=wanted)


def roll_back(*, slug: str = "web", actor: Actor = OPERATOR, **target: Any) -> Promotion:
    """Roll main back."""
    return loaded(rollbacks.roll_back(actor=actor, slug=slug, **target))


def token_actor(token: str) -> Actor:
    """Return an API token as services see it."""
    return actor_for_token(token=token, address=ADDRESS, request_id=None)


def environment(name: str = "main", slug: str = "web") -> Environment:
    """Return an environment as the database has it now."""
    end_reading()
    query = select(Environment).join(Environment.site)
    query = query.where(Site.slug == slug, Environment.name == name)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def live(name: str = "main", slug: str = "web") -> int | None:
    """Return the number of the live release; fails when disk and database differ."""
    place = environment(name, slug)
    digest = place.release.digest if place.release else None
    assert site_store().pointer(slug, name) == digest
    return place.release.number if place.release else None


def served(name: str = "main", slug: str = "web", path: str = "index.html") -> str:
    """Return what visitors of an environment get."""
    return (site_store().layout.pointer(slug, name) / path).read_text()


def release(number: int, slug: str = "web") -> Release:
    """Return a release as the database has it now."""
    end_reading()
    query = select(Release).join(Release.site).where(Site.slug == slug, Release.number == number)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def tree(number: int, slug: str = "web") -> Path:
    """Return the folder of a release."""
    return site_store().layout.release(slug, release(number, slug).digest)


def promotions(slug: str = "web") -> list[Promotion]:
    """Return all promotions of a site, oldest first, as the database has them now."""
    end_reading()
    query = select(Promotion).join(Promotion.site).where(Site.slug == slug)
    query = query.order_by(Promotion.number).execution_options(populate_existing=True)
    return list(db.session.scalars(query))


def count(model: type[Any]) -> int:
    """Return how many rows a table has."""
    end_reading()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def audit_actions(after: int = 0) -> list[str]:
    """Return the actions of the audit events behind the first `after`, oldest first."""
    end_reading()
    query = select(AuditEvent.action).where(AuditEvent.id > after).order_by(AuditEvent.id)
    return list(db.session.scalars(query))


def last_event() -> AuditEvent:
    """Return the newest audit event."""
    end_reading()
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)
    return db.session.scalars(query).one()


def damage(number: int, path: str = "index.html", slug: str = "web") -> None:
    """Change a file of a release in place, as somebody with a shell could."""
    file = tree(number, slug) / path
    file.chmod(0o644)
    file.write_bytes(b"damaged")


def send(
    caller: Caller, files: Mapping[str, bytes] | str = "one", *, slug: str = "web", **query: Any
) -> Answer:
    """Upload over HTTP as a raw zip."""
    content = page(files) if isinstance(files, str) else dict(files)
    headers = {"Content-Type": "application/zip"}
    if caller.credential is not None:
        headers["Authorization"] = f"Bearer {caller.credential}"
    answer = caller.client.post(
        f"/api/v1/sites/{slug}/releases?{urlencode(query)}",
        data=simple_zip(content),
        headers=headers,
    )
    return cast("Answer", answer)


@dataclass
class Refusal:
    """What was refused, once the block has ended."""

    error: DomainError | None = None

    def member(self, name: str) -> Any:
        """Return a further member of the problem; Any because they are of every type."""
        assert self.error is not None
        return self.error.members[name]

    @property
    def detail(self) -> str:
        assert self.error is not None
        return self.error.detail

    @property
    def pointers(self) -> list[str]:
        """The inputs that were complained about."""
        assert self.error is not None
        return [complaint.pointer for complaint in self.error.errors]


@contextmanager
def refused(code: ErrorCode) -> Iterator[Refusal]:
    """Expect a refusal with this code that leaves rows and pointers as they were."""
    refusal = Refusal()
    with nothing_changes():
        with pytest.raises(DomainError) as caught:
            yield refusal
        refusal.error = caught.value
        assert refusal.error.code is code, refusal.detail


@contextmanager
def nothing_changes() -> Iterator[None]:
    """Expect that the block leaves rows and pointers as they were."""
    before = _state()
    yield
    after = _state()
    assert after == before, {key: (before[key], after[key]) for key in before}


def _state() -> dict[str, object]:
    end_reading()
    places = db.session.execute(
        select(
            Site.slug,
            Environment.name,
            Environment.release_id,
            Environment.generation,
            Environment.version,
        )
        .join(Environment, Environment.site_id == Site.id)
        .order_by(Environment.id)
    ).all()
    state: dict[str, object] = {
        model.__name__: db.session.scalar(select(func.count()).select_from(model))
        for model in (Site, Release, Submission, Promotion, SiteBackup, Domain)
    }
    state["events"] = [action for action in audit_actions() if action != "access.refused"]
    state["releases"] = db.session.execute(
        select(Release.id, Release.state, Release.version).order_by(Release.id)
    ).all()
    state["environments"] = places
    state["pointers"] = {
        (slug, name): _link(site_store().layout.pointer(slug, name)) for slug, name, *_ in places
    }
    end_reading()
    return state


def _link(path: Path) -> str | None:
    return str(path.readlink()) if path.is_symlink() else None


def staged() -> list[str]:
    """Return what lies in the staging folder, locks apart."""
    names = [path.name for path in site_store().layout.staging.iterdir()]
    return [name for name in names if not name.startswith(".")]
