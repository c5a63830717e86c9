"""Hand a mail to an SMTP server, and nothing else: whom to write and when is decided elsewhere."""

import ipaddress
import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from core.clock import utc_now

TIMEOUT_SECONDS = 15.0
MAX_ADDRESS = 254
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
FORM = "must look like smtp+starttls://user:password@mail.example.org:587"


class SmtpSecurity(StrEnum):
    """How the connection to the mail server is encrypted; the value is the scheme of SMTP_URL."""

    NONE = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


PORTS = {SmtpSecurity.NONE: 25, SmtpSecurity.STARTTLS: 587, SmtpSecurity.TLS: 465}


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """Where mail is handed in, and as whom."""

    security: SmtpSecurity
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "SmtpServer":
        """Read SMTP_URL.

        Raises:
            ValueError: it is none, or a password would travel without encryption; the message
                holds no part of it.
        """
        try:
            parts = urlsplit(url)
            security, host = SmtpSecurity(parts.scheme), parts.hostname
            port = parts.port or PORTS[security]
        except ValueError:
            raise ValueError(FORM) from None
        if not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(FORM)
        if parts.password and security is SmtpSecurity.NONE and not _is_loopback(host):
            raise ValueError("would send a password in the clear; use smtp+starttls:// or smtps://")
        return cls(
            security=security,
            host=host,
            port=port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


class MailRefusedError(Exception):
    """The server will never take this mail; trying again is of no use."""


class MailNotSentError(Exception):
    """The mail server could not be reached or was busy; trying again may help."""


def is_mail_address(text: str) -> bool:
    """Tell whether `text` is one plain address: no name, no list, no line break, no quoting."""
    return len(text) <= MAX_ADDRESS and _ADDRESS.fullmatch(text) is not None


def compose(*, sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """Write a mail of plain text.

    Raises:
        ValueError: an address is none, or the subject has more than one line.
    """
    if not (is_mail_address(sender) and is_mail_address(to)):
        raise ValueError("not an e-mail address")
    if not subject.isprintable():
        raise ValueError("a subject is one line")
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def hand_in(server: SmtpServer, message: EmailMessage) -> None:
    """Give the mail to the server.

    Raises:
        MailRefusedError: the server refused it for good (a status of 5xx).
        MailNotSentError: it could not be reached, or asked to come back later.
    """
    try:
        with _connected(server) as connection:
            if server.username is not None:
                connection.login(server.username, server.password or "")
            connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal([code for code, _ in error.recipients.values()]) from None
    except smtplib.SMTPAuthenticationError:
        raise MailNotSentError("the mail server refused the login") from None
    except smtplib.SMTPResponseException as error:
        raise _refusal([error.smtp_code]) from None
    except (smtplib.SMTPException, OSError) as error:
        raise MailNotSentError(type(error).__name__) from None


def _connected(server: SmtpServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.security is SmtpSecurity.TLS:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    if server.security is SmtpSecurity.STARTTLS:
        try:
            connection.starttls(context=context)
        except BaseException:
            connection.close()
            raise
    return connection


def _refusal(codes: list[int]) -> Exception:
    """Return what the statuses mean; the server's words may hold addresses and stay unsaid."""
    told = "the mail server answered " + ", ".join(str(code) for code in codes)
    return MailRefusedError(told) if all(code >= 500 for code in codes) else MailNotSentError(told)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
