"""`/limits` and `/version`: what the server tells about itself."""

from flask_restx import Namespace, Resource

from api.endpoint import endpoint
from api.schemas.server import LimitsOut, VersionOut
from core.settings import Settings, current_settings
from core.version import PROGRAM, program_version

API_VERSION = "v1"


class Limits(Resource):
    """The limits in force."""

    @endpoint(summary="Show the limits in force", response=LimitsOut)
    def get(self) -> Settings:
        """Return the settings; the schema picks the limits."""
        return current_settings()


class Version(Resource):
    """The program that answers."""

    @endpoint(summary="Show the version", response=VersionOut)
    def get(self) -> dict[str, str]:
        """Return the name and the version."""
        return {"name": PROGRAM, "version": program_version(), "api": API_VERSION}


def namespace() -> Namespace:
    """Make the routes."""
    routes = Namespace("server", description="Limits and version of the server.", path="/")
    routes.add_resource(Limits, "/limits")
    routes.add_resource(Version, "/version")
    return routes
