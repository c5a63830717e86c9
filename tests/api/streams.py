"""Read server-sent events: whole answers, and answers that go on."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.api.served import Served
from tests.people import Caller

OPEN_SECONDS = 20


@dataclass
class Message:
    """One block of a stream; `data` is JSON of every shape."""

    id: str | None = None
    event: str | None = None
    data: Any = None
    comments: list[str] = field(default_factory=list)


def parsed(lines: Iterator[str]) -> Iterator[Message]:
    """Yield the blocks of a stream."""
    message = Message()
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "":
            yield message
            message = Message()
        elif name == "":
            message.comments.append(value)
        elif name == "data":
            message.data = json.loads(value)
        elif name in ("id", "event"):
            setattr(message, name, value)


def told(caller: Caller, query: str = "last_event_id=0", **headers: str) -> list[Message]:
    """Return what is told at once, without waiting for more."""
    answer = caller.get(f"/events?timeout_seconds=0&{query}", **headers)
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "text/event-stream"
    return list(parsed(iter(answer.text.split("\n")[:-1])))


def topics(messages: list[Message]) -> list[str | None]:
    """Return the names of events, without the first comment and the end."""
    return [message.event for message in messages[1:-1]]


def ask(served: Served, token: str, query: str = "", **headers: str) -> requests.Response:
    """Ask for a stream and return the answer as it begins."""
    return requests.get(
        f"{served.url}/api/v1/events?{query}",
        headers={"Authorization": f"Bearer {token}", **headers},
        stream=True,
        timeout=OPEN_SECONDS,
    )


class Stream:
    """A stream that is open; leave the block to close it."""

    def __init__(self, served: Served, token: str, query: str = "", **headers: str) -> None:
        """Open it, coming back while all places are taken: some may be given back just now."""
        deadline = time.monotonic() + OPEN_SECONDS
        self.response = ask(served, token, query, **headers)
        while self.response.status_code == 503 and time.monotonic() < deadline:
            self.response.close()
            time.sleep(0.1)
            self.response = ask(served, token, query, **headers)
        assert self.response.status_code == 200, self.response.text
        self._messages = parsed(self.response.iter_lines(chunk_size=1, decode_unicode=True))

    def __enter__(self) -> "Stream":
        assert self.next().event is None
        return self

    def __exit__(self, *_error: object) -> None:
        self.response.close()

    def next(self) -> Message:
        """Wait for the next message."""
        return next(self._messages)

    def event(self) -> Message:
        """Return the next event; heartbeats on the way say nothing."""
        while (message := self.next()).event is None:
            pass
        return message

    def rest(self) -> list[Message]:
        """Wait until the stream ends and return what came until then."""
        return list(self._messages)

    def until_end(self) -> str:
        """Wait until the stream ends and return why."""
        last = self.rest()[-1]
        assert last.event == "end"
        reason: str = last.data["reason"]
        return reason
