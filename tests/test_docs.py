"""Documents and program name the same settings, commands, options and problems."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import config
from api.problems import STATUS
from cli.console import COMMANDS, Commands
from core.errors import ErrorCode
from services.permissions import PERMISSIONS, PRESETS, SHIPPED_ROLES, TokenPreset

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_SETTING = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]+)`|(none)) \|", re.MULTILINE)
_RESERVED = re.compile(r"^\| `([A-Z_]+)` \| [A-Z]", re.MULTILINE)
# In code, or on a line of its own: `relevo sites show web`. Groups are followed by a command.
_COMMAND = re.compile(r"(?m)(?:^(?:\$ )?|`|\bsudo -u \w+ )(relevo) ([a-z]+)(?: ([a-z][a-z-]+))?")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_ANCHOR = re.compile(r"\]\(([^)#\s:]*)#([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_EXAMPLE = re.compile(r"^(?:\$ )?(relevo [a-z].*)$", re.MULTILINE)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REDIRECTION = {">", ">>", "<", "|", "&&"}


def commands(group: click.Group, prefix: str = "relevo") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def console() -> click.Group:
    return Commands("relevo")


def examples(text: str) -> Iterator[list[str]]:
    """Yield the words of every command in the code blocks, without what the shell does to it."""
    for block in _BLOCK.findall(text):
        for line in _EXAMPLE.findall(block.replace("\\\n", " ")):
            words = shlex.split(line, comments=True)
            end = next((at for at, word in enumerate(words) if word in _REDIRECTION), len(words))
            yield words[:end]


def resolve(words: list[str]) -> tuple[str, click.Command, list[str]]:
    """Return the full name, the command and its arguments."""
    known = dict(commands(console()))
    for length in (3, 2):
        name = " ".join(words[:length])
        if name in known:
            return name, known[name], words[length:]
    raise LookupError(" ".join(words))


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def test_every_setting_is_documented_with_its_default() -> None:
    text = (DOCS / "configuration.md").read_text()

    documented = {name: default or "" for name, default, _ in _SETTING.findall(text)}

    assert documented == config.DEFAULTS


def test_every_reserved_setting_is_documented_as_not_built() -> None:
    _, _, text = (DOCS / "configuration.md").read_text().partition("## Not built yet")

    assert set(_RESERVED.findall(text)) == set(config.NOT_BUILT_YET)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name: str) -> None:
    command = console().get_command(click.Context(console()), name)

    assert command is not None
    assert COMMANDS[name] == command.get_short_help_str(limit=1000)


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


def test_every_command_has_an_example() -> None:
    text = (DOCS / "commands.md").read_text()

    shown = {resolve(words)[0] for words in examples(text)}

    assert shown == {name for name, _ in commands(console())}


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_examples_use_options_that_exist(path: Path) -> None:
    for words in examples(path.read_text()):
        name, command, arguments = resolve(words)

        command.make_parser(click.Context(command, info_name=name)).parse_args(arguments)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_is_documented_with_its_status(code: ErrorCode) -> None:
    text = (DOCS / "errors.md").read_text()

    assert f"| `{code}` | {STATUS[code].value} |" in text


def test_no_error_code_is_documented_that_does_not_exist() -> None:
    text = (DOCS / "errors.md").read_text()

    documented = re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)

    assert sorted(documented) == sorted(code.value for code in ErrorCode)


def test_the_table_of_roles_says_what_the_roles_grant() -> None:
    text = (DOCS / "identity.md").read_text()
    _, _, table = text.partition("| Permission | Allows | ")
    lines = table.partition("\n\n")[0].splitlines()
    names = re.findall(r"`([a-z]+)`", lines[0])

    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]

    assert [row[0].strip("`") for row in cells] == list(PERMISSIONS)
    for role in SHIPPED_ROLES:
        if role.name == "admin":
            continue
        column = names.index(role.name) + 2
        granted = {row[0].strip("`") for row in cells if row[column] == "yes"}
        assert granted == role.permissions, role.name


def test_presets_are_documented_with_their_scopes() -> None:
    text = (DOCS / "identity.md").read_text()
    upload, deploy = PRESETS[TokenPreset.UPLOAD], PRESETS[TokenPreset.DEPLOY]

    documented = {
        name: set(re.findall(r"`([a-z]+:[a-z]+)`", line))
        for name, line in re.findall(r"^\| `(upload|deploy)` \| (.*) \|$", text, re.MULTILINE)
    }

    assert documented == {"upload": upload, "deploy": deploy - upload}


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = [target for target in _LINK.findall(path.read_text()) if "://" not in target]

    missing = [target for target in targets if not (path.parent / target).exists()]

    assert missing == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_into_documents_name_a_heading(path: Path) -> None:
    for target, anchor in _ANCHOR.findall(path.read_text()):
        text = (path.parent / target).read_text() if target else path.read_text()

        anchors = {
            re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-")
            for line in _HEADING.findall(text)
        }

        assert anchor in anchors, f"{target}#{anchor}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_locked_requirements_have_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")

    pins = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "#"))]

    assert "://" not in text
    assert pins
    for pin in pins:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", pin), (
            pin
        )
