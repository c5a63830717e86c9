"""Where the server may connect to on somebody's behalf: the guard of all outgoing connections.

Whoever may name a host could otherwise make the server talk to itself, to its database or to the
metadata service of its cloud. A name is resolved once for every connection, each address it has is
checked in every form that leads to it, and the connection goes to an address that was checked.
"""

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

RESOLVE_SECONDS = 5.0
MAX_LOOKUPS = 16
MAX_ADDRESSES = 8
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
# Resolvers read such a last label as a part of an address: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_EMBEDDED_AT_THE_END = (_NAT64, ipaddress.IPv6Network("::/96"))
# Not public, whatever the ipaddress module of this Python release says.
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)


class Failure(StrEnum):
    """Why nothing came of an outgoing call; short classes that tell nothing of our network."""

    HOST_REFUSED = "host_refused"
    NAME_NOT_RESOLVED = "name_not_resolved"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    INVALID_ANSWER = "invalid_answer"


class OutboundError(Exception):
    """The call did not happen, or had no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclass(frozen=True)
class Endpoint:
    """A host and a port, such as those of a service of our own."""

    host: str
    port: int


def host_name(host: str) -> str:
    """Return the host in lower case; an address of version 6 without its brackets.

    Raises:
        OutboundError: it is neither an address in its usual spelling nor a name.
    """
    text = host.lower()
    if ":" in text:
        return _literal(text.removeprefix("[").removesuffix("]"))
    if not text.isascii() or _NAME.fullmatch(text) is None:
        raise OutboundError(Failure.HOST_REFUSED)
    return _literal(text) if _NUMBER.fullmatch(text.rpartition(".")[2]) else text


def system_addresses(host: str, port: int) -> list[str]:
    """Ask the resolver of the system, for RESOLVE_SECONDS at most.

    Raises:
        OutboundError: there is no such name, or no answer in time.
    """
    found: list[str] = []
    if not _lookups.acquire(timeout=RESOLVE_SECONDS):
        raise OutboundError(Failure.NAME_NOT_RESOLVED)
    # getaddrinfo knows no timeout; a thread that hangs in it ends by the resolver's own.
    thread = threading.Thread(target=_look_up, args=(host, port, found), daemon=True)
    thread.start()
    thread.join(RESOLVE_SECONDS)
    if thread.is_alive() or not found:
        raise OutboundError(Failure.NAME_NOT_RESOLVED)
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Guard:
    """What may be connected to: public addresses, and networks that the operator listed.

    Args:
        allowed: networks that may be reached although they are not public.
        own: services of ours, never reached even in an allowed network.
        resolve: turns a name into addresses.
    """

    allowed: tuple[Network, ...] = ()
    own: tuple[Endpoint, ...] = ()
    resolve: Resolver = system_addresses

    def addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host, all of which may be connected to.

        One refused address refuses the host, so that it can't be had by trying again.

        Raises:
            OutboundError: the host or one of its addresses is refused, or the name is unknown.
        """
        name = host_name(host)
        if not 1 <= port <= 65535:
            raise OutboundError(Failure.HOST_REFUSED)
        try:
            found = [_parse(text) for text in self._texts(name, port)][:MAX_ADDRESSES]
        except ValueError as error:
            raise OutboundError(Failure.HOST_REFUSED) from error
        if not found:
            raise OutboundError(Failure.NAME_NOT_RESOLVED)
        for address in found:
            if not self._is_allowed(address) or self._is_own(address, port):
                raise OutboundError(Failure.HOST_REFUSED)
        return found

    def connect(self, host: str, port: int, *, timeout_seconds: float) -> socket.socket:
        """Open a TCP connection to a checked address of the host.

        Raises:
            OutboundError: the host is refused, unknown or does not answer.
        """
        failure = Failure.CONNECT_FAILED
        for address in self.addresses(host, port):
            try:
                return socket.create_connection((str(address), port), timeout_seconds)
            except TimeoutError:
                failure = Failure.TIMED_OUT
            except OSError:
                failure = Failure.CONNECT_FAILED
        raise OutboundError(failure)

    def _texts(self, name: str, port: int) -> Sequence[str]:
        try:
            return [str(ipaddress.ip_address(name))]
        except ValueError:
            return self.resolve(name, port)

    def _is_allowed(self, address: Address) -> bool:
        return all(_is_public(form) or self._is_listed(form) for form in _forms(address))

    def _is_listed(self, address: Address) -> bool:
        return any(address in network for network in self.allowed)

    def _is_own(self, address: Address, port: int) -> bool:
        """Tell whether one of our services listens there; asked last, as it may look up names."""
        for service in self.own:
            if service.port == port and self._leads_to(address, service):
                return True
        return False

    def _leads_to(self, address: Address, service: Endpoint) -> bool:
        try:
            homes = [_parse(text) for text in self._texts(service.host, service.port)]
        except (OutboundError, ValueError):
            return _is_local(address)
        if address in homes:
            return True
        return _is_local(address) and any(_is_local(home) for home in homes)


_lookups = threading.BoundedSemaphore(MAX_LOOKUPS)


def _look_up(host: str, port: int, found: list[str]) -> None:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found.extend(str(entry[4][0]) for entry in entries)
    except OSError:
        pass
    finally:
        _lookups.release()


def _literal(text: str) -> str:
    try:
        return str(_parse(text))
    except ValueError:
        raise OutboundError(Failure.HOST_REFUSED) from None


def _parse(text: str) -> Address:
    """Read an address; a mapped one (::ffff:127.0.0.1) is the one of version 4 that it stands for.

    Raises:
        ValueError: it is none, or it names an interface.
    """
    if "%" in text:
        raise ValueError("an address with an interface")
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _forms(address: Address) -> Iterator[Address]:
    """Yield the address and those of version 4 to which translators and tunnels would bring it."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _EMBEDDED_AT_THE_END):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if any(address in network for network in _NEVER_PUBLIC):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return (address in _GLOBAL_UNICAST and address.is_global) or address in _NAT64
    return address.is_global and not address.is_multicast


def _is_local(address: Address) -> bool:
    """Tell whether a connection to this address ends on this machine."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
