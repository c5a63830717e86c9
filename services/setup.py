"""The first start: roles, first administrator and the starter site."""

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from core.settings import current_settings
from models.engine import db
from models.sites import Site
from models.users import User
from services import promotions, publishing, seed_roles, sites, users
from services.actors import cli_actor
from services.promotions import PromotionOrder
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
    seed_roles.ensure_roles()
    first_start = db.session.scalar(select(func.count()).select_from(User)) == 0
    end_reading()
    if not first_start:
        return SetupReport(admin=None, password_file=None, starter_site=False)
    settings = current_settings()
    user, generated = users.create_first_admin(
        username=settings.admin_username,
        email=settings.admin_email,
        password=settings.admin_password,
    )
    password_file = _keep_password(settings.data_dir, generated) if generated else None
    return SetupReport(
        admin=user.username, password_file=password_file, starter_site=_make_starter(user)
    )


def _keep_password(data_dir: Path, password: str) -> Path:
    path = data_dir / PASSWORD_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"{password}\n")
    return path


def _make_starter(user: User) -> bool:
    """Publish the page that ships to test and main, so that there is something to look at."""
    if db.session.scalar(select(Site.id).where(Site.slug == STARTER_SLUG)) is not None:
        return False
    actor = cli_actor(user_id=user.id, username=user.username)
    sites.create_site(
        actor=actor,
        slug=STARTER_SLUG,
        name="Starter",
        description="The page that ships with Relevo. Change it, promote it, or delete it.",
    )
    with pack_directory(current_settings().root_dir / "sites" / "starter") as packed:
        publishing.upload(
            actor=actor,
            slug=STARTER_SLUG,
            stream=packed,
            options=ReceiveOptions(note=UploadNote(message="The page that ships with Relevo")),
        )
    promotions.promote(actor=actor, slug=STARTER_SLUG, order=PromotionOrder(to="main"))
    return True
