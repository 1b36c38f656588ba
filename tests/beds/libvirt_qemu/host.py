"""A private libvirt host: libvirtd, its guests and networks as one process tree that is surely gone after."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.beds.libvirt_qemu import cgroups, processes
from tests.beds.libvirt_qemu.errors import BedFailure
from tests.beds.libvirt_qemu.listening import Listening

_BOOT = Path(__file__).with_name("boot.sh")
_NWFILTERS = Path("/usr/share/libvirt/nwfilter")
_OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_OVS_SOCKET = "/run/openvswitch/db.sock"
_OVERLONG = 64
"""Longest host directory: a unix socket path ends at 107 bytes, and tests put sockets of their own in it."""

_DIRECTORIES = (
    "etc/qemu/networks/autostart",
    "etc/nwfilter",
    "etc/storage/autostart",
    "etc/secrets",
    "run",
    "lib/images",
    "lib/qemu",
    "cache",
    "log",
    "dev",
    "swtpm-localca",
    "ovs",
    "images",
)

_LIBVIRTD_CONF = """\
host_uuid = "{host_uuid}"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
log_filters = "3:object 3:event 3:json 3:util 3:rpc"
log_outputs = "3:file:{home}/log/libvirtd.log"
"""

# A log file instead of virtlogd is one daemon less. All runs as root, so no file ever changes its owner.
_QEMU_CONF = """\
user = "root"
group = "root"
swtpm_user = "root"
swtpm_group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
namespaces = []
cgroup_controllers = [{controllers}]
"""

# Containers: no security module to label them with.
_LXC_CONF = 'security_driver = "none"\n'

_POOL = """\
<pool type='dir'>
  <name>default</name>
  <target><path>{path}</path></target>
</pool>
"""


class LibvirtHost:
    """A libvirt/QEMU host in namespaces of its own: the machine's libvirt, network and /dev stay untouched.

    Its files live in `root/name`, which is visible under the same path inside and outside. Without `root` a
    short temporary directory is made and removed again. A host dies with `stop()`, with the Python process or
    with its own PID 1, whichever comes first, and everything that runs in it dies too. One that `listens` does so on
    TCP, TLS and SSH; see `listening.py`.
    """

    def __init__(self, root: Path | None = None, name: str = "hosta", *, listens: bool = False) -> None:
        self._temporary = root is None
        self.root = Path(tempfile.mkdtemp(prefix="hk-", dir="/tmp")) if root is None else root.absolute()
        self.name = name
        self.home = self.root / name
        if len(os.fsencode(self.home)) > _OVERLONG:
            raise BedFailure(
                f"{self.home} is too long for the unix sockets below it: a host directory has at most "
                f"{_OVERLONG} bytes; take a shorter root, such as tempfile.mkdtemp(prefix='hk-', dir='/tmp')"
            )
        self.host_uuid = uuid.uuid4()
        self.cgroups = cgroups.available()
        """Whether CPU shares and quotas, memory and block I/O limits of guests take effect."""
        self._group = cgroups.ControlGroup(f"tb-{name}-{self.host_uuid.hex[:8]}")
        self._process: subprocess.Popen[bytes] | None = None
        self._listens = listens
        self.listening: Listening | None = None
        """Set while a host runs that listens."""

    def __enter__(self) -> LibvirtHost:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        """What a client outside connects to."""
        return f"qemu+unix:///system?socket={self._socket}"

    @property
    def lxc_uri(self) -> str:
        """The same daemon's containers."""
        return f"lxc+unix:///system?socket={self._socket}"

    @property
    def images(self) -> Path:
        """The directory of the storage pool "default"."""
        return self.home / "images"

    @property
    def init_pid(self) -> int:
        """The host's PID 1 as the machine outside numbers it."""
        if self._process is None:
            raise BedFailure(f"host {self.name} is not running")
        children = processes.children(self._process.pid)
        if not children:
            raise BedFailure(f"host {self.name} has died\n{self.log_tail()}")
        return children[0]

    def cgroup(self, controller: str) -> Path:
        """The host's control group, below which libvirt makes `machine/qemu-ID-NAME`."""
        return self._group.path(controller)

    def start(self, timeout: float = 60) -> None:
        """Boot the host; on return libvirtd answers and the pool "default" is active."""
        if self._process is not None:
            raise BedFailure(f"host {self.name} is running already")
        self._write_files()
        atexit.register(self.stop)
        try:
            self._boot()
            self._wait_until_connectable(timeout)
            self._define_default_pool()
            if self.listening is not None:
                self.listening.start_sshd(self.run)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cut the power: every process of the host is gone on return.

        A given root stays, with its logs; `start()` boots the host from it again, as after a power loss.
        """
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            for pid in processes.children(process.pid):
                os.kill(pid, signal.SIGKILL)
            if process.stdin is not None:
                process.stdin.close()
            # The kernel lets PID 1 be reaped only after the last process of its namespace.
            process.wait()
        if self.cgroups:
            self._group.remove()
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)

    def kill_libvirtd(self) -> None:
        """kill -9 the daemon. Guests and networks run on, nobody answers."""
        pid = self._libvirtd_pid()
        if pid is None:
            raise BedFailure(f"no libvirtd runs on {self.name}\n{self.log_tail()}")
        processes.kill(pid)

    def restart_libvirtd(self, timeout: float = 60) -> None:
        """Start a new daemon, in place of one that still runs; on return it answers."""
        if self._libvirtd_pid() is not None:
            self.kill_libvirtd()
        assert self._process is not None
        assert self._process.stdin is not None
        self._started.unlink()
        self._process.stdin.write(b"libvirtd\n")
        self._process.stdin.flush()
        self._wait_until_connectable(timeout)

    @contextmanager
    def hung_libvirtd(self) -> Iterator[None]:
        """Stop the daemon, whose socket then takes connections and answers nothing; it goes on at the end."""
        pid = self._libvirtd_pid()
        if pid is None:
            raise BedFailure(f"no libvirtd runs on {self.name}\n{self.log_tail()}")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # somebody killed it meanwhile
                os.kill(pid, signal.SIGCONT)

    def qemu_pid(self, domain_name: str) -> int:
        """The QEMU of a domain, as the machine outside numbers it."""
        marker = f"guest={domain_name},".encode()
        for pid in processes.children(self.init_pid):
            arguments = processes.read(f"/proc/{pid}/cmdline").split(b"\0")
            if any(argument.startswith(marker) for argument in arguments):
                return pid
        raise BedFailure(f"no QEMU runs {domain_name!r} on {self.name}")

    def kill_qemu(self, domain_name: str) -> None:
        """kill -9 the QEMU of a domain."""
        processes.kill(self.qemu_pid(domain_name))

    @contextmanager
    def hung_qemu(self, domain_name: str) -> Iterator[None]:
        """Stop the QEMU of a domain, as one that waits for its storage stands still; it goes on at the end."""
        pid = self.qemu_pid(domain_name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # somebody killed it meanwhile
                os.kill(pid, signal.SIGCONT)

    def add_bridge(self, name: str) -> None:
        """Make a Linux bridge in the host, without spanning tree: that delays a first DHCP by seconds."""
        self.run("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        self.run("ip", "link", "set", name, "up")

    def open_vswitch(self, name: str) -> None:
        """Make a bridge of Open vSwitch in the host, and start what it needs.

        In user space, since kernels of test machines seldom have its module. That computes no checksums which a guest
        leaves to the network card: ping works, TCP does not.
        """
        if not (self.home / "ovs/conf.db").exists():
            self.run("ovsdb-tool", "create", f"{self.home}/ovs/conf.db", _OVS_SCHEMA)
        if "ovs-vswitchd" not in self.run("ps", "-A", "-o", "comm"):
            daemon = ("--detach", "--pidfile", f"--log-file={self.home}/log/ovs.log")
            self.run("ovsdb-server", f"{self.home}/ovs/conf.db", f"--remote=punix:{_OVS_SOCKET}", *daemon)
            self.run("ovs-vsctl", "--no-wait", "init")
            self.run("ovs-vswitchd", f"unix:{_OVS_SOCKET}", *daemon)
        bridge = ("--", "set", "bridge", name, "datapath_type=netdev")
        self.run("ovs-vsctl", "add-br", name, *bridge)
        self.run("ip", "link", "set", name, "up")

    def add_nic(self, name: str, peer: str) -> None:
        """Make a network card in the host, with a cable to another one."""
        self.run("ip", "link", "add", name, "type", "veth", "peer", "name", peer)
        for end in (name, peer):
            self.run("ip", "link", "set", end, "up")

    def run(self, *argv: str, timeout: float = 60) -> str:
        """Run a command inside the host and return what it prints."""
        # With the host's root too: a process in a chroot would otherwise land outside of it.
        command = ["nsenter", "-t", str(self.init_pid), "-m", "-n", "-p", "-u", "-r", "--", *argv]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise BedFailure(f"{argv} on {self.name} took longer than {timeout} s") from error
        if done.returncode:
            said = done.stderr or done.stdout
            raise BedFailure(f"{argv} on {self.name} ended with {done.returncode}: {said}")
        return done.stdout

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the host's own logs."""
        parts: list[str] = []
        for log in (self.home / "log/boot.log", self.home / "log/libvirtd.log"):
            if log.exists():
                tail = log.read_text(errors="replace").splitlines()[-lines:]
                parts += [f"--- {log}", *tail]
        return "\n".join(parts)

    @property
    def _socket(self) -> Path:
        return self.home / "run/libvirt-sock"

    @property
    def _started(self) -> Path:
        return self.home / "run/libvirtd.started"

    def _write_files(self) -> None:
        shutil.rmtree(self.home / "run", ignore_errors=True)  # no /run outlives its boot
        for directory in _DIRECTORIES:
            (self.home / directory).mkdir(parents=True, exist_ok=True)
        for nwfilter in _NWFILTERS.glob("*.xml"):
            shutil.copy(nwfilter, self.home / "etc/nwfilter")
        controllers = ", ".join(f'"{controller}"' for controller in cgroups.CONTROLLERS if self.cgroups)
        etc = self.home / "etc"
        self.listening = Listening(self.home, self.name) if self._listens else None
        listening = self.listening.libvirtd_conf if self.listening else ""
        (etc / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(host_uuid=self.host_uuid, home=self.home) + listening)
        (etc / "qemu.conf").write_text(_QEMU_CONF.format(controllers=controllers))
        (etc / "lxc.conf").write_text(_LXC_CONF)
        (self.home / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost\n")

    def _boot(self) -> None:
        """Start the tree. A shell joins the control groups before `unshare` makes them the root of a view."""
        unshare = ["unshare", "-m", "-u", "-n", "-p", "--fork", "--kill-child", "--mount-proc"]
        unshare += ["--propagation", "private"]
        boot = ["bash", str(_BOOT), str(self.home), self.name]
        join: list[str] = []
        if self.cgroups:
            self._group.create()
            join = self._group.procs()
            unshare.append("-C")
            boot += cgroups.CONTROLLERS
        script = f'for procs in {" ".join(join)}; do echo $$ >"$procs"; done; exec "$@"'
        environment: dict[str, str] = {}
        if self.listening is not None:
            environment = {"LIBVIRTD_ARGUMENTS": self.listening.arguments, **self.listening.environment}
        with open(self.home / "log/boot.log", "ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", script, "sh", *unshare, *boot],
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def _wait_until_connectable(self, timeout: float) -> None:
        """Wait for the socket, not by libvirt.open: that prints every refusal to standard error."""
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while not self._accepts():
            started = processes.read(self._started)
            if self._process.poll() is not None or (started and self._libvirtd_pid() is None):
                raise BedFailure(f"libvirtd of host {self.name} ended at its start\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BedFailure(f"host {self.name} was not up after {timeout} s\n{self.log_tail()}")
            time.sleep(0.02)
        self._with_connection(lambda connection: connection.getLibVersion())

    def _accepts(self) -> bool:
        with closing(socket.socket(socket.AF_UNIX)) as client:
            return client.connect_ex(str(self._socket)) == 0

    def _libvirtd_pid(self) -> int | None:
        """The daemon seen from outside: the child of PID 1 that has the number boot.sh knows it by."""
        inside = processes.read(self._started).strip()
        for pid in processes.children(self.init_pid) if inside else []:
            if processes.number_inside(pid) == inside:
                return pid
        return None

    def _define_default_pool(self) -> None:
        def define(connection: Any) -> None:
            if "default" not in [pool.name() for pool in connection.listAllStoragePools()]:
                pool = connection.storagePoolDefineXML(_POOL.format(path=self.images))
                pool.setAutostart(True)
                pool.create()

        self._with_connection(define)

    def _with_connection(self, work: Callable[[Any], object]) -> None:
        import libvirt  # not at the top: without it, the bed can still say that it is missing

        try:
            with closing(libvirt.open(self.uri)) as connection:
                work(connection)
        except libvirt.libvirtError as error:
            raise BedFailure(f"host {self.name} does not answer: {error}\n{self.log_tail()}") from error
