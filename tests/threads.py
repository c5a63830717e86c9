"""Several callers at the same moment, each with an application context of its own."""

import threading
from collections.abc import Callable, Sequence

from flask import Flask


def together(app: Flask, *calls: Callable[[], object]) -> Sequence[object]:
    """Start all calls at once; return what each returned or raised, in their order."""
    outcomes: list[object] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(place: int) -> None:
        with app.app_context():
            gate.wait()
            try:
                outcomes[place] = calls[place]()
            except Exception as error:  # noqa: BLE001 - the test judges it
                outcomes[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
