"""Mail to people, handed in by a job; without SMTP_URL none is sent."""

import json
import logging
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update

from core.clock import utc_now
from core.errors import InvalidInputError, UnavailableError
from core.ids import new_public_id
from core.mail import MailNotSentError, MailRefusedError, compose, hand_in, is_mail_address
from core.settings import current_settings
from models.engine import db
from models.jobs import Job
from models.mail import MailState, OutgoingMail
from models.users import User
from services.actors import system_actor
from services.crypto import decrypt, encrypt
from services.job_runs import JobRun
from services.jobs import enqueue
from services.transaction import changed_rows, end_reading, repeatable, transaction

logger = logging.getLogger("relevo.mail")

KIND = "mail.send"
MAX_ATTEMPTS = 12
MAX_TEXT = 20_000
MAX_SUBJECT = 200
MAX_QUEUED = 1_000
KEEP_DAYS = 30


def is_configured() -> bool:
    """Tell whether mail can be sent at all."""
    return current_settings().smtp is not None


def send(*, to: str, subject: str, text: str) -> bool:
    """Hand a mail to the queue; joins the open unit of work.

    Address, subject and text are kept encrypted until the mail is sent or given up.

    Returns:
        False when no mail server is set, or when MAX_QUEUED mails wait for it already.

    Raises:
        InvalidInputError: not one plain address, a subject of several lines, or too long a text.
    """
    settings = current_settings()
    if len(text) > MAX_TEXT or len(subject) > MAX_SUBJECT:
        raise InvalidInputError(f"A mail has at most {MAX_TEXT} characters.")
    try:
        compose(sender=settings.mail_from, to=to, subject=subject, text=text)
    except ValueError as error:
        raise InvalidInputError(f"This cannot be mailed: {error}.") from error
    if settings.smtp is None:
        return False
    content = encrypt(json.dumps({"to": to, "subject": subject, "text": text}))
    with transaction() as session:
        if _waiting() >= MAX_QUEUED:
            logger.error("mail dropped, too many wait", extra={"limit": MAX_QUEUED})
            return False
        mail = OutgoingMail(
            public_id=new_public_id(),
            content=content,
            state=MailState.QUEUED,
            created_at=utc_now(),
        )
        session.add(mail)
        enqueue(actor=system_actor(), kind=KIND, payload={"mail": mail.public_id})
    return True


def deliver(*, public_id: str) -> dict[str, Any]:
    """Hand one mail in, unless that was done already.

    Raises:
        UnavailableError: the mail server does not answer, or is not set any more.
    """
    content = db.session.scalar(
        select(OutgoingMail.content).where(
            OutgoingMail.public_id == public_id, OutgoingMail.state == MailState.QUEUED
        )
    )
    end_reading()
    if content is None:
        return {"sent": False}
    settings, mail = current_settings(), json.loads(decrypt(content))
    if settings.smtp is None:
        raise UnavailableError("SMTP_URL is not set.")
    try:
        hand_in(settings.smtp, compose(sender=settings.mail_from, **mail))
    except MailNotSentError as error:
        raise UnavailableError(f"The mail was not sent: {error}.") from error
    except MailRefusedError as error:
        _finish(public_id, MailState.FAILED, str(error))
        logger.warning("mail refused", extra={"mail": public_id, "error": str(error)})
        return {"sent": False, "error": str(error)}
    _finish(public_id, MailState.SENT, None)
    return {"sent": True}


def write_to(*, user: User, subject: str, text: str) -> bool:
    """Like `send`, to a user; False when they have no address that mail can go to."""
    if user.email is None or not is_mail_address(user.email):
        return False
    return send(to=user.email, subject=subject, text=text)


def run_job(job: JobRun) -> dict[str, Any]:
    """Send the mail that a job is about."""
    return deliver(public_id=job.payload["mail"])


def give_up(job: Job) -> None:
    """Forget the content of a mail whose job was given up."""
    _finish(job.payload["mail"], MailState.FAILED, job.error_detail)


def forget() -> int:
    """Delete what is left of mails that ended KEEP_DAYS ago."""
    stale = utc_now() - timedelta(days=KEEP_DAYS)
    with transaction():
        return changed_rows(delete(OutgoingMail).where(OutgoingMail.finished_at < stale))


@repeatable()
def _finish(public_id: str, state: MailState, error: str | None) -> None:
    with transaction():
        changed_rows(
            update(OutgoingMail)
            .where(OutgoingMail.public_id == public_id, OutgoingMail.state == MailState.QUEUED)
            .values(
                state=state,
                content=None,
                error=error[:200] if error else None,
                finished_at=utc_now(),
            )
        )


def _waiting() -> int:
    query = select(func.count()).select_from(OutgoingMail)
    return db.session.scalar(query.where(OutgoingMail.state == MailState.QUEUED)) or 0
