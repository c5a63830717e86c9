"""The first start: roles, first administrator and the starter site."""

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from core.extensions import site_store
from core.settings import current_settings
from models.audit import AuditEvent
from models.engine import db
from models.sites import Site
from models.users import User
from services import promotions, publishing, seed_roles, sites, users
from services.actors import Actor, cli_actor
from services.promotion_rules import PromotionOrder
from services.releases import ReceiveOptions, UploadNote
from services.transaction import end_reading
from storage.packing import pack_directory

STARTER_SLUG = "starter"
PASSWORD_FILE = "admin-password"


@dataclass(frozen=True, kw_only=True)
class SetupReport:
    """What the first start made; all False or None on every later one."""

    admin: str | None
    password_file: Path | None
    starter_site: bool


def set_up() -> SetupReport:
    """Bring an installation to the point where somebody can sign in; safe to repeat.

    The generated password of the first administrator goes to `DATA_DIR/admin-password` with
    mode 0600, never to the log.
    """
    site_store().prepare()
    seed_roles.ensure_roles()
    admin, password_file = _make_admin()
    return SetupReport(admin=admin, password_file=password_file, starter_site=_make_starter())


def _make_admin() -> tuple[str | None, Path | None]:
    if db.session.scalar(select(User.id).limit(1)) is not None:
        end_reading()
        return None, None
    settings = current_settings()
    user, generated = users.create_first_admin(
        username=settings.admin_username,
        email=settings.admin_email,
        password=settings.admin_password,
    )
    path = _keep_password(settings.data_dir, generated) if generated else None
    return user.username, path


def _keep_password(data_dir: Path, password: str) -> Path:
    path = data_dir / PASSWORD_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"{password}\n")
    return path


def _make_starter() -> bool:
    """Publish the page that ships to test and main, so that there is something to look at.

    Happens once: a starter site that was deleted stays deleted, one that a crash left half made
    is finished, and one that somebody made is theirs.
    """
    made = select(AuditEvent.id).where(AuditEvent.action == "site.created").limit(1)
    first = db.session.scalar(made.order_by(AuditEvent.id))
    latest = db.session.scalar(
        made.where(AuditEvent.target_id == STARTER_SLUG).order_by(AuditEvent.id.desc())
    )
    site = db.session.scalar(select(Site).where(Site.slug == STARTER_SLUG))
    is_new = site is None and first is None
    is_half_made = site is not None and latest == first and _is_half_made(site)
    end_reading()
    if not is_new and not is_half_made:
        return False
    if is_new:
        sites.create_site(
            actor=_maker(),
            slug=STARTER_SLUG,
            name="Starter",
            description="The page that ships with Relevo. Change it, promote it, or delete it.",
        )
    with pack_directory(current_settings().root_dir / "sites" / STARTER_SLUG) as packed:
        publishing.upload(
            actor=_maker(),
            slug=STARTER_SLUG,
            stream=packed,
            options=ReceiveOptions(note=UploadNote(message="The page that ships with Relevo")),
        )
    promotions.promote(actor=_maker(), slug=STARTER_SLUG, order=PromotionOrder(to="main"))
    return True


def _is_half_made(site: Site) -> bool:
    """Tell that the page did not reach both environments, and that nobody did more than that."""
    return site.last_release_number <= 1 and site.last_promotion_number <= 1


def _maker() -> Actor:
    """Return the command line acting for the first administrator."""
    username = current_settings().admin_username
    user_id = db.session.scalar(select(User.id).where(User.username == username))
    end_reading()
    return cli_actor(user_id=user_id, username=username)
