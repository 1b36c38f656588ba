"""A root directory for containers: one static busybox, and a first process that does as it is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_INIT = """\
#!/bin/sh
# The first process of a container. All of them may share one root: what is one's own has its UUID in its name.
trap 'exit 0' TERM
trap 'reboot -f' HUP
mine=/run/$LIBVIRT_LXC_UUID
cat /proc/sys/kernel/random/uuid >"$mine.new"
mv "$mine.new" "$mine.boot"
for nic in /sys/class/net/eth*; do
    [ ! -e "$nic" ] || udhcpc -b -i "${nic##*/}" -s /lease.sh >/dev/null 2>&1
done
while :; do
    sleep 1000 &
    wait $!
done
"""

_LEASE = """\
#!/bin/sh
case $1 in
deconfig) ip link set "$interface" up ;;
bound | renew) ip address replace "$ip/${mask:-24}" dev "$interface" ;;
esac
"""


class ContainerRoot:
    """A directory that containers can have as their root, made at `path`."""

    init = "/init"
    """Ends at SIGTERM, reboots at SIGHUP, takes addresses, and writes which boot it is."""
    deaf = ("/bin/sleep", ("100000",))
    """A program, with its arguments, that no polite signal ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp"):
            (path / name).mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, path / "bin/busybox")
        for name in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
            if name != "busybox":
                (path / "bin" / name).symlink_to("busybox")
        for name, text in (("init", _INIT), ("lease.sh", _LEASE)):
            (path / name).write_text(text)
            (path / name).chmod(0o755)

    def boot_of(self, uuid: str) -> str | None:
        """What the first process of a container wrote when it began."""
        try:
            return (self.path / f"run/{uuid}.boot").read_text().strip()
        except FileNotFoundError:
            return None
