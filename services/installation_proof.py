"""Prove that a backup is whole: every byte, every count, every reference, the audit trail."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import JSON

from core.errors import ErrorCode, FieldError, InvalidInputError, NotFoundError
from models.audit import AuditEvent, AuditHead
from models.releases import Release, ReleaseState
from models.sites import Site
from services import installation_keys
from services.audit import GENESIS_HASH, chain_hash
from services.backup_format import (
    CONTENTS,
    ENVIRONMENTS,
    HEADER,
    MANIFESTS,
    ROWS,
    FormatError,
    Header,
    Scope,
    Summary,
    TableCount,
)
from services.backup_rows import Row, named, rows_in, text_of
from services.progress import Progress, Silent
from services.revisions import is_known
from services.row_snapshots import SavedTable, TableHash
from storage.backup_files import SEAL, SUMMARY, BackupFile, BackupFileError, Inventory, Member
from storage.errors import DamagedReleaseError
from storage.manifests import Manifest

MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, with a word for scripts."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a backup says about itself at its two ends."""

    file: str
    size_bytes: int
    header: Header
    summary: Summary
    sealed_by_these_keys: bool


@dataclass(frozen=True, order=True)
class ReleaseKey:
    """Which release of which site, by the numbers of the rows."""

    site_id: int
    digest: str


@dataclass(kw_only=True)
class Contained:
    """Where the members lie, and what the rows say should be there."""

    parts: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))
    manifests: dict[ReleaseKey, Member] = field(default_factory=dict)
    environments: dict[tuple[int, str], Member] = field(default_factory=dict)
    slugs: dict[int, str] = field(default_factory=dict)
    ready: dict[ReleaseKey, int] = field(default_factory=dict)
    contents_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The outcome; without problems the backup can be restored here.

    `description` is None when the file is not even one.
    """

    file: str
    description: Description | None
    problems: tuple[Problem, ...]
    contained: Contained

    @property
    def is_sound(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems


def describe(*, path: Path) -> Description:
    """Read both ends of a backup, which takes no time.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no backup, or one that was cut off.
    """
    file = _opened(path)
    try:
        return _description(file)
    except BackupFileError as error:
        raise _invalid([Problem(_word_for(file), str(error))]) from error
    except FormatError as error:
        raise _invalid([Problem("format", str(error))]) from error
    finally:
        file.close()


def prove(*, path: Path, progress: Progress | None = None) -> Proof:
    """Read the whole file and check all there is to check.

    Raises:
        NotFoundError: there is no such file.
    """
    file = _opened(path)
    try:
        return _Proving(file, progress or Silent()).run()
    finally:
        file.close()


def refuse_unsound(*, proof: Proof) -> Description:
    """Return the description of a backup without problems.

    Raises:
        InvalidInputError: with every problem.
    """
    if proof.problems or proof.description is None:
        raise _invalid(proof.problems)
    return proof.description


def _opened(path: Path) -> BackupFile:
    try:
        return BackupFile(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(f"There is no file {path}.") from error


def _word_for(file: BackupFile) -> str:
    """Return the word for a file that is not as it was written."""
    return "truncated" if file.is_cut_off() else "altered"


def _invalid(problems: Iterable[Problem]) -> InvalidInputError:
    found = list(problems)
    return InvalidInputError(
        found[0].message if len(found) == 1 else f"{len(found)} things are wrong with the backup.",
        code=ErrorCode.INSTALLATION_BACKUP_INVALID,
        errors=[FieldError("/file", problem.code, problem.message) for problem in found],
    )


def _description(file: BackupFile) -> Description:
    first = file.first()
    if first.name != HEADER:
        raise FormatError("This file is no backup of an installation.")
    header = Header.from_json(file.read(first))
    content, seal = file.summary(), file.seal()
    return Description(
        file=str(file.path),
        size_bytes=file.size_bytes,
        header=header,
        summary=Summary.from_json(content),
        sealed_by_these_keys=installation_keys.is_mark_of(content, seal.mark),
    )


class _Proving:
    """One walk through one file."""

    def __init__(self, file: BackupFile, progress: Progress) -> None:
        self._file = file
        self._progress = progress
        self._problems: list[Problem] = []
        self._contained = Contained()
        self._needed: set[bytes] = set()
        self._found: set[bytes] = set()
        self._inventory = Inventory()

    def run(self) -> Proof:
        description = None
        try:
            description = _description(self._file)
            self._check_keys(description)
            self._walk(description)
        except BackupFileError as error:
            self._note(_word_for(self._file), str(error))
        except FormatError as error:
            self._note("format", str(error))
        return Proof(
            file=str(self._file.path),
            description=description,
            problems=tuple(self._problems[:MAX_PROBLEMS]),
            contained=self._contained,
        )

    def _note(self, code: str, message: str) -> None:
        self._problems.append(Problem(code, message))

    def _check_keys(self, description: Description) -> None:
        header = description.header
        missing = installation_keys.missing_keys(header.keys)
        for name in missing:
            self._note("keys", f"{name} is not the one that the backup was made with.")
        if not missing and not description.sealed_by_these_keys:
            self._note("altered", "The backup was changed by somebody without the keys.")
        if not is_known(header.revision):
            self._note(
                "newer",
                f"The tables are of a newer version (Relevo {header.relevo}, revision "
                f"{header.revision}); restore with that version.",
            )

    def _walk(self, description: Description) -> None:
        rows = _Rows(description.header, self._contained, check_trail=not self._problems)
        self._progress.begin("Checking", self._file.size_bytes)
        for member in self._file.members():
            self._look_at(member, rows)
            self._progress.advance(member.size_bytes)
        self._problems += rows.problems(description.summary)
        self._check_inventory(description.summary)
        if description.header.scope is Scope.FULL:
            self._check_references(description.summary)

    def _look_at(self, member: Member, rows: "_Rows") -> None:
        kind, _, rest = member.name.partition("/")
        if kind == CONTENTS:
            self._look_at_content(member, rest)
            return
        content = self._file.read(member)
        if member.name in (SUMMARY, SEAL):
            return
        self._inventory.add(member.name, member.size_bytes, sha256(content).hexdigest())
        if kind == ROWS:
            self._look_at_rows(member, content, rows)
        elif kind == MANIFESTS:
            self._look_at_manifest(member, content)
        elif kind == ENVIRONMENTS:
            site_id, _, name = rest.removesuffix(".json").partition("/")
            self._contained.environments[int(site_id), name] = member
        elif member.name != HEADER:
            self._note("altered", f"{member.name} does not belong into a backup.")

    def _look_at_content(self, member: Member, name: str) -> None:
        digest = sha256()
        for chunk in self._file.chunks(member):
            digest.update(chunk)
        self._inventory.add(member.name, member.size_bytes, digest.hexdigest())
        if digest.hexdigest() != name:
            self._note("altered", f"The content {name} is not what it was.")
        if self._contained.contents_at is None:
            self._contained.contents_at = member.offset
        self._found.add(digest.digest())

    def _look_at_rows(self, member: Member, content: bytes, rows: "_Rows") -> None:
        table = member.name.split("/")[1]
        self._contained.parts[table].append(member)
        try:
            rows.add(table, content)
        except (ValueError, KeyError) as error:
            self._note("altered", f"{member.name} holds something that is no row: {error}")

    def _look_at_manifest(self, member: Member, content: bytes) -> None:
        site_id, _, name = member.name.partition("/")[2].partition("/")
        key = ReleaseKey(int(site_id), name.removesuffix(".json"))
        try:
            manifest = Manifest.from_json(content)
        except DamagedReleaseError as error:
            self._note("altered", f"{member.name}: {error}")
            return
        if manifest.digest != key.digest:
            self._note("altered", f"{member.name} belongs to another release.")
        self._contained.manifests[key] = member
        if key in self._contained.ready:
            self._needed.update(bytes.fromhex(entry.sha256) for entry in manifest.entries)

    def _check_inventory(self, summary: Summary) -> None:
        found = (self._inventory.members, self._inventory.sha256)
        if found != (summary.members, summary.inventory):
            self._note("altered", "The members are not those that the summary was made for.")

    def _check_references(self, summary: Summary) -> None:
        excused = {damage.sha256 for damage in summary.damaged}
        for key, number in self._contained.ready.items():
            if key not in self._contained.manifests and key.digest not in excused:
                slug = self._contained.slugs.get(key.site_id, "?")
                self._note("incomplete", f"{slug}: the manifest of release {number} is missing.")
        for sha in self._needed - self._found:
            if sha.hex() not in excused:
                self._note("incomplete", f"The content {sha.hex()} is missing.")
        if len(self._found) != summary.contents:
            self._note("incomplete", "There are not as many contents as there should be.")


class _Rows:
    """What goes by while the rows are read: counts, hashes, the audit trail, who needs files."""

    def __init__(self, header: Header, contained: Contained, *, check_trail: bool) -> None:
        self._tables = {saved.name: saved for saved in header.tables}
        self._hashes = {saved.name: TableHash(saved) for saved in header.tables}
        self._contained = contained
        self._trail = _Trail() if check_trail else None

    def add(self, table: str, content: bytes) -> None:
        """Take one part of a table.

        Raises:
            KeyError: the backup describes no such table.
            ValueError: it holds something that is no row.
        """
        saved = self._tables[table]
        for line, values in rows_in(content, saved):
            self._hashes[table].add(line, values)
            self._remember(saved, values)

    def problems(self, summary: Summary) -> list[Problem]:
        """Compare with the summary, and tell whether the trail is as it was written."""
        found = [
            Problem("altered", f"The rows of {name} are not those that were saved.")
            for name, seen in self._hashes.items()
            if TableCount(rows=seen.rows, sha256=seen.sha256) != summary.tables.get(name)
        ]
        if self._trail is not None:
            found += self._trail.problems()
        return found

    def _remember(self, saved: SavedTable, values: Row) -> None:
        if saved.name == Site.__tablename__:
            site_id = int(text_of(saved, values, "id"))
            self._contained.slugs[site_id] = text_of(saved, values, "slug")
        elif saved.name == Release.__tablename__:
            self._remember_release(saved, values)
        elif self._trail is not None and saved.name == AuditEvent.__tablename__:
            self._trail.add(named(saved, values))
        elif self._trail is not None and saved.name == AuditHead.__tablename__:
            self._trail.end = named(saved, values)

    def _remember_release(self, saved: SavedTable, values: Row) -> None:
        if text_of(saved, values, "state") == ReleaseState.READY.value:
            site_id = int(text_of(saved, values, "site_id"))
            key = ReleaseKey(site_id, text_of(saved, values, "digest"))
            self._contained.ready[key] = int(text_of(saved, values, "number"))


class _Trail:
    """Walks the audit chain as its rows go by."""

    def __init__(self) -> None:
        self.end: dict[str, object] = {"count": 0, "last_hash": GENESIS_HASH}
        self._previous = GENESIS_HASH
        self._count = 0
        self._first_bad: int | None = None

    def add(self, values: dict[str, object]) -> None:
        """Take the next event."""
        self._count += 1
        plain = {name: None if value is JSON.NULL else value for name, value in values.items()}
        event = AuditEvent(**plain)
        right = event.id == self._count and event.hash == chain_hash(event, self._previous)
        if not right and self._first_bad is None:
            self._first_bad = self._count
        self._previous = event.hash

    def problems(self) -> list[Problem]:
        """Return what is wrong with the chain."""
        if self._first_bad is not None:
            return [Problem("audit", f"Audit event {self._first_bad} is not as it was written.")]
        if (self._count, self._previous) != (self.end["count"], self.end["last_hash"]):
            return [Problem("audit", "The audit trail does not end where it should.")]
        return []
