"""Which host shows what: one symbolic link per host, read by every web server."""

import re

from storage import failpoints, files
from storage.layout import Layout, checked_digest, checked_environment, checked_slug
from storage.staging import staged

_TARGET = re.compile(r"\.\./([a-z0-9-]+)/(releases/[0-9a-f]{64}|[a-z0-9-]+)")


class Hosts:
    """Reads and writes the links of all hosts."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def point(self, host: str, slug: str, environment: str) -> None:
        """Let a host show an environment, now and after each of its switches."""
        self._link(host, f"../{checked_slug(slug)}/{checked_environment(environment)}")

    def point_at_release(self, host: str, slug: str, digest: str) -> None:
        """Let a host show one release for good."""
        self._link(host, f"../{checked_slug(slug)}/releases/{checked_digest(digest)}")

    def _link(self, host: str, target: str) -> None:
        path = self._layout.host(host)
        with files.disk_full_reported():
            with staged(self._layout, "host") as link:
                link.symlink_to(target)
                failpoints.hit("host.link_made")
                files.rename(link, path)
            failpoints.hit("host.link_renamed")
            files.sync_folder(path.parent)

    def remove(self, host: str) -> None:
        """Let a host show nothing any more; an unknown one is fine."""
        path = self._layout.host(host)
        path.unlink(missing_ok=True)
        failpoints.hit("host.removed")
        files.sync_folder(path.parent)

    def all(self) -> dict[str, str]:
        """Return what each host shows: `<slug>/<environment>` or `<slug>/releases/<digest>`."""
        shown = {}
        for path in sorted(self._layout.hosts.iterdir()):
            if path.is_symlink() and _TARGET.fullmatch(target := str(path.readlink())):
                shown[path.name] = target.removeprefix("../")
        return shown

    def remove_all_of(self, target: str) -> None:
        """Remove the hosts that show `target` or something below it.

        A host that stayed would show whatever gets the same name later.
        """
        for host, shown in self.all().items():
            if shown == target or shown.startswith(f"{target}/"):
                self.remove(host)
