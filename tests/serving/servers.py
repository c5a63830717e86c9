"""Real servers on loopback ports, each ended by the process that started it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.exchange import fetch

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 15
STOP_SECONDS = 5
API_NAME = "relevo.test"

NGINX_CONF = """
daemon off;
worker_processes 2;
pid {work}/nginx.pid;
error_log {work}/error.log warn;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    include {work}/relevo.conf;
}}
"""


@contextmanager
def running_gunicorn(root: Path, work: Path, *, log_level: str = "ERROR") -> Iterator[int]:
    """Run the shipped entry point under gunicorn and yield its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        arguments = ["--worker-class", "gthread", "--workers", "2", "--threads", "4"]
        binding = ["--bind", f"fd://{listener.fileno()}", "--no-control-socket"]
        environment = {
            "PATH": os.defpath,
            "ENVIRONMENT": "development",
            "SITES_ROOT": str(root),
            "DATA_DIR": str(work),
            "LOG_LEVEL": log_level,
        }
        command = [sys.executable, "-m", "gunicorn", "sites_wsgi:app", *arguments, *binding]
        port = listener.getsockname()[1]
        log = work / "gunicorn.log"
        with _running(command, environment, log, pass_fds=(listener.fileno(),)):
            _wait_for(port, log)
            yield port


@contextmanager
def running_nginx(program: str, root: Path, work: Path, *, upstream: int = 9) -> Iterator[int]:
    """Run nginx with the shipped configuration and yield its port."""
    port = _free_port()
    shipped = (REPOSITORY / "deploy" / "nginx" / "relevo.conf").read_text()
    (work / "relevo.conf").write_text(rendered(shipped, root, work, port, upstream))
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx.conf").write_text(NGINX_CONF.format(work=work, user=user))
    command = [program, "-p", str(work), "-c", str(work / "nginx.conf"), "-e", "stderr"]
    log = work / "nginx.log"
    with _running(command, {"PATH": os.defpath}, log):
        _wait_for(port, log)
        yield port


def rendered(shipped: str, root: Path, work: Path, port: int, upstream: int) -> str:
    """Change what the configuration asks an operator to change."""
    replacements = {
        "/var/lib/relevo/sites": str(root.resolve()),
        "/var/lib/relevo-acme": str(work / "acme"),
        r"sites\.example\.org": "localhost",
        "relevo.example.org": API_NAME,
        "127.0.0.1:8000": f"127.0.0.1:{upstream}",
    }
    for placeholder, value in replacements.items():
        assert placeholder in shipped, placeholder
        shipped = shipped.replace(placeholder, value)
    return re.sub(r"listen 80( default_server)?;", rf"listen 127.0.0.1:{port}\1;", shipped)


@contextmanager
def _running(
    command: list[str], environment: dict[str, str], log: Path, pass_fds: tuple[int, ...] = ()
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            fetch(port, "/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
