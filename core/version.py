"""Which version of Relevo this is."""

from importlib.metadata import PackageNotFoundError, version

PROGRAM = "relevo"
UNINSTALLED = "0.0.0"


def program_version() -> str:
    """Return the installed version; a bare checkout has none."""
    try:
        return version(PROGRAM)
    except PackageNotFoundError:
        return UNINSTALLED
