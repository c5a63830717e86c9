import threading
from dataclasses import replace

import pyotp
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from core.errors import UnavailableError
from models.engine import db
from models.users import User
from services import crypto, totp
from services.key_rotation import reencrypt_fields
from tests.people import FIELD_KEY, People, find

USERS = 12


def _with_keys(people: People, *keys: str) -> None:
    settings = people.app.extensions["relevo.settings"]
    people.app.extensions["relevo.settings"] = replace(settings, field_keys=keys)


def _enrol(people: People, count: int = USERS) -> dict[str, str]:
    secrets = {}
    for number in range(count):
        people.user(f"u{number}")
        secrets[f"u{number}"] = totp.begin(actor=people.actor(f"u{number}")).secret
    return secrets


def test_every_secret_moves_to_the_new_key_and_the_old_one_can_go(inside: People) -> None:
    secrets = _enrol(inside)
    new = Fernet.generate_key().decode()
    _with_keys(inside, new, FIELD_KEY)

    changed, again = reencrypt_fields(), reencrypt_fields()

    assert (changed, again) == (USERS, 0)
    _with_keys(inside, new)
    assert {name: crypto.decrypt(find(name).totp_secret or "") for name in secrets} == secrets


def test_a_lost_key_changes_nothing(inside: People) -> None:
    _enrol(inside, 2)
    before = db.session.scalars(select(User.totp_secret)).all()
    _with_keys(inside, Fernet.generate_key().decode())

    with pytest.raises(UnavailableError):
        reencrypt_fields()

    db.session.rollback()
    assert db.session.scalars(select(User.totp_secret)).all() == before


def test_requests_run_on_while_keys_are_rotated(people: People) -> None:
    with people.app.app_context():
        _enrol(people)
    new = Fernet.generate_key().decode()
    _with_keys(people, new, FIELD_KEY)
    stop, failures = threading.Event(), []

    def keep_enrolling(name: str) -> None:
        with people.app.app_context():
            actor = people.actor(name)
            while not stop.is_set():
                secret = totp.begin(actor=actor).secret
                if crypto.decrypt(find(name).totp_secret or "") != secret:
                    failures.append(name)

    threads = [threading.Thread(target=keep_enrolling, args=(f"u{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    with people.app.app_context():
        for _ in range(5):
            reencrypt_fields()
    stop.set()
    for thread in threads:
        thread.join()

    _with_keys(people, new)
    with people.app.app_context():
        readable = [crypto.decrypt(value or "") for value in _secrets()]
    assert failures == []
    assert all(pyotp.TOTP(secret).now() for secret in readable)
    assert len(readable) == USERS


def _secrets() -> list[str | None]:
    return list(db.session.scalars(select(User.totp_secret).where(User.totp_secret.is_not(None))))
