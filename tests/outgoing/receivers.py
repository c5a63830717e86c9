"""Receivers of webhooks on loopback: real HTTP servers, well-behaved and not."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
Speaker = Callable[[socket.socket, threading.Event], None]


@dataclass(frozen=True)
class Received:
    """One call, as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What a receiver got, and what it answers: statuses in order, the last one from then on."""

    port: int
    answers: list[int] = field(default_factory=lambda: [204])
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    calls: list[Received] = field(default_factory=list)
    scheme: str = "http"
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    hold: threading.Event | None = None
    """While set and not fired, calls get no answer."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}/hook"

    @property
    def target(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def next_status(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of callers that went away; the tests look at what arrived."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        length = int(self.headers.get("Content-Length", 0))
        received = Received(self.path, dict(self.headers.items()), self.rfile.read(length))
        receiver.calls.append(received)
        receiver.arrived.release()
        if receiver.hold is not None:
            receiver.hold.wait(30)
        status = receiver.next_status()
        self.send_response(status)
        for name, value in receiver.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(receiver.body)))
        self.end_headers()
        self.wfile.write(receiver.body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@contextmanager
def receiving(
    *, address: str = LOOPBACK, port: int = 0, context: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Run a receiver; with a TLS context an https one."""
    server = _Server((address, port), _Handler)
    if context is not None:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.receiver = Receiver(server.server_address[1], scheme="https" if context else "http")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.receiver
    finally:
        if server.receiver.hold is not None:
            server.receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def talking(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """Run a server that does with each connection what `speak` says; yields its port."""
    stop = threading.Event()
    listener = socket.create_server((LOOPBACK, 0))
    listener.settimeout(0.05)

    def run() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                try:
                    speak(connection, stop)
                except OSError:
                    continue  # the caller had enough

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join()
        listener.close()


def silent(connection: socket.socket, stop: threading.Event) -> None:
    """Accept and never say anything."""
    stop.wait(30)


def dripping(connection: socket.socket, stop: threading.Event) -> None:
    """Send a status line and then headers for ever, a byte at a time."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not stop.is_set():
        connection.sendall(b"x")
        time.sleep(0.01)


def dripping_handshake(connection: socket.socket, stop: threading.Event) -> None:
    """Begin a long TLS record and send it a byte at a time."""
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
    while not stop.is_set():
        connection.sendall(b"x")
        time.sleep(0.01)


def flooding(connection: socket.socket, stop: threading.Event) -> None:
    """Answer with a body that never ends."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while not stop.is_set():
        connection.sendall(b"y" * 65536)


def babbling(connection: socket.socket, stop: threading.Event) -> None:
    """Answer with something that is not HTTP."""
    connection.recv(65536)
    connection.sendall(b"220 mail.example ESMTP\r\n")


def unused_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one test."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def context(self, *names: str) -> ssl.SSLContext:
        """Return what a server needs that proves to be `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [_general(name) for name in names]
        builder = _builder("server", self.certificate.subject, key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName(subject), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        file = self.folder / f"server-{names[0].replace(':', '-')}.pem"
        file.write_bytes(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def make_authority(folder: Path) -> Authority:
    """Make a certificate authority; programs trust it by SSL_CERT_FILE."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    builder = _builder("test authority", name, key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    certificate = builder.sign(key, hashes.SHA256())
    authority = Authority(folder, key, certificate)
    authority.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return authority


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the real clock
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
