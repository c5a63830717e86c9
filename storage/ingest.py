"""From an uploaded archive to a durable release: read, store, build, sync, publish."""

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage import failpoints, files
from storage.archives import ArchiveReader, open_archive
from storage.blobs import Blobs
from storage.content_types import content_type_of
from storage.errors import ReleaseMissingError, SecretFileError
from storage.inventory import ArchiveLimits, InlineLimits, Inventory, Strip, TakesLongError
from storage.layout import Layout
from storage.locks import file_lock
from storage.manifests import Manifest, ManifestEntry
from storage.objects import ObjectStage
from storage.secret_files import has_secret_content, has_secret_name
from storage.spool import Readable, Spool, kept_spool, spooled
from storage.staging import UploadFolder, upload_folder
from storage.trees import check_tree, is_folder, seal_top

Progress = Callable[[int, int], object]
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}


@dataclass(frozen=True, slots=True)
class ReceivedRelease:
    """What became of an upload.

    `stripped` names the enclosing folder that was left out. `new_bytes` counts content that
    was not on this disk before. `was_present` tells that the site had this release already.
    """

    manifest: Manifest
    stripped: str | None
    new_bytes: int
    was_present: bool


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """An upload that is durable and not unpacked yet; `name` finds it again."""

    name: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestRules:
    """How an archive is to be read."""

    limits: ArchiveLimits
    strip: Strip
    allow_secret_files: bool


def receive(
    layout: Layout,
    blobs: Blobs,
    slug: str,
    stream: Readable,
    rules: IngestRules,
    *,
    when_spooled: Callable[[], object] | None = None,
) -> ReceivedRelease:
    """Store an archive as a release; everything of it is durable when this returns."""
    received = receive_or_keep(layout, blobs, slug, stream, rules, when_spooled=when_spooled)
    if isinstance(received, KeptUpload):
        raise TypeError("without inline limits nothing is only kept")
    return received


def receive_or_keep(
    layout: Layout,
    blobs: Blobs,
    slug: str,
    stream: Readable,
    rules: IngestRules,
    *,
    when_spooled: Callable[[], object] | None = None,
    inline: InlineLimits | None = None,
) -> ReceivedRelease | KeptUpload:
    """Store an archive as a release, or only keep it when it holds more than `inline`."""
    with ExitStack() as reading, files.disk_full_reported(), upload_folder(layout) as folder:
        limits = rules.limits
        upload = spooled(stream, folder=folder.path, max_bytes=limits.max_upload_bytes)
        spool = reading.enter_context(upload)
        failpoints.hit("upload.spooled")
        if when_spooled is not None:
            when_spooled()
        inventory = Inventory(limits, inline)
        try:
            reader = open_archive(spool, inventory)
        except TakesLongError:
            return _keep(layout, spool)
        # The upload is forgotten before the sync, or its pages would be written out with the rest.
        unpacking = _Unpacking(reader, inventory, rules, _no_progress, reading.close)
        return unpacking.store(layout, blobs, slug, folder)


def finish(
    layout: Layout, blobs: Blobs, slug: str, name: str, rules: IngestRules, *, progress: Progress
) -> ReceivedRelease:
    """Store an upload that was kept as a release.

    Raises:
        FileNotFoundError: it is gone.
    """
    with (
        files.disk_full_reported(),
        upload_folder(layout) as folder,
        kept_spool(layout.kept_upload(name)) as spool,
    ):
        inventory = Inventory(rules.limits)
        reader = open_archive(spool, inventory)
        unpacking = _Unpacking(reader, inventory, rules, progress, lambda: None)
        return unpacking.store(layout, blobs, slug, folder)


def _keep(layout: Layout, spool: Spool) -> KeptUpload:
    name = files.new_name("kept")
    files.make_folder(layout.kept, mode=0o700)
    spool.keep(layout.kept_upload(name))
    failpoints.hit("keep.linked")
    return KeptUpload(name, spool.size_bytes)


def _no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """An accepted archive on its way to become a release."""

    reader: ArchiveReader
    inventory: Inventory
    rules: IngestRules
    progress: Progress
    forget_upload: Callable[[], object]

    def store(
        self, layout: Layout, blobs: Blobs, slug: str, folder: UploadFolder
    ) -> ReceivedRelease:
        """Write the contents, sync them, and give them their place as a release."""
        paths, stripped = self.inventory.paths(self.rules.strip)
        with _stage(blobs, folder.path) as objects:
            manifest = _store_contents(self, paths, objects)
            failpoints.hit("upload.objects_written")
            self.forget_upload()
            was_present = _Publication(layout, slug, manifest, objects, folder).publish()
        failpoints.hit("upload.done")
        return ReceivedRelease(manifest, stripped, objects.new_bytes, was_present)


@contextmanager
def _stage(blobs: Blobs, folder: Path) -> Iterator[ObjectStage]:
    with (
        blobs.in_use() as blobs_folder,
        closing(ObjectStage(blobs, blobs_folder=blobs_folder, upload=folder)) as objects,
    ):
        yield objects


def _store_contents(unpacking: _Unpacking, paths: list[str], objects: ObjectStage) -> Manifest:
    secrets: list[str] = []
    rules = unpacking.rules
    if not rules.allow_secret_files:
        secrets = [path for path in paths if has_secret_name(path)]
        if secrets:
            raise SecretFileError(tuple(secrets))
    entries: list[ManifestEntry] = []
    for path, (entry, chunks) in zip(paths, unpacking.reader.contents(), strict=True):
        unpacking.progress(len(entries), len(paths))
        watched = chunks if rules.allow_secret_files else _watched(path, chunks, secrets)
        sha256 = objects.store(path, watched, entry.size_bytes)
        entries.append(ManifestEntry(path, sha256, entry.size_bytes, content_type_of(path)))
    if secrets:
        raise SecretFileError(tuple(secrets))
    return Manifest.of(entries)


def _watched(path: str, chunks: Iterator[bytes], secrets: list[str]) -> Iterator[bytes]:
    found = False
    for chunk in chunks:
        if not found and has_secret_content(path, chunk):
            found = True
            secrets.append(path)
        yield chunk


class _Publication:
    """Gives stored contents their place as a release of one site."""

    def __init__(
        self,
        layout: Layout,
        slug: str,
        manifest: Manifest,
        objects: ObjectStage,
        folder: UploadFolder,
    ) -> None:
        self._layout = layout
        self._slug = slug
        self._manifest = manifest
        self._objects = objects
        self._folder = folder
        self._final = layout.release(slug, manifest.digest)
        self._staged_manifest = folder.path / "manifest.json"
        self._text = manifest.to_json().encode()

    def publish(self) -> bool:
        """Return whether the site had the release; it is complete and durable either way.

        Raises:
            ReleaseMissingError: the site was removed meanwhile.
        """
        try:
            self._make_site_folders()
            return self._is_finished() or self._publish_new()
        except FileNotFoundError as error:
            raise ReleaseMissingError("The site was removed during the upload.") from error

    def _is_finished(self) -> bool:
        """Tell whether the site has the release, sound and durable."""
        if not is_folder(self._final):
            return False
        with self._site_locked():
            sound = self._is_sound()
            if sound:
                self._finish_present()
        return sound

    def _publish_new(self) -> bool:
        tree = self._build()
        with self._site_locked():
            self._publish_manifest()
            was_present = self._publish_tree(tree)
            files.sync_folder(self._final.parent)
        return was_present

    def _site_locked(self) -> AbstractContextManager[None]:
        return file_lock(self._layout.site_lock(self._slug), wait_seconds=None)

    def _make_site_folders(self) -> None:
        layout = self._layout
        files.make_folder(layout.site(self._slug))
        files.make_folder(layout.state(self._slug), mode=0o755)
        files.make_folder(layout.manifests(self._slug))
        files.make_folder(layout.releases(self._slug))

    def _is_sound(self) -> bool:
        """Look at the release that is there, without reading what looks untouched."""
        if self._objects.has_new or not is_folder(self._final):
            return False
        path = self._layout.manifest(self._slug, self._manifest.digest)
        if not path.is_file() or path.read_bytes() != self._text:
            return False
        inodes = self._objects.inodes
        report = check_tree(
            self._final,
            self._manifest,
            full=False,
            inode_of=lambda sha256, _size: inodes.get(sha256, 0),
        )
        return report.clean

    def _finish_present(self) -> None:
        """Make sure of what another upload may have renamed just now, and of healed blobs."""
        if self._objects.new_bytes:
            files.sync_filesystem(self._folder.descriptor)
        files.sync_folder(self._final.parent)

    def _build(self) -> Path:
        self._objects.link_rest(self._manifest)
        failpoints.hit("upload.tree_linked")
        self._staged_manifest.write_bytes(self._text)
        self._staged_manifest.chmod(0o644)
        files.sync_filesystem(self._folder.descriptor)
        failpoints.hit("upload.synced")
        self._objects.publish()
        failpoints.hit("upload.blobs_published")
        return self._objects.tree.path

    def _publish_manifest(self) -> None:
        path = self._layout.manifest(self._slug, self._manifest.digest)
        files.rename(self._staged_manifest, path)
        files.sync_folder(path.parent)
        failpoints.hit("upload.manifest_published")

    def _publish_tree(self, tree: Path) -> bool:
        if not is_folder(self._final):
            self._final.unlink(missing_ok=True)
        try:
            files.rename(tree, self._final)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            self._replace(tree)
            return True
        failpoints.hit("upload.tree_published")
        seal_top(self._final)
        return False

    def _replace(self, tree: Path) -> None:
        """Put the new tree in the place of a damaged one, or of one made at the same time."""
        self._final.chmod(0o755)
        files.exchange(tree, self._final)
        failpoints.hit("heal.exchanged")
        seal_top(self._final)
