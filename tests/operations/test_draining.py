"""A server that is told to stop lets go of whoever listens."""

import signal

import requests

from tests.operations.server import Server


def test_a_stop_ends_streams_at_once_and_says_so(running: Server) -> None:
    assert running.process is not None
    with requests.get(
        f"{running.url}/api/v1/events", headers=running.sign_in(), stream=True, timeout=20
    ) as answer:
        lines = answer.iter_lines(decode_unicode=True)
        assert next(lines) == "retry: 2000"

        running.process.send_signal(signal.SIGTERM)

        assert list(lines)[-2:] == ['data: {"reason":"shutdown"}', ""]
    running.wait_until_gone()
