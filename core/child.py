"""Become another program that ends when its parent ends.

Run as a script by the parent of the server: `python child.py PARENT SIGNAL PROGRAM ARGUMENT...`.
A session or process group of one's own does not do this: it lets children survive their parent.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
EXIT_ORPHANED = 70


def end_with_parent(signal_number: int, parent: int) -> bool:
    """Ask the kernel for `signal_number` when the parent ends; False if it has ended already.

    The setting survives exec, and a child made by fork does not inherit it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG was refused")
    return os.getppid() == parent


def main() -> NoReturn:
    """Tie this process to its parent, then become the program."""
    parent, signal_number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if not end_with_parent(signal_number, parent):
        sys.exit(EXIT_ORPHANED)
    # Ctrl-C reaches every process of the terminal; the parent alone turns it into a clean stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execv(program[0], program)  # noqa: S606  # nosec B606  # no shell is wanted


if __name__ == "__main__":
    main()
