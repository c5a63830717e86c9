"""The `relevo` commands: parse, call one service, print."""

from click import Group

from cli import database, setup, sites, worker


def add_commands(group: Group) -> None:
    """Add every command to the console entry."""
    for command in (database.command, setup.command, sites.command, worker.command):
        group.add_command(command)
