"""The folder for things that are not finished; what a crash leaves there is swept."""

import fcntl
import os
import time
from pathlib import Path

from storage import failpoints, files
from storage.errors import SplitDeviceError
from storage.layout import Layout


def sweep_staging(layout: Layout, *, older_than_seconds: float) -> int:
    """Remove what was left behind; uploads whose process lives are kept.

    Returns:
        how many things were removed.
    """
    newest = time.time() - older_than_seconds
    removed = 0
    for path in layout.staging.iterdir():
        try:
            is_old = path.lstat().st_ctime <= newest
        except FileNotFoundError:
            continue
        if is_old and not _is_held(path):
            files.remove_tree(path)
            failpoints.hit("sweep.staging_removed")
            removed += 1
    return removed


def _is_held(path: Path) -> bool:
    """Tell whether a living upload has locked its folder."""
    try:
        descriptor = os.open(path, files.OPEN_FOLDER)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def check_device(layout: Layout) -> None:
    """Make sure that a file in staging can be linked wherever files end up.

    It is tried, because a bind mount of the same device refuses links too.

    Raises:
        SplitDeviceError: one of the folders lies elsewhere.
    """
    name = files.new_name("probe")
    source = layout.staging / name
    folders = [layout.root, layout.blobs, layout.hosts]
    for slug in layout.slugs():
        folders.append(layout.site(slug))
        folders.extend(path for path in (layout.releases(slug),) if path.is_dir())
    files.write_durably(source, b"")
    try:
        for folder in folders:
            _try_link(source, folder / f".{name}")
    finally:
        source.unlink()


def _try_link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        raise SplitDeviceError(
            f"{target.parent} is on another file system than {source.parent}."
        ) from error
    target.unlink()
