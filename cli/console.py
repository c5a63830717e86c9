"""The console entry: `relevo`.

A command is loaded when it is called, and the application when a command asks for it. So help
is there at once, and `relevo serve` soon gives way to its small parent.
"""

import sys
from importlib import import_module

import click

from cli.start import Start
from core.loading import loading
from core.settings import SettingError

EXIT_CONFIGURATION = 2

COMMANDS = {
    "audit": "Anchor and verify the audit trail.",
    "backup": "Save the whole installation into one file, prove it, and restore it on any engine.",
    "db": "Create and change the tables.",
    "doctor": "Look at permissions, clock, disk, proxy, ports, tables and recovery.",
    "jobs": "Look at long work, stop it, and try again what failed.",
    "requests": "List, show, approve, reject and carry out requests.",
    "routes": "List every address with its scopes.",
    "secrets": "Make the keys that sign and encrypt.",
    "serve": "Run the web, sites and worker processes until SIGTERM or Ctrl-C.",
    "setup": "Make keys, tables, the first administrator and the starter site; safe to repeat.",
    "shell": "Open a Python shell with models and services at hand.",
    "sites": "Publish, promote and roll back sites.",
    "tokens": "Make, list and revoke API tokens.",
    "upgrade": "Check, save all rows, bring the tables to the newest form; tell the way back.",
    "users": "Make, list and change users.",
    "worker": "Do jobs and keep the timetable until SIGTERM.",
}
"""Each command with the first sentence of its help; a test compares."""
PLACES = {
    "db": ("cli.database", "command"),
    "routes": ("cli.inspection", "routes"),
    "shell": ("cli.inspection", "shell"),
}
"""Where commands are that are not the `command` of their module."""


class Commands(click.Group):
    """The commands of `relevo`; listing them loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = PLACES.get(cmd_name, (f"cli.{cmd_name}", "command"))
        with loading():
            command = getattr(import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def main() -> None:
    """Run the `relevo` command; exit code 2 and one line for a setting that cannot be used."""
    group = Commands("relevo", help="Promote static sites from test to main.")
    try:
        group(prog_name="relevo", obj=Start())
    except SettingError as error:
        click.echo(f"relevo: {error}", err=True)
        sys.exit(EXIT_CONFIGURATION)


if __name__ == "__main__":
    main()
