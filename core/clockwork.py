"""What is done every so often, and the flag that asks it to come to an end.

A chore is one line in `services/background.py`. When it is due is a row, so that of several
workers one does it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, current_app

STOPPING = "relevo.stopping"


@dataclass(frozen=True, kw_only=True)
class Chore:
    """Something to do every so often.

    Args:
        name: public and stable; the key of its row.
        every_seconds: from one start to the next.
        run: does it; may look at `is_stopping` when it takes long. It may be interrupted at any
            point and is then done again at its next time.
        is_wanted: a cheap look whether there is anything to do; without one it is always done.
        is_prompt: somebody waits for it; it never stands behind a chore that takes long.
    """

    name: str
    every_seconds: int
    run: Callable[[], object]
    is_wanted: Callable[[], bool] | None = None
    is_prompt: bool = False


def stop_flag(app: Flask) -> threading.Event:
    """Return the flag that is set when this process is to end."""
    flag = app.extensions.setdefault(STOPPING, threading.Event())
    if not isinstance(flag, threading.Event):
        raise TypeError("something else has the name of the stop flag")
    return flag


def is_stopping() -> bool:
    """Tell whether the running process is to end soon."""
    flag = current_app.extensions.get(STOPPING)
    return isinstance(flag, threading.Event) and flag.is_set()
