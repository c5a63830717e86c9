"""Fixtures of installations with people in them."""

from tests.people import home as home
from tests.people import inside as inside
from tests.people import people as people
from tests.people import template as template
