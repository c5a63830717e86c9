"""Secrets of webhooks with known values: none is in the database, an audit event or a log."""

from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from cryptography.fernet import Fernet
from standardwebhooks import Webhook as Verifier

from core.clock import utc_now
from core.mail import SmtpServer
from models.engine import Base, db
from models.webhooks import DisabledReason, Webhook
from services import webhook_pump, webhooks
from services.key_rotation import reencrypt_fields
from services.transaction import end_reading, transaction
from services.webhook_disabling import disable
from services.webhooks import NewSecret
from tests.factories import OPERATOR, make_site
from tests.outgoing.hooks import happen, hook, make_hook, pump_and_work
from tests.outgoing.post_office import post_office
from tests.outgoing.receivers import Receiver
from tests.people import FIELD_KEY, People
from tests.working import work_off


def rotate(made: NewSecret) -> NewSecret:
    return webhooks.rotate_secret(
        actor=OPERATOR, public_id=made.webhook.public_id, overlap_minutes=60
    )


def dump() -> str:
    """Return whatever stands in any row, as the engine keeps it."""
    end_reading()
    with db.engine.connect() as connection:
        return "\n".join(
            str(value)
            for table in Base.metadata.tables.values()
            for row in connection.execute(table.select())
            for value in row
        )


def test_no_row_and_no_log_holds_a_secret(
    calling: People, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    receiver.answers = [500]
    old = make_hook(f"{receiver.url}?key=canary-in-address", "promotion.*")
    new = rotate(old)
    happen()

    pump_and_work()

    told = "\n".join(str(vars(record)) for record in caplog.records)
    for secret in (old.secret, new.secret):
        for form in (secret, secret.removeprefix("whsec_")):
            assert form not in dump()
            assert form not in told
    assert "webhook called" in told
    ours = [record for record in caplog.records if record.name.startswith("relevo")]
    assert "canary-in-address" not in "\n".join(str(vars(record)) for record in ours)


def test_both_secrets_move_to_a_new_key(calling: People, receiver: Receiver) -> None:
    old = make_hook(receiver.url, "promotion.*")
    new = rotate(old)
    settings = calling.app.extensions["relevo.settings"]
    key = Fernet.generate_key().decode()
    calling.app.extensions["relevo.settings"] = replace(settings, field_keys=(key, FIELD_KEY))

    changed, again = reencrypt_fields(), reencrypt_fields()

    calling.app.extensions["relevo.settings"] = replace(settings, field_keys=(key,))
    end_reading()
    db.session.expire_all()
    happen()
    pump_and_work()
    (call,) = receiver.calls
    assert (changed, again) == (2, 0)
    for secret in (old.secret, new.secret):
        Verifier(secret).verify(call.body, call.headers)


def test_the_keepers_of_a_webhook_are_told_that_it_was_switched_off(
    calling: People, receiver: Receiver
) -> None:
    for name in ("ana", "ben", "eve"):
        calling.user(name)
    calling.user("off", is_active=False)
    make_site("web", ana="owner", ben="reader", off="owner")
    made = make_hook(receiver.url, "promotion.*", site="web")
    with post_office() as office:
        settings = calling.app.extensions["relevo.settings"]
        smtp = SmtpServer.from_url(office.url)
        calling.app.extensions["relevo.settings"] = replace(settings, smtp=smtp)
        with transaction() as session:
            row = session.get_one(Webhook, made.webhook.id)
            disable(webhook=row, reason=DisabledReason.FAILING)
        work_off()

    assert office.recipients == [["ana@example.org"]]
    text = office.mails[0].get_content()
    assert receiver.target in text
    assert "site web" in text
    assert "/hook" not in text


def test_a_secret_that_was_replaced_is_deleted_when_the_overlap_is_over(
    calling: People, receiver: Receiver
) -> None:
    made = rotate(make_hook(receiver.url, "promotion.*"))
    webhook_pump.forget()
    during = hook(made.webhook).previous_secret

    with time_machine.travel(utc_now() + timedelta(hours=2)):
        webhook_pump.forget()

    found = hook(made.webhook)
    assert during is not None
    assert (found.previous_secret, found.previous_secret_until) == (None, None)
