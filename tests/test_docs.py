"""Documents and program name the same settings, commands, options and problems."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cli
import config
from core.errors import ErrorCode

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NO_DEFAULT = "none"
_SETTING = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]+)`|(none)) \|", re.MULTILINE)
_RESERVED = re.compile(r"^\| `([A-Z_]+)` \| [A-Z]", re.MULTILINE)
# In code, or on a line of its own: `relevo sites show web`. Groups are followed by a command.
_COMMAND = re.compile(r"(?m)(?:^(?:\$ )?|`|\bsudo -u \w+ )(relevo) ([a-z]+)(?: ([a-z][a-z-]+))?")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(group: click.Group, prefix: str = "relevo") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def console() -> click.Group:
    group = click.Group("relevo")
    cli.add_commands(group)
    return group


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def test_every_setting_is_documented_with_its_default() -> None:
    text = (DOCS / "configuration.md").read_text()

    documented = {name: default or "" for name, default, _ in _SETTING.findall(text)}

    assert documented == config.DEFAULTS


def test_every_reserved_setting_is_documented_as_not_built() -> None:
    _, _, text = (DOCS / "configuration.md").read_text().partition("## Not built yet")

    assert set(_RESERVED.findall(text)) == set(config.NOT_BUILT_YET)


@pytest.mark.parametrize("name", [name for name, _ in commands(console())])
def test_every_command_is_documented(name: str) -> None:
    text = (DOCS / "commands.md").read_text()

    assert f"`{name}" in text


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_documents_name_only_commands_that_exist(path: Path) -> None:
    known = {name for name, _ in commands(console())}

    named = [
        " ".join(word for word in match if word) for match in _COMMAND.findall(path.read_text())
    ]

    unknown = [name for name in named if name not in known and name.rpartition(" ")[0] not in known]
    assert unknown == []


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_is_documented(code: ErrorCode) -> None:
    text = (DOCS / "errors.md").read_text()

    assert f"| `{code}` |" in text


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = [target for target in _LINK.findall(path.read_text()) if "://" not in target]

    missing = [target for target in targets if not (path.parent / target).exists()]

    assert missing == []
