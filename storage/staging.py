"""The folder for things that are not finished; what a crash leaves there is swept."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage import failpoints, files
from storage.errors import SplitDeviceError
from storage.layout import Layout
from storage.locks import file_lock


@dataclass(frozen=True, slots=True)
class UploadFolder:
    """A private folder and a descriptor of it that is older than anything inside."""

    path: Path
    descriptor: int


@contextmanager
def upload_folder(layout: Layout) -> Iterator[UploadFolder]:
    """Yield a private folder that is gone afterwards.

    A lock on the folder itself keeps the sweeper away for as long as the process lives.
    """
    folder = layout.staging / files.new_name("upload")
    with _sweeper_kept_out(layout):
        files.make_folder(folder, mode=0o700)
        descriptor = os.open(folder, files.OPEN_FOLDER)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        yield UploadFolder(folder, descriptor)
    finally:
        os.close(descriptor)
        files.remove_tree(folder)


@contextmanager
def staged(layout: Layout, kind: str) -> Iterator[Path]:
    """Yield the name of something to be made and renamed at once; what is left is removed."""
    with staged_names(layout, kind) as (path,):
        yield path


@contextmanager
def staged_names(layout: Layout, *kinds: str) -> Iterator[list[Path]]:
    """Yield the names of several things, each to be made and renamed before this ends.

    After an exception what is left of them is removed.
    """
    with _sweeper_kept_out(layout):
        paths = [layout.staging / files.new_name(kind) for kind in kinds]
        try:
            yield paths
        except BaseException:
            for path in paths:
                path.unlink(missing_ok=True)
            raise


def _sweeper_kept_out(layout: Layout) -> AbstractContextManager[None]:
    return file_lock(layout.staging_lock, exclusive=False, wait_seconds=None)


def sweep_staging(layout: Layout, *, older_than_seconds: float) -> int:
    """Remove what was left behind; uploads whose process lives are kept.

    Returns:
        how many things were removed.
    """
    newest = time.time() - older_than_seconds
    with file_lock(layout.staging_lock, wait_seconds=None):
        doomed = [_set_aside(layout, path) for path in _leftovers(layout, newest)]
    for path in doomed:
        files.remove_tree(path)
        failpoints.hit("sweep.staging_removed")
    return len(doomed)


def _leftovers(layout: Layout, newest: float) -> list[Path]:
    found = layout.staging.iterdir()
    return [path for path in found if _is_old(path, newest) and not _is_held(path)]


def _is_old(path: Path, newest: float) -> bool:
    try:
        return path.lstat().st_ctime <= newest
    except FileNotFoundError:
        return False


def _set_aside(layout: Layout, path: Path) -> Path:
    """Rename something that is about to be removed, so that the lock need not be held long."""
    aside = layout.staging / files.new_name("swept")
    try:
        files.rename(path, aside)
    except FileNotFoundError:
        return path
    return aside


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
