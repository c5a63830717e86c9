"""`relevo worker`: background work in the foreground."""

import click
from flask import current_app
from flask.cli import with_appcontext

from cli.refusals import refuse_half_restored
from core.jobs import Queue
from core.settings import current_settings

QUEUES = tuple(queue.value for queue in Queue)


class QueueList(click.ParamType[tuple[str, ...]]):
    """Names of queues with commas between them."""

    name = "queues"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Refuse a queue that is not there: its worker would wait for ever."""
        names = value if isinstance(value, tuple) else tuple(str(value).split(","))
        unknown = [name for name in names if name not in QUEUES]
        if unknown:
            self.fail(f"choose among {','.join(QUEUES)}", param, ctx)
        return names


@click.command("worker")
@click.option(
    "--queues",
    type=QueueList(),
    default=QUEUES,
    show_default=",".join(QUEUES),
    help="Take jobs of these queues only.",
)
@with_appcontext
def command(queues: tuple[str, ...]) -> None:
    """Do jobs and keep the timetable until SIGTERM.

    What is in hand is finished, or handed back when it takes longer than SHUTDOWN_SECONDS.
    """
    refuse_half_restored(current_settings().data_dir)
    current_app.extensions["relevo.worker"](queues=queues).run()
