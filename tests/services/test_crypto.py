from dataclasses import replace

import pytest
from cryptography.fernet import Fernet

from core.errors import UnavailableError
from core.settings import Settings
from services import crypto
from tests.people import People


def _with_keys(people: People, *keys: str) -> None:
    settings: Settings = people.app.extensions["relevo.settings"]
    people.app.extensions["relevo.settings"] = replace(settings, field_keys=keys)


def test_what_was_encrypted_is_read_again(inside: People) -> None:
    value = crypto.encrypt("geheim § secret")

    assert "geheim" not in value
    assert crypto.decrypt(value) == "geheim § secret"
    assert crypto.decrypt_bytes(crypto.encrypt_bytes(b"\x00\xff")) == b"\x00\xff"


def test_old_keys_still_open_and_the_first_one_encrypts(inside: People) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    _with_keys(inside, old)
    value = crypto.encrypt_bytes(b"x")
    _with_keys(inside, new, old)

    renewed = crypto.reencrypt_bytes(value)

    assert crypto.decrypt_bytes(value) == b"x"
    assert renewed is not None
    assert crypto.reencrypt_bytes(renewed) is None
    _with_keys(inside, new)
    assert crypto.decrypt_bytes(renewed) == b"x"


def test_a_lost_key_is_a_clear_refusal(inside: People) -> None:
    value = crypto.encrypt("x")
    _with_keys(inside, Fernet.generate_key().decode())

    for call in (lambda: crypto.decrypt(value), lambda: crypto.reencrypt_bytes(value.encode())):
        with pytest.raises(UnavailableError):
            call()
    _with_keys(inside)
    with pytest.raises(UnavailableError):
        crypto.encrypt("x")
