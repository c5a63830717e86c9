"""What would survive a power cut: the order of writes, syncs and renames of one promotion.

SIGKILL keeps the page cache, so this is read from the system calls of a real worker.
"""

import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.prove.client import Client
from tests.prove.content import site_files, zipped
from tests.prove.installation import Installation

NAME = "ordering"
TITLE = "Order of writes"
THRESHOLDS = {"violations": "== 0", "renames seen": ">= 2", "commits seen": ">= 2"}
CALLS = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat,ftruncate"
ATTACH_SECONDS = 10.0

_LINE = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$")
_UNFINISHED = re.compile(r"^(?P<start>(?P<pid>\d+) +.*) <unfinished \.\.\.>$")
_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True)
class Call:
    """One system call that changes the disk; `target` is where a rename leads."""

    name: str
    path: str
    target: str = ""


def run(full: bool) -> dict[str, object]:
    """Watch promotions of a real worker; without strace say so and measure nothing."""
    if shutil.which("strace") is None:
        return {"skipped": "strace is not installed (Debian: apt install strace)"}
    count = 20 if full else 2
    with tempfile.TemporaryDirectory(prefix="relevo-prove-") as folder:
        calls = _watch(Path(folder).resolve(), count)
    if not calls:
        return {"skipped": "strace may not attach to processes here"}
    found = violations(calls)
    return {
        "promotions": count,
        "system calls": len(calls),
        "renames seen": sum(call.name == "rename" for call in calls),
        "commits seen": sum(call.name == "sync" and call.path.endswith("-wal") for call in calls),
        "syncs for each promotion": round(sum(c.name == "sync" for c in calls) / count, 1),
        "violations": len(found),
        "first violations": found[:5],
    }


def _watch(work: Path, count: int) -> list[Call]:
    installation = Installation(work, WEB_WORKERS="1")
    installation.set_up()
    with installation.running("web"):
        installation.client().post("/sites", {"slug": "web", "name": "Web"}).expect(201)
        client = Client(installation.port, installation.api_token())
        for stamp in ("one", "two"):
            client.upload("web", zipped(site_files(stamp))).expect(201)
            client.post("/sites/web/promotions", {"to": "main"}).expect(201)
        log = work / "strace.log"
        worker = installation.members("web")[-1].pid
        tracer = _attach(worker, log)
        if tracer is None:
            return []
        for turn in range(count):
            body = {"to": "main", "release": 1 + turn % 2, "allow_older": True}
            client.post("/sites/web/promotions", body).expect(201)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(ATTACH_SECONDS)
        return read_calls(log.read_text(errors="replace"), installation.data_dir)


def _attach(pid: int, log: Path) -> "subprocess.Popen[bytes] | None":
    command = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(log)]
    tracer = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline and tracer.poll() is None:
        status = Path(f"/proc/{pid}/status").read_text()
        if "TracerPid:\t0\n" not in status:
            time.sleep(0.5)  # the threads follow
            return tracer
        time.sleep(0.05)
    if tracer.poll() is None:
        tracer.kill()
        tracer.wait()
    return None


def read_calls(text: str, folder: Path) -> list[Call]:
    """Return the calls on files below `folder`, in the order in which they ended."""
    waiting: dict[str, str] = {}
    calls = []
    for line in text.splitlines():
        if begun := _UNFINISHED.match(line):
            waiting[begun["pid"]] = begun["start"]
            continue
        if ended := _RESUMED.match(line):
            line = waiting.pop(ended["pid"], "") + ended["rest"]
        match = _LINE.match(line)
        if match and int(match["result"]) >= 0:
            call = _call(match["name"], match["arguments"])
            if call is not None and call.path.startswith(f"{folder}/"):
                calls.append(call)
    return calls


def _call(name: str, arguments: str) -> Call | None:
    if name.startswith(("rename", "symlink")):
        paths = _QUOTED.findall(arguments)
        if len(paths) != 2:
            return None
        if name.startswith("symlink"):
            return Call("symlink", paths[1])
        return Call("rename", paths[0], paths[1])
    match = _DESCRIPTOR.match(arguments)
    if match is None:
        return None
    kind = "sync" if name in ("fsync", "fdatasync") else "write"
    return Call(kind, match["path"])


def violations(calls: list[Call]) -> list[str]:
    """Return every breach of: write, sync the file, rename, sync the folder, go on."""
    found: list[str] = []
    dirty: set[str] = set()
    folders: dict[str, str] = {}
    for call in calls:
        if call.name == "write" and not call.path.endswith((".lock", "-shm", ".log")):
            dirty.add(call.path)
        elif call.name == "sync":
            dirty.discard(call.path)
            folders.pop(call.path, None)
        elif call.name == "rename":
            found += _rename_violations(call, dirty, folders)
            folders[str(Path(call.target).parent)] = call.target
    found += [f"the folder of {target} was never synced" for target in folders.values()]
    return found


def _rename_violations(call: Call, dirty: set[str], folders: dict[str, str]) -> list[str]:
    found = []
    if call.path in dirty:
        found.append(f"{call.target} was renamed before its content was synced")
    unsynced = [path for path in dirty if path.endswith("-wal") and "relevo.db" in path]
    if unsynced:
        found.append(f"{call.target} was renamed before the database was synced")
    for earlier in folders.values():
        found.append(f"{call.target} was renamed before the folder of {earlier} was synced")
    return found
