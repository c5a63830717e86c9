"""HTTP: requests in, problems and documents out."""

from api.mounting import mount

__all__ = ["mount"]
