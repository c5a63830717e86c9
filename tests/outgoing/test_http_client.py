import ipaddress
import time
from pathlib import Path

import pytest

from core.outbound import Failure, Guard, OutboundError
from core.outbound_http import Answer, CallLimits, post
from tests.outgoing import receivers
from tests.outgoing.receivers import LOOPBACK, Authority, receiving, talking
from tests.outgoing.test_guard import LISTED, Rebinding

QUICK = CallLimits(connect_seconds=0.3, total_seconds=0.4, answer_bytes=1024)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A certificate authority that this process trusts."""
    made = receivers.make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def send(url: str, *, name: str = LOOPBACK, limits: CallLimits = QUICK) -> Answer:
    """Call a receiver on loopback by a name that leads there."""
    guard = Guard(allowed=LISTED, resolve=lambda _host, _port: [LOOPBACK])
    headers = {"Content-Type": "application/json"}
    return post(
        guard=guard,
        url=url.replace(LOOPBACK, name),
        headers=headers,
        body=b'{"a": 1}',
        limits=limits,
    )


def test_a_call_arrives_with_the_name_it_was_made_by() -> None:
    with receiving() as receiver:
        receiver.answers, receiver.body = [200], b"thanks"

        answer = send(receiver.url + "?a=b", name="hooks.example")

    assert (answer.status, answer.body) == (200, b"thanks")
    assert [(call.path, call.body) for call in receiver.calls] == [("/hook?a=b", b'{"a": 1}')]
    assert receiver.calls[0].headers["Host"] == f"hooks.example:{receiver.port}"


def test_a_rebound_name_is_looked_up_once_and_called_at_that_address() -> None:
    with (
        receiving(address="127.0.0.2") as good,
        receiving(address="127.0.0.3", port=good.port) as other,
    ):
        resolver = Rebinding([["127.0.0.2"], ["127.0.0.3"]])
        guard = Guard(allowed=(ipaddress.ip_network("127.0.0.2/32"),), resolve=resolver)

        post(guard=guard, url=f"http://a.example:{good.port}/", headers={}, body=b"")
        with pytest.raises(OutboundError, match="host_refused"):
            post(guard=guard, url=f"http://a.example:{good.port}/", headers={}, body=b"")

    assert (len(good.calls), len(other.calls)) == (1, 0)
    assert len(resolver.asked) == 2


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiving() as inside, receiving() as receiver:
        receiver.answers, receiver.headers = [307], {"Location": inside.url}

        answer = send(receiver.url)

    assert answer.status == 307
    assert inside.calls == []


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{proxy.port}")
        monkeypatch.setenv("HTTP_PROXY", f"http://{LOOPBACK}:{proxy.port}")

        send(receiver.url)

    assert (len(proxy.calls), len(receiver.calls)) == (0, 1)


@pytest.mark.parametrize(
    ("speak", "failure"),
    [
        (receivers.silent, Failure.TIMED_OUT),
        (receivers.dripping, Failure.TIMED_OUT),
        (receivers.babbling, Failure.INVALID_ANSWER),
    ],
    ids=["silent", "dripping", "babbling"],
)
def test_a_target_that_never_answers_properly_is_given_up(
    speak: receivers.Speaker, failure: Failure
) -> None:
    with talking(speak) as port:
        started = time.monotonic()
        with pytest.raises(OutboundError) as failed:
            send(f"http://{LOOPBACK}:{port}/")

    assert failed.value.failure is failure
    assert time.monotonic() - started < 5


def test_a_handshake_that_drips_ends_in_time(authority: Authority) -> None:
    with talking(receivers.dripping_handshake) as port, pytest.raises(OutboundError) as failed:
        send(f"https://{LOOPBACK}:{port}/", name="hooks.example")

    assert failed.value.failure is Failure.TIMED_OUT


def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    with talking(receivers.flooding) as port:
        answer = send(f"http://{LOOPBACK}:{port}/")

    assert (answer.status, answer.body) == (200, b"y" * 1024)


def test_a_certificate_for_the_name_is_accepted(authority: Authority) -> None:
    with receiving(context=authority.context("hooks.example")) as receiver:
        answer = send(receiver.url, name="hooks.example", limits=CallLimits())

    assert answer.status == 204


def test_a_certificate_for_an_address_is_accepted(authority: Authority) -> None:
    with receiving(context=authority.context(LOOPBACK)) as receiver:
        assert send(receiver.url, limits=CallLimits()).status == 204


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with (
        receiving(context=authority.context("other.example")) as receiver,
        pytest.raises(OutboundError) as failed,
    ):
        send(receiver.url, name="hooks.example", limits=CallLimits())

    assert failed.value.failure is Failure.TLS_FAILED
    assert receiver.calls == []


def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    unknown = receivers.make_authority(tmp_path)
    with (
        receiving(context=unknown.context("hooks.example")) as receiver,
        pytest.raises(OutboundError) as failed,
    ):
        send(receiver.url, name="hooks.example", limits=CallLimits())

    assert failed.value.failure is Failure.TLS_FAILED
    assert receiver.calls == []


def test_nobody_at_home_is_a_failed_connection() -> None:
    with pytest.raises(OutboundError) as failed:
        send(f"http://{LOOPBACK}:{receivers.unused_port()}/")

    assert failed.value.failure is Failure.CONNECT_FAILED
