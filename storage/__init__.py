"""Files in and out: knows bytes and paths, no rows and no rules."""

from storage.drift import DriftReport
from storage.errors import (
    ArchiveRefusedError,
    DamagedReleaseError,
    DiskFullError,
    FileMissingError,
    LimitReachedError,
    PointerError,
    ReleaseInUseError,
    ReleaseMissingError,
    SecretFileError,
    SplitDeviceError,
    StorageError,
)
from storage.ingest import ReceivedRelease
from storage.inventory import ArchiveLimits, Strip
from storage.journals import HistoryEntry, Journal, OfflineRollback, first_journal
from storage.layout import Layout
from storage.manifests import Manifest, ManifestEntry
from storage.rules import ArchiveRule
from storage.store import SiteStore
from storage.trees import TreeReport

__all__ = [
    "ArchiveLimits",
    "ArchiveRefusedError",
    "ArchiveRule",
    "DamagedReleaseError",
    "DiskFullError",
    "DriftReport",
    "FileMissingError",
    "HistoryEntry",
    "Journal",
    "Layout",
    "LimitReachedError",
    "Manifest",
    "ManifestEntry",
    "OfflineRollback",
    "PointerError",
    "ReceivedRelease",
    "ReleaseInUseError",
    "ReleaseMissingError",
    "SecretFileError",
    "SiteStore",
    "SplitDeviceError",
    "StorageError",
    "Strip",
    "TreeReport",
    "first_journal",
]
