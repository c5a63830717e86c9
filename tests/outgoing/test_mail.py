from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
import time_machine
from cryptography.fernet import Fernet
from sqlalchemy import select

from config import load_settings
from core.clock import utc_now
from core.errors import InvalidInputError
from core.mail import SmtpSecurity, SmtpServer
from core.settings import SettingError
from models.engine import db
from models.jobs import Job, JobState
from models.mail import MailState, OutgoingMail
from services import mail
from services.actors import cli_actor
from services.invitations import LinkKind, make_link
from services.key_rotation import reencrypt_fields
from services.transaction import end_reading
from services.users import create_user
from tests.factories import count
from tests.outgoing import receivers
from tests.outgoing.post_office import PASSWORD, USER, PostOffice, post_office
from tests.people import ENVIRONMENT, FIELD_KEY, People
from tests.working import work_off

LOGIN = "relevo:canary%3Ap%40ss%2Fword@"


def use(people: People, url: str | None) -> None:
    """Set SMTP_URL."""
    settings = people.app.extensions["relevo.settings"]
    server = SmtpServer.from_url(url) if url else None
    changed = replace(settings, smtp=server, mail_from="relevo@example.org")
    people.app.extensions["relevo.settings"] = changed


@pytest.fixture
def office(inside: People) -> Iterator[PostOffice]:
    """A mail server that this installation uses."""
    with post_office() as running:
        use(inside, running.url)
        yield running


def rows() -> list[OutgoingMail]:
    end_reading()
    query = select(OutgoingMail).order_by(OutgoingMail.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def text_of(letter: EmailMessage) -> str:
    """Return the text with the line ends that it was written with."""
    return str(letter.get_content()).replace("\r\n", "\n")


def write(text: str = "Grüße aus Graz\n") -> bool:
    return mail.send(to="ana@example.org", subject="Über alles", text=text)


def test_a_mail_arrives_as_it_was_written(office: PostOffice) -> None:
    sent = write()
    work_off()

    (letter,) = office.mails
    assert sent is True
    assert office.recipients == [["ana@example.org"]]
    assert (letter["From"], letter["To"]) == ("relevo@example.org", "ana@example.org")
    assert letter["Subject"] == "Über alles"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert text_of(letter) == "Grüße aus Graz\n"


def test_what_a_mail_says_is_in_no_row_in_the_clear_and_goes_when_it_was_sent(
    office: PostOffice,
) -> None:
    write("canary-text")
    (waiting,), (job,) = rows(), db.session.scalars(select(Job)).all()
    stored, payload = str(waiting.content), str(job.payload)
    work_off()

    assert "canary" not in stored
    assert payload == str({"mail": waiting.public_id})
    assert [(row.state, row.content) for row in rows()] == [(MailState.SENT, None)]


@pytest.mark.parametrize(
    "to",
    [
        "ana@example.org\r\nBcc: eve@example.org",
        "ana@example.org\nX: y",
        "ana@example.org, eve@example.org",
        "Ana <ana@example.org>",
        "ana@example.org\x00",
        '"a b"@example.org',
        "ana",
        "@example.org",
        "ana@",
        "a" * 65 + "@example.org",
    ],
)
def test_what_is_not_one_plain_address_is_refused(office: PostOffice, to: str) -> None:
    with pytest.raises(InvalidInputError):
        mail.send(to=to, subject="Hello", text="Hello")

    assert rows() == []


@pytest.mark.parametrize("subject", ["a\r\nBcc: eve@example.org", "a\nb", "a\rb", "a\x00b"])
def test_a_subject_of_several_lines_is_refused(office: PostOffice, subject: str) -> None:
    with pytest.raises(InvalidInputError):
        mail.send(to="ana@example.org", subject=subject, text="Hello")

    assert rows() == []


def test_a_line_of_the_text_that_looks_like_the_end_is_text(office: PostOffice) -> None:
    write("first\n.\nMAIL FROM:<eve@example.org>\n")
    work_off()

    assert text_of(office.mails[0]) == "first\n.\nMAIL FROM:<eve@example.org>\n"
    assert len(office.mails) == 1


def test_too_long_a_text_is_refused(office: PostOffice) -> None:
    with pytest.raises(InvalidInputError):
        write("x" * 20_001)


def test_without_a_server_nothing_is_kept(inside: People) -> None:
    assert write() is False
    assert (rows(), count(Job)) == ([], 0)


def test_a_busy_server_is_tried_again(office: PostOffice) -> None:
    office.refusals = ["451 come back later", "421 busy"]
    write()
    work_off()
    assert office.mails == []

    with time_machine.travel(utc_now() + timedelta(seconds=6)):
        work_off()
        with time_machine.travel(utc_now() + timedelta(seconds=30)):
            work_off()

    assert len(office.mails) == 1
    assert [row.state for row in rows()] == [MailState.SENT]


def test_a_refused_mail_is_not_tried_again(office: PostOffice) -> None:
    office.refusals = ["550 no such person"]
    write()
    work_off()

    (row,) = rows()
    assert (row.state, row.content) == (MailState.FAILED, None)
    assert row.error == "the mail server answered 550"
    with time_machine.travel(utc_now() + timedelta(days=1)):
        assert work_off() == 0


def test_a_mail_is_given_up_and_forgotten_when_nobody_takes_it(inside: People) -> None:
    use(inside, f"smtp://127.0.0.1:{receivers.unused_port()}")
    write()
    attempts = work_off()

    for hour in range(1, mail.MAX_ATTEMPTS + 1):
        with time_machine.travel(utc_now() + timedelta(hours=2 * hour)):
            attempts += work_off()

    assert attempts == mail.MAX_ATTEMPTS
    assert [(row.state, row.content) for row in rows()] == [(MailState.FAILED, None)]
    assert [job.state for job in db.session.scalars(select(Job))] == [JobState.FAILED]


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_the_password_goes_only_to_a_server_that_proves_its_name(
    inside: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    authority = receivers.make_authority(tmp_path)
    with post_office(scheme=scheme, context=authority.context("127.0.0.1")) as office:
        use(inside, office.url.replace("://", f"://{LOGIN}"))
        write()
        work_off()
        untrusted = list(office.logins)

        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        with time_machine.travel(utc_now() + timedelta(seconds=6)):
            work_off()

        assert untrusted == []
        assert office.logins == [(USER, PASSWORD)]
        assert len(office.mails) == 1


def test_an_invitation_is_mailed_and_still_returned(office: PostOffice) -> None:
    new = create_user(actor=cli_actor(), username="ben", email="ben@example.org")
    work_off()

    (letter,) = office.mails
    assert letter["To"] == "ben@example.org"
    assert new.invitation_url is not None
    assert new.invitation_url in letter.get_content()
    assert "ben" in letter.get_content()


def test_a_reset_link_is_mailed_and_still_returned(inside: People, office: PostOffice) -> None:
    user = inside.user("ana")

    link = make_link(actor=cli_actor(), user=user, kind=LinkKind.RESET)
    work_off()

    assert link.url in office.mails[0].get_content()


@pytest.mark.parametrize("email", [None, "ána@example.org", "ana,eve@example.org"])
def test_a_link_is_made_for_somebody_who_cannot_be_mailed(
    inside: People, office: PostOffice, email: str | None
) -> None:
    user = inside.user("ana", email=email)

    assert make_link(actor=cli_actor(), user=user, kind=LinkKind.RESET).url
    assert (work_off(), office.mails) == (0, [])


def test_a_mail_that_waits_moves_to_a_new_key(inside: People, office: PostOffice) -> None:
    write()
    settings = inside.app.extensions["relevo.settings"]
    new = Fernet.generate_key().decode()
    inside.app.extensions["relevo.settings"] = replace(settings, field_keys=(new, FIELD_KEY))

    changed = reencrypt_fields()
    inside.app.extensions["relevo.settings"] = replace(settings, field_keys=(new,))
    work_off()

    assert changed == 1
    assert len(office.mails) == 1


def test_what_is_left_of_old_mails_is_forgotten(office: PostOffice) -> None:
    write()
    work_off()

    with time_machine.travel(utc_now() + timedelta(days=31)):
        assert mail.forget() == 1

    assert rows() == []


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer(security=SmtpSecurity.NONE, host="mail", port=25)),
        ("smtps://mail", SmtpServer(security=SmtpSecurity.TLS, host="mail", port=465)),
        (
            f"smtp+starttls://{LOGIN}mail.example:2525",
            SmtpServer(
                security=SmtpSecurity.STARTTLS,
                host="mail.example",
                port=2525,
                username=USER,
                password=PASSWORD,
            ),
        ),
    ],
)
def test_the_address_of_the_server_is_read(url: str, server: SmtpServer) -> None:
    assert SmtpServer.from_url(url) == server
    assert PASSWORD not in repr(server)


@pytest.mark.parametrize(
    "values",
    [
        {"SMTP_URL": "mail.example"},
        {"SMTP_URL": "http://mail.example"},
        {"SMTP_URL": "smtp://"},
        {"SMTP_URL": "smtp://mail.example:99999"},
        {"SMTP_URL": "smtp://mail.example/path"},
        {"SMTP_URL": "smtp://user:canary@mail.example"},
        {"MAIL_FROM": "nobody"},
        {"MAIL_FROM": "a@b.org\r\nBcc: c@d.org"},
        {"WEBHOOK_ALLOWED_CIDRS": "10.0.0.1/8"},
        {"WEBHOOK_ALLOWED_CIDRS": "everything"},
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start(
    tmp_path: Path, values: dict[str, str]
) -> None:
    with pytest.raises(SettingError) as refusal:
        load_settings({**ENVIRONMENT, "DATA_DIR": str(tmp_path), **values})

    assert str(refusal.value).startswith(next(iter(values)))
    assert "canary" not in str(refusal.value)


def test_the_sender_is_at_the_host_of_the_installation(tmp_path: Path) -> None:
    place = {**ENVIRONMENT, "DATA_DIR": str(tmp_path)}

    settings = load_settings({**place, "PUBLIC_URL": "https://relevo.example.org"})

    assert settings.mail_from == "relevo@relevo.example.org"
    assert load_settings(place).mail_from == "relevo@localhost"
