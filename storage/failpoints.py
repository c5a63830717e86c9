"""Named points at which a process kills itself, so that crash tests are exact.

Nothing is armed in normal operation. Every step that writes names a point; the modules above
register their own names with `register`.
"""

import os
import signal
import sys

NAMES: set[str] = {
    "upload.spooled",
    "keep.linked",
    "upload.objects_written",
    "upload.tree_linked",
    "upload.synced",
    "upload.blobs_published",
    "upload.manifest_published",
    "upload.tree_published",
    "upload.done",
    "heal.rewritten",
    "heal.exchanged",
    "journal.written",
    "journal.renamed",
    "journal.done",
    "switch.journal_done",
    "switch.link_made",
    "switch.link_renamed",
    "switch.done",
    "host.link_made",
    "host.link_renamed",
    "host.removed",
    "environment.link_removed",
    "environment.journal_removed",
    "delete.tree_moved",
    "delete.tree_removed",
    "delete.site_moved",
    "sweep.blob_removed",
    "sweep.staging_removed",
    "variant.written",
    "variant.renamed",
}

_armed: dict[str, str | None] = {"name": None}


def register(*names: str) -> None:
    """Make `names` known, so that they can be armed."""
    NAMES.update(names)


def arm(name: str | None) -> None:
    """Let this process die at `name`; None disarms.

    Raises:
        ValueError: no module registered that name.
    """
    if name is not None and name not in NAMES:
        raise ValueError(f"unknown failpoint: {name}")
    _armed["name"] = name


def hit(name: str) -> None:
    """Die by SIGKILL when `name` is armed: nothing is flushed, no handler runs."""
    if _armed["name"] == name:
        sys.stderr.write(f"failpoint {name}\n")
        os.kill(os.getpid(), signal.SIGKILL)
