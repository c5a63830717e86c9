"""A real small mail server on loopback."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.outgoing.receivers import LOOPBACK, unused_port

USER, PASSWORD = "relevo", "canary:p@ss/word"


@dataclass
class PostOffice:
    """What was handed in; `refusals` are answered first, one for each mail."""

    port: int
    scheme: str = "smtp"
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def url(self) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusals:
            return self.refusals.pop(0)
        content = cast("bytes", envelope.content)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        self.arrived.release()
        return "250 taken"

    def check(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        login = cast("LoginPassword", data)
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=self.logins[-1] == (USER, PASSWORD))


@contextmanager
def post_office(
    *, scheme: str = "smtp", context: ssl.SSLContext | None = None
) -> Iterator[PostOffice]:
    """Run a mail server; with `smtp+starttls` and `smtps` it needs a TLS context."""
    office = PostOffice(unused_port(), scheme)
    options: dict[str, Any] = {"authenticator": office.check}  # Any: of aiosmtpd
    if scheme == "smtp+starttls":
        options |= {"tls_context": context, "require_starttls": True}
    elif scheme == "smtps":
        options |= {"ssl_context": context, "auth_require_tls": False}
    controller = Controller(office, hostname=LOOPBACK, port=office.port, **options)
    controller.start()
    try:
        yield office
    finally:
        controller.stop()
