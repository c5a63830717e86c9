"""A limit is one limit, whichever node is asked."""

import time

import pytest

from core.strides import STRIDE_SECONDS
from tests.growth.conftest import Nodes

pytestmark = pytest.mark.service


def test_a_call_to_one_node_counts_at_the_other(nodes: Nodes) -> None:
    token = nodes.here.log_in("root")["access_token"]

    left = []
    for node in (nodes.here, nodes.there) * 3:
        time.sleep(2 * STRIDE_SECONDS)
        answer = node.call("GET", "/auth/whoami", token=token)
        left.append(int(answer.headers["X-RateLimit-Remaining"]))

    assert left == list(range(left[0], left[0] - 6, -1))


def test_guesses_at_both_nodes_are_throttled_together(nodes: Nodes) -> None:
    body = {"username": "guessed", "password": "wrong"}

    outcomes = [
        node.call("POST", "/auth/login", body).json()["code"]
        for node in (nodes.here, nodes.there) * 6
    ]

    assert outcomes.count("invalid_credentials") <= 10
    assert outcomes[-1] == "login_throttled"
