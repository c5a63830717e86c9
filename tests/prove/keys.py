"""Move every stored secret to a new key while people keep writing secrets."""

import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from cryptography.fernet import Fernet
from sqlalchemy import select

from core.errors import DomainError
from models.engine import db
from models.users import User
from services import crypto, totp
from services.key_rotation import reencrypt_fields
from tests.people import FIELD_KEY, People, find, make_people

NAME = "keys"
TITLE = "Rotating the keys of fields"
THRESHOLDS = {
    "requests that failed meanwhile": "== 0",
    "secrets that need an old key afterwards": "== 0",
    "requests meanwhile": "> 0",
}
WRITERS = 4
KEYS, QUICK_KEYS = 20, 2
USERS, QUICK_USERS = 500, 20


def run(full: bool) -> dict[str, object]:
    """Add a key, encrypt everything again and take the old one away, several times over."""
    keys, users = (KEYS, USERS) if full else (QUICK_KEYS, QUICK_USERS)
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        people = make_people(Path(folder))
        _enrol(people, users)
        counts = _rotate_under_load(people, keys)
        left = _unreadable(people)
        with people.app.app_context():
            db.engine.dispose()
    return {
        "secrets": users,
        "keys in a row": keys,
        "requests meanwhile": counts["done"],
        "requests that failed meanwhile": counts["failed"],
        "secrets that need an old key afterwards": left,
    }


def _enrol(people: People, users: int) -> None:
    with people.app.app_context():
        for number in range(users):
            people.user(f"u{number}", totp_secret=crypto.encrypt(f"secret {number}"))


def _rotate_under_load(people: People, keys: int) -> dict[str, int]:
    counts, stop = {"done": 0, "failed": 0}, threading.Event()
    threads = [
        threading.Thread(target=_write, args=(people, f"u{number}", stop, counts))
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    old = FIELD_KEY
    for _ in range(keys):
        new = Fernet.generate_key().decode()
        _use(people, new, old)
        time.sleep(0.05)  # requests that began before read the settings once more
        with people.app.app_context():
            reencrypt_fields()
            reencrypt_fields()
        _use(people, new)
        old = new
    stop.set()
    for thread in threads:
        thread.join()
    return counts


def _write(people: People, name: str, stop: threading.Event, counts: dict[str, int]) -> None:
    with people.app.app_context():
        actor = people.actor(name)
        while not stop.is_set():
            try:
                secret = totp.begin(actor=actor).secret
                right = crypto.decrypt(find(name).totp_secret or "") == secret
            except DomainError:
                right = False
            counts["done" if right else "failed"] += 1


def _unreadable(people: People) -> int:
    left = 0
    with people.app.app_context():
        for value in db.session.scalars(select(User.totp_secret)):
            try:
                crypto.decrypt(value or crypto.encrypt(""))
            except DomainError:
                left += 1
    return left


def _use(people: People, *keys: str) -> None:
    settings = people.app.extensions["relevo.settings"]
    people.app.extensions["relevo.settings"] = replace(settings, field_keys=keys)
