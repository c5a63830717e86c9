"""How commands get the application or its settings; both are loaded when one asks."""

from importlib import import_module

from flask import Flask
from flask.cli import ScriptInfo

from core.keys_file import KeysFile
from core.loading import loading
from core.settings import Settings


class Start(ScriptInfo):
    """How commands get the application, or its settings alone."""

    def __init__(self) -> None:
        super().__init__(create_app=_create_app, set_debug_flag=False)

    def load_settings(self) -> Settings:
        """Return what the application would be made with.

        Raises:
            SettingError: a setting cannot be used.
        """
        with loading():
            settings = import_module("config").load_settings()
        if not isinstance(settings, Settings):
            raise TypeError("config has other settings")
        return settings


def _create_app(keys: KeysFile | None = None) -> Flask:
    with loading():
        app = import_module("app").create_app(keys=keys)
    if not isinstance(app, Flask):
        raise TypeError("app makes no application")
    return app
