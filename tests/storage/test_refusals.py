"""What a refusal says, and what the options change."""

import pytest

from storage import (
    ArchiveLimits,
    ArchiveRefusedError,
    LimitReachedError,
    SecretFileError,
    SiteStore,
    Strip,
)
from tests.archives.tar_maker import make_tar, member
from tests.archives.zip_maker import ZipPart, make_zip, simple_zip
from tests.storage.stores import LIMITS, SITE, receive

KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0\n"


def test_a_refusal_names_entry_and_rule_in_a_sentence(store: SiteStore) -> None:
    data = make_zip(ZipPart(b"../\x1b[31mevil.html"))

    with pytest.raises(ArchiveRefusedError) as caught:
        receive(store, data)

    assert caught.value.entry == "../\\x1b[31mevil.html"
    assert caught.value.rule == "control_character"
    assert str(caught.value) == ("The name contains a control character. (“../\\x1b[31mevil.html”)")


def test_a_collision_names_both_entries(store: SiteStore) -> None:
    data = simple_zip({"About.html": b"a", "about.html": b"b"})

    with pytest.raises(ArchiveRefusedError) as caught:
        receive(store, data)

    assert caught.value.entry == "about.html"
    assert "“about.html” and “About.html”" in str(caught.value)


def test_a_very_long_name_is_shortened_in_the_refusal(store: SiteStore) -> None:
    data = make_zip(ZipPart(b"x" * 5000))

    with pytest.raises(ArchiveRefusedError) as caught:
        receive(store, data)

    assert caught.value.entry == "x" * 200 + "..."


def test_a_limit_names_setting_limit_and_actual(store: SiteStore) -> None:
    data = simple_zip({"index.html": b"x" * 1000, "big.bin": b"x" * (LIMITS.max_file_bytes + 1)})

    with pytest.raises(LimitReachedError) as caught:
        receive(store, data)

    assert caught.value.setting == "MAX_FILE_BYTES"
    assert caught.value.limit == LIMITS.max_file_bytes
    assert caught.value.actual == LIMITS.max_file_bytes + 1
    assert caught.value.entry == "big.bin"


@pytest.mark.parametrize(
    "limits",
    [
        ArchiveLimits(
            max_upload_bytes=10**6,
            max_release_bytes=sum(map(len, SITE.values())),
            max_files=len(SITE),
            max_file_bytes=max(map(len, SITE.values())),
            max_path_depth=2,
        )
    ],
)
def test_an_archive_exactly_at_every_limit_is_taken(
    store: SiteStore, limits: ArchiveLimits
) -> None:
    data = simple_zip(SITE)

    received = receive(store, data, limits=limits)

    assert received.manifest.file_count == len(SITE)


SECRETS = [
    ".git/config", "sub/.GIT/HEAD", ".env", ".env.production", "a/.env.d/x", ".svn/entries",
    ".hg/store", ".htpasswd", "id_rsa", "keys/id_ed25519", "tls/server.key", "cert.p12",
    ".ssh/known_hosts", ".npmrc",
]  # fmt: skip


@pytest.mark.parametrize("path", SECRETS)
def test_a_file_that_is_secret_by_name_refuses_the_upload(store: SiteStore, path: str) -> None:
    data = simple_zip({"index.html": b"x", path: b"secret"})

    with pytest.raises(SecretFileError) as caught:
        receive(store, data)

    assert caught.value.paths == (path,)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("server.pem", b"-----BEGIN CERTIFICATE-----\n" + KEY),
        ("notes.txt", b"remember:\n" + KEY),
        ("account.json", rb'{"private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk"}'),
        ("late.bin", b"\0" * 700_000 + b"\n" + KEY),
    ],
)
def test_a_file_that_holds_a_private_key_refuses_the_upload(
    store: SiteStore, path: str, content: bytes
) -> None:
    data = simple_zip({"index.html": b"x", path: content})

    with pytest.raises(SecretFileError) as caught:
        receive(store, data)

    assert caught.value.paths == (path,)
    assert not store.layout.site("web").exists()


def test_all_secret_names_are_reported_at_once(store: SiteStore) -> None:
    data = simple_zip({"index.html": b"x", ".env": b"a", ".git/HEAD": b"b"})

    with pytest.raises(SecretFileError) as caught:
        receive(store, data)

    assert caught.value.paths == (".env", ".git/HEAD")


def test_secret_files_are_taken_when_that_is_asked_for(store: SiteStore) -> None:
    data = simple_zip({"index.html": b"x", ".env": b"a", "k.pem": KEY})

    received = receive(store, data, allow_secret_files=True)

    assert set(received.manifest.by_path) == {"index.html", ".env", "k.pem"}


@pytest.mark.parametrize(
    ("files", "strip", "stripped"),
    [
        ({"site/index.html": b"a", "site/b": b"b"}, Strip.AUTO, "site"),
        ({"site/index.html": b"a", "site/b": b"b"}, Strip.NEVER, None),
        ({"site/a.html": b"a"}, Strip.AUTO, None),
        ({"site/a.html": b"a"}, Strip.ALWAYS, "site"),
        ({"site/index.html": b"a", "other": b"b"}, Strip.AUTO, None),
        ({"index.html": b"a", "site/index.html": b"b"}, Strip.AUTO, None),
        ({"index.html": b"a"}, Strip.AUTO, None),
    ],
)
def test_one_enclosing_folder_is_stripped_by_the_rule(
    store: SiteStore, files: dict[str, bytes], strip: Strip, stripped: str | None
) -> None:
    data = simple_zip(files)

    received = receive(store, data, strip=strip)

    assert received.stripped == stripped
    cut = 0 if stripped is None else len(stripped) + 1
    assert set(received.manifest.by_path) == {path[cut:] for path in files}


def test_stripping_on_demand_needs_one_enclosing_folder(store: SiteStore) -> None:
    data = simple_zip({"a/index.html": b"a", "b/index.html": b"b"})

    with pytest.raises(ArchiveRefusedError) as caught:
        receive(store, data, strip=Strip.ALWAYS)

    assert caught.value.rule == "no_single_folder"


def test_the_kind_of_archive_does_not_change_the_digest(store: SiteStore) -> None:
    by_zip = receive(store, simple_zip(SITE))

    by_tar = receive(store, make_tar(*(member(p.encode(), d) for p, d in SITE.items())))

    assert by_tar.manifest.digest == by_zip.manifest.digest
    assert by_tar.was_present
    assert by_tar.new_bytes == 0


@pytest.mark.parametrize("slug", ["", ".", "..", "a/b", "A", ".blobs", "-a", "a" * 64, "a\n"])
def test_a_malformed_slug_is_a_value_error(store: SiteStore, slug: str) -> None:
    with pytest.raises(ValueError, match="slug"):
        receive(store, simple_zip(SITE), slug=slug)
