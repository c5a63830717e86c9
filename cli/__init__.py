"""The `relevo` commands: parse, call one service, print."""

from click import Group

from cli import (
    audit,
    backup,
    database,
    doctor,
    inspection,
    jobs,
    requests,
    secrets,
    serve,
    setup,
    sites,
    tokens,
    upgrade,
    users,
    worker,
)


def add_commands(group: Group) -> None:
    """Add every command to the console entry."""
    for command in (
        audit.command,
        backup.command,
        database.command,
        doctor.command,
        inspection.routes,
        inspection.shell,
        jobs.command,
        requests.command,
        secrets.command,
        serve.command,
        setup.command,
        sites.command,
        tokens.command,
        upgrade.command,
        users.command,
        worker.command,
    ):
        group.add_command(command)
