"""`relevo sites`."""

import click

command = click.Group("sites")
