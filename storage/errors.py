"""What can go wrong with bytes on disk."""

from storage.rules import SENTENCES, ArchiveRule

MAX_PRINTED_CHARACTERS = 200


def printable(name: str | bytes) -> str:
    """Return `name` fit for a log line or an answer: escaped and shortened."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    escaped = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[: MAX_PRINTED_CHARACTERS + 1]
    )
    if len(escaped) <= MAX_PRINTED_CHARACTERS:
        return escaped
    return escaped[:MAX_PRINTED_CHARACTERS] + "..."


class StorageError(Exception):
    """Base of everything the storage refuses or fails to do."""


class ArchiveRefusedError(StorageError):
    """The archive breaks a rule; nothing of it was kept.

    `entry` is the printable name of the entry at fault, None when the archive as a whole is.
    """

    def __init__(
        self, rule: ArchiveRule, entry: str | bytes | None = None, *, other: str | None = None
    ) -> None:
        self.rule: str = rule.value
        self.entry = None if entry is None else printable(entry)
        self.other = None if other is None else printable(other)
        names = " and ".join(f"“{name}”" for name in (self.entry, self.other) if name is not None)
        super().__init__(f"{SENTENCES[rule]} ({names})" if names else SENTENCES[rule])


class SecretFileError(StorageError):
    """The archive holds files that look like secrets; `paths` names all that were found."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = tuple(printable(path) for path in paths)
        super().__init__("The archive holds files that look like secrets.")


class LimitReachedError(StorageError):
    """A configured limit is exceeded.

    `actual` is None when reading stopped at the limit, so that the true number is unknown.
    """

    def __init__(
        self, *, setting: str, limit: int, actual: int | None = None, entry: str | None = None
    ) -> None:
        self.setting = setting
        self.limit = limit
        self.actual = actual
        self.entry = None if entry is None else printable(entry)
        super().__init__(f"The archive exceeds {setting} ({limit}).")


class DiskFullError(StorageError):
    """The disk or a quota is full; whatever the operation had written was removed."""


class SplitDeviceError(StorageError):
    """Parts of the sites folder lie on different file systems, so that nothing can be linked."""


class ReleaseMissingError(StorageError):
    """The release is not on this disk."""


class ReleaseInUseError(StorageError):
    """The release is served by an environment and cannot be deleted."""


class FileMissingError(StorageError):
    """The release has no file of that path."""


class DamagedReleaseError(StorageError):
    """The files of a release are not those of its manifest."""

    def __init__(
        self, message: str, *, missing: tuple[str, ...] = (), changed: tuple[str, ...] = ()
    ) -> None:
        self.missing = missing
        self.changed = changed
        super().__init__(message)


class PointerError(StorageError):
    """A pointer or journal on disk is not one that Relevo wrote."""
