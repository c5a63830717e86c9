import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from config import load_settings
from core.outbound import Endpoint, Failure, Guard, OutboundError, host_name
from core.outbound_http import destination
from services.outbound import own_services
from tests.outgoing.receivers import LOOPBACK, receiving, unused_port
from tests.people import ENVIRONMENT

LISTED = (ipaddress.ip_network("127.0.0.0/8"),)

HOSTILE = (
    "localhost",
    "127.0.0.1",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0.0.0x1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "localhost.",
    "127.0.0.1.",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "3232235777",
    "169.254.169.254",
    "169.254.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[fc00::1]",
    "[fd12:3456:789a::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "[127.0.0.1]",
    "*",
    "a_b.example",
    "-a.example",
    "a..example",
    "x" * 64 + ".example",
)

NO_ADDRESSES = (
    "",
    "hooks.example",
    "//hooks.example/",
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "gopher://hooks.example/",
    "http:hooks.example",
    "http:///path",
    "http://user@hooks.example/",
    "http://user:password@hooks.example/",
    "http://hooks.example@127.0.0.1/",
    "http://hooks.example\\@127.0.0.1/",
    "http://hooks.example:0/",
    "http://hooks.example:65536/",
    "http://hooks.example:999999/",
    "http://hooks.example:x/",
    "http://hooks.example:/",
    "http://hooks.example#fragment",
    "http://hooks.example/#fragment",
    "http://hooks .example/",
    "http://hooks.example/\r\nHost: other",
    "http://hooks.example/\tx",
    "\nhttp://hooks.example/",
    "http://hööks.example/",
    "http://①②⑦.0.0.1/",
    "http://[fe80::1%25eth0]/",
    "http://[::1/",
    "http://hooks.example/" + "x" * 2000,
)


@pytest.mark.parametrize("host", HOSTILE)
def test_a_host_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(OutboundError) as refusal:
        place = destination(f"http://{host}/")
        Guard().addresses(place.host, place.port)

    assert refusal.value.failure is Failure.HOST_REFUSED


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        destination(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://1.1.1.1", ("https", "1.1.1.1", 443, "/", "1.1.1.1")),
        ("HTTP://1.1.1.1:8080?a=b", ("http", "1.1.1.1", 8080, "/?a=b", "1.1.1.1:8080")),
        (
            "https://[2606:4700::1111]/x",
            ("https", "2606:4700::1111", 443, "/x", "[2606:4700::1111]"),
        ),
        (
            "https://Hooks.Example:8443/a%20b?c",
            ("https", "hooks.example", 8443, "/a%20b?c", "hooks.example:8443"),
        ),
    ],
)
def test_a_web_address_is_taken_apart(url: str, parts: tuple[object, ...]) -> None:
    place = destination(url)

    assert (place.scheme, place.host, place.port, place.target, place.name) == parts


def test_public_addresses_are_allowed_also_behind_a_translator() -> None:
    guard = Guard()

    assert [str(found) for found in guard.addresses("1.1.1.1", 443)] == ["1.1.1.1"]
    assert guard.addresses("2606:4700::1111", 443)
    assert guard.addresses("64:ff9b::101:101", 443)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    guard = Guard(resolve=lambda _host, _port: ["1.1.1.1", "10.0.0.1"])

    with pytest.raises(OutboundError, match="host_refused"):
        guard.addresses("hooks.example", 443)


@pytest.mark.parametrize("answer", ["fe80::1%lo", "::ffff:127.0.0.1", "not an address"])
def test_what_a_resolver_says_is_checked_like_what_a_person_says(answer: str) -> None:
    guard = Guard(resolve=lambda _host, _port: [answer])

    with pytest.raises(OutboundError, match="host_refused"):
        guard.addresses("hooks.example", 443)


def test_a_listed_network_is_allowed_in_every_spelling_of_its_addresses() -> None:
    guard = Guard(allowed=LISTED)

    assert guard.addresses("127.0.0.1", 9) == guard.addresses("::ffff:127.0.0.1", 9)
    for elsewhere in ("10.0.0.1", "::1", "169.254.169.254"):
        with pytest.raises(OutboundError, match="host_refused"):
            guard.addresses(elsewhere, 9)


@pytest.mark.parametrize("own", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_services_of_ours_are_refused_even_in_a_listed_network(own: str) -> None:
    guard = Guard(allowed=LISTED, own=(Endpoint(own, 8000),))

    with pytest.raises(OutboundError, match="host_refused"):
        guard.addresses("127.0.0.2", 8000)
    assert guard.addresses("127.0.0.2", 8001)


def test_a_service_elsewhere_is_refused_by_its_address() -> None:
    names = {"database.example": ["1.1.1.1"], "other.example": ["1.1.1.1"]}
    guard = Guard(
        own=(Endpoint("database.example", 5432),), resolve=lambda host, _port: names[host]
    )

    with pytest.raises(OutboundError, match="host_refused"):
        guard.addresses("other.example", 5432)
    assert guard.addresses("other.example", 443)


def test_an_unknown_name_is_told_from_a_refused_one() -> None:
    with pytest.raises(OutboundError) as failed:
        Guard().addresses("nobody.invalid", 443)

    assert failed.value.failure is Failure.NAME_NOT_RESOLVED


@dataclass
class Rebinding:
    """A resolver that gives another answer each time it is asked."""

    answers: list[Sequence[str]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0)


def test_a_connection_goes_to_the_address_that_was_checked() -> None:
    with receiving(address="127.0.0.2") as good, receiving(address="127.0.0.3", port=good.port):
        resolver = Rebinding([["127.0.0.2"], ["127.0.0.3"]])
        guard = Guard(allowed=(ipaddress.ip_network("127.0.0.2/32"),), resolve=resolver)

        with guard.connect("hooks.example", good.port, timeout_seconds=2) as connection:
            peer = connection.getpeername()[0]

    assert peer == "127.0.0.2"
    assert resolver.asked == ["hooks.example"]


def test_every_connection_is_checked_again() -> None:
    with receiving() as receiver:
        guard = Guard(allowed=LISTED, resolve=Rebinding([[LOOPBACK], ["10.0.0.1"]]))

        guard.connect("hooks.example", receiver.port, timeout_seconds=2).close()
        with pytest.raises(OutboundError, match="host_refused"):
            guard.connect("hooks.example", receiver.port, timeout_seconds=2)


def test_a_closed_port_is_a_failed_connection() -> None:
    with pytest.raises(OutboundError) as failed:
        Guard(allowed=LISTED).connect(LOOPBACK, unused_port(), timeout_seconds=2)

    assert failed.value.failure is Failure.CONNECT_FAILED


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with receiving() as receiver:
        answers = [["127.0.0.9", LOOPBACK]]
        guard = Guard(allowed=LISTED, resolve=Rebinding(list(answers)))

        with guard.connect("hooks.example", receiver.port, timeout_seconds=2) as connection:
            assert connection.getpeername() == (LOOPBACK, receiver.port)


def test_own_addresses_of_this_machine_count_as_local() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("1.1.1.1", 9))  # sends nothing, only chooses a way out
        own = probe.getsockname()[0]
    guard = Guard(allowed=(ipaddress.ip_network(own),), own=(Endpoint("127.0.0.1", 8000),))

    with pytest.raises(OutboundError, match="host_refused"):
        guard.addresses(own, 8000)


def test_a_host_is_written_in_one_way() -> None:
    assert host_name("Hooks.Example") == "hooks.example"
    assert host_name("[2606:4700:0:0::1111]") == "2606:4700::1111"


def test_every_service_of_the_installation_counts_as_its_own(tmp_path: Path) -> None:
    settings = load_settings(
        {
            **ENVIRONMENT,
            "DATA_DIR": str(tmp_path),
            "HOST": "0.0.0.0",
            "DATABASE_URL": "postgresql://relevo:pw@database.example/relevo",
            "REDIS_URL": "redis://cache.example/1",
            "CELERY_BROKER_URL": "amqp://relevo:pw@broker.example//",
            "SMTP_URL": "smtps://mail.example",
        }
    )

    assert set(own_services(settings)) == {
        Endpoint("localhost", 8000),
        Endpoint("localhost", 8080),
        Endpoint("database.example", 5432),
        Endpoint("cache.example", 6379),
        Endpoint("broker.example", 5672),
        Endpoint("mail.example", 465),
    }
