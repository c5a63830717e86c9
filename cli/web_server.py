"""`relevo sites nginx-config`: nginx in front of this installation."""

import click

from cli.output import EXIT_CODES, Answer, answering
from services import web_server

CLOSED = (
    "warning: SITES_ROOT lies inside DATA_DIR, which is closed to other users; "
    "nginx can read it only after you move SITES_ROOT outside."
)


@click.command("nginx-config", epilog=EXIT_CODES)
@answering
def nginx_config() -> Answer:
    """Print the configuration for nginx with the paths, names and ports set here.

    What the settings cannot tell, such as certificates, stays marked # CHANGE. No reload is
    needed for new sites, domains or promotions.
    """
    configuration = web_server.nginx_configuration()
    if web_server.is_closed_to_nginx():
        click.echo(CLOSED, err=True)
    return Answer(document={"configuration": configuration}, lines=configuration.splitlines())
