"""`relevo serve`: the API, the sites and the background work, under one small parent."""

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import click

from cli import supervisor
from cli.ownership import refuse_foreign_data_dir
from cli.refusals import refuse_half_restored
from cli.start import Start
from cli.supervisor import ChildPlan, Plan
from core import child, serve_lock
from core.metrics import metrics_folder
from core.settings import LogFormat, Settings

PASSWORD_FILE = "admin-password"
BACKLOG = 2048
# Scripts that need the standard library alone; their folders hold modules of the same names.
SMALL_PYTHON = [sys.executable, "-I", "-S"]
# Without -P a module in the working directory would come before ours.
PYTHON = [sys.executable, "-P"]


@click.command("serve")
@click.option(
    "--stop-with-parent", is_flag=True, help="End when the program that started this one ends."
)
@click.pass_obj
def command(start: Start, stop_with_parent: bool) -> None:
    """Run the web, sites and worker processes until SIGTERM or Ctrl-C.

    Requests in flight are finished first, for at most SHUTDOWN_SECONDS. A process that dies is
    started again; one that keeps dying ends the server with exit code 1.
    """
    settings = start.load_settings()
    refuse_foreign_data_dir(settings.data_dir)
    refuse_half_restored(settings.data_dir)
    _take_data_dir(settings.data_dir)
    # Counters of processes that have ended would be added to those of the new ones.
    shutil.rmtree(metrics_folder(settings), ignore_errors=True)
    listeners = {
        "web": _listen(settings.host, settings.port, "PORT"),
        "sites": _listen(settings.host, settings.sites_port, "SITES_PORT"),
    }
    _tell(settings)
    if stop_with_parent and not child.end_with_parent(signal.SIGTERM, os.getppid()):
        raise click.ClickException("the program that started this one has ended")
    _become_parent(_plan(settings, listeners))


def _take_data_dir(data_dir: Path) -> None:
    """Lock DATA_DIR for as long as the parent lives: the descriptor survives exec."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = serve_lock.take(data_dir)
    if descriptor is None:
        raise click.ClickException(f"another relevo serve works on {data_dir}; one at a time")
    os.set_inheritable(descriptor, True)  # a positional-only parameter


def _listen(host: str, port: int, setting: str) -> socket.socket:
    """Bind before anything is started, so that a taken port is one clear message."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise click.ClickException(
            f"{host}:{port} cannot be used ({error.strerror}); set {setting} to another port"
        ) from None
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def _tell(settings: Settings) -> None:
    starter = settings.site_url(f"starter.{settings.sites_domain}")
    click.echo(f"API            {settings.public_url}/api/v1")
    click.echo(f"Documentation  {settings.public_url}/swagger")
    click.echo(f"Starter site   {starter}")
    password = settings.data_dir / PASSWORD_FILE
    if password.exists():
        click.echo(f"Sign in as     {settings.admin_username}, password in {password}")
    sys.stdout.flush()


def _plan(settings: Settings, listeners: dict[str, socket.socket]) -> Plan:
    web, sites = listeners["web"].detach(), listeners["sites"].detach()
    return Plan(
        shim=[*SMALL_PYTHON, child.__file__],
        children=[
            ChildPlan(
                name="web",
                program=_gunicorn(settings, "web", "wsgi:app", web),
                listener=web,
                orphan_signal=signal.SIGKILL,
            ),
            ChildPlan(
                name="sites",
                program=_gunicorn(settings, "sites", "sites_wsgi:app", sites),
                listener=sites,
                orphan_signal=signal.SIGKILL,
            ),
            ChildPlan(
                name="worker",
                program=[*PYTHON, "-m", "cli.console", "worker"],
                listener=None,
                orphan_signal=signal.SIGKILL,
            ),
        ],
        shutdown_seconds=settings.shutdown_seconds,
        log_json=settings.log_format is LogFormat.JSON,
    )


def _gunicorn(settings: Settings, name: str, application: str, listener: int) -> list[str]:
    configuration = settings.root_dir / "deploy" / "gunicorn" / f"{name}.py"
    return [
        *(*PYTHON, "-m", "gunicorn"),
        *("--config", str(configuration), "--pythonpath", str(settings.root_dir)),
        *("--bind", f"fd://{listener}", application),
    ]


def _become_parent(plan: Plan) -> None:
    """Replace this process, with all it imported, by the small parent."""
    program = [*SMALL_PYTHON, supervisor.__file__, plan.to_json()]
    os.execv(program[0], program)  # noqa: S606  # nosec B606  # no shell is wanted
