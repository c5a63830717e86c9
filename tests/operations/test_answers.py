"""Short answers go out in one piece; nothing of one is left for the next."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from core.gunicorn_worker import SHORT_ANSWER_BYTES, AnswerSocket, ApiWorker

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"{}"
Ends = tuple[AnswerSocket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)  # keeps pieces apart
    theirs.setblocking(False)
    with AnswerSocket(fileno=ours.detach()) as answering, theirs:
        yield answering, theirs


def _pieces(theirs: socket.socket) -> list[bytes]:
    found = []
    try:
        while data := theirs.recv(65536):
            found.append(data)
    except BlockingIOError:
        return found
    return found


def test_a_head_goes_out_with_its_body(ends: Ends) -> None:
    answering, theirs = ends
    answering.keeps_head = True
    answering.sendall(HEAD)
    assert _pieces(theirs) == []
    answering.sendall(BODY)
    answering.end()
    answering.sendall(b"more")

    assert _pieces(theirs) == [HEAD + BODY, b"more"]


def test_a_head_alone_goes_out_at_the_end(ends: Ends) -> None:
    answering, theirs = ends
    answering.keeps_head = True
    answering.sendall(HEAD)
    answering.end()
    answering.end()

    assert _pieces(theirs) == [HEAD]


def test_nothing_of_a_failed_answer_comes_before_the_error(ends: Ends) -> None:
    answering, theirs = ends
    answering.keeps_head = True
    answering.sendall(HEAD)
    answering.forget()
    answering.sendall(b"an error")
    answering.keeps_head = True
    answering.forget()
    answering.sendall(b"another")

    assert _pieces(theirs) == [b"an error", b"another"]


@pytest.mark.parametrize(
    ("answer", "keeps_head"),
    [
        ([BODY], True),
        ([bytes(SHORT_ANSWER_BYTES)], True),
        ([bytes(SHORT_ANSWER_BYTES + 1)], False),
        ([], False),
        ([BODY, BODY], False),
        (iter([BODY]), False),
    ],
    ids=["short", "just short", "long", "no body", "two pieces", "a stream"],
)
def test_only_a_whole_short_answer_is_put_together(
    answer: list[bytes], keeps_head: bool, ends: Ends
) -> None:
    worker = ApiWorker.__new__(ApiWorker)
    worker._application = lambda *_: answer
    environ = {"gunicorn.socket": ends[0], "wsgi.input": SimpleNamespace()}

    assert worker._answer(environ, lambda *_: None) is answer
    assert ends[0].keeps_head is keeps_head
