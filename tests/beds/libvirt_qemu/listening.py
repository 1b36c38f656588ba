"""What a host listens on besides its unix socket: TCP and TLS with passwords, and a secure shell.

All of it is on the loopback of the host's own network namespace, where `in_network` takes a caller.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.beds.libvirt_qemu.errors import BedFailure
from tests.beds.pki import Authority

T = TypeVar("T")

USER, PASSWORD = "bob", "correct horse battery staple"
"""Whom libvirtd's TCP and TLS sockets let in."""
SSH_PORT = 2222

_CLONE_NEWNET = 0x40000000
_LIBVIRTD_CONF = """\
listen_tcp = 1
auth_tcp = "sasl"
listen_tls = 1
auth_tls = "sasl"
ca_file = "{pki}/cacert.pem"
cert_file = "{pki}/servercert.pem"
key_file = "{pki}/serverkey.pem"
"""

# Over TCP a mechanism has to encrypt, which of those with passwords DIGEST-MD5 alone does.
_SASL_CONF = """\
mech_list: scram-sha-256 digest-md5
sasldb_path: {home}/sasl/passwd.db
"""

_SSHD_CONF = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/ssh/host_key
AuthorizedKeysFile {home}/ssh/client_key.pub
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
"""

_SSH_CONF = """\
UserKnownHostsFile {home}/ssh/known_hosts
GlobalKnownHostsFile /dev/null
IdentitiesOnly yes
IdentityAgent none
LogLevel ERROR
"""


class Listening:
    """Listeners of a host, whose `home` is where their files go."""

    arguments = "--listen"
    """libvirtd's."""

    def __init__(self, home: Path, name: str) -> None:
        self._home = home
        self._name = name
        self.authority = Authority(home / "pki")
        self.authority.sign(home / "pki/servercert.pem", home / "pki/serverkey.pem")
        self.libvirtd_conf = _LIBVIRTD_CONF.format(pki=home / "pki")
        self.environment = {"SASL_CONF_PATH": str(home / "sasl")}
        self._add_user()
        self._make_keys()

    def start_sshd(self, run: Callable[..., str]) -> None:
        """Start the secure shell; `run` runs a command in the host."""
        run("mkdir", "-p", "/run/sshd")  # it insists on a directory of that name
        run("/usr/sbin/sshd", "-f", str(self._home / "ssh/sshd_config"), "-E", str(self._home / "log/sshd.log"))

    def ssh_command(self, *options: str, key: bool = True) -> Path:
        """A client that logs its arguments, and that knows the host and no configuration of the machine."""
        script = self._home / f"ssh/client-{len(list((self._home / 'ssh').iterdir()))}"
        identity = ["-i", str(self._home / "ssh/client_key")] if key else []
        words = " ".join(["ssh", "-F", str(self._home / "ssh/ssh_config"), *identity, *options])
        script.write_text(f'#!/bin/sh\necho "$@" >>{script}.log\nexec {words} "$@"\n')
        script.chmod(0o755)
        return script

    def _add_user(self) -> None:
        sasl = self._home / "sasl"
        sasl.mkdir(exist_ok=True)
        (sasl / "libvirt.conf").write_text(_SASL_CONF.format(home=self._home))
        command = ["saslpasswd2", "-p", "-c", "-a", "libvirt", "-u", self._name, "-f", str(sasl / "passwd.db"), USER]
        subprocess.run(command, input=PASSWORD, text=True, check=True, capture_output=True, timeout=60)

    def _make_keys(self) -> None:
        ssh = self._home / "ssh"
        ssh.mkdir(exist_ok=True)
        for name in ("host_key", "client_key"):
            (ssh / name).unlink(missing_ok=True)
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(ssh / name)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        host_key = (ssh / "host_key.pub").read_text()
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{SSH_PORT} {host_key}")
        (ssh / "sshd_config").write_text(_SSHD_CONF.format(home=self._home, port=SSH_PORT))
        (ssh / "ssh_config").write_text(_SSH_CONF.format(home=self._home))


def in_network(pid: int, work: Callable[[], T], timeout: float = 120) -> T:
    """Do something in the network namespace of a process: in a thread, and what that starts is there too."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(namespace)
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="in-network", daemon=True)
    thread.start()
    thread.join(timeout)
    if errors:
        raise errors[0]
    if not results:
        raise BedFailure(f"not done within {timeout} s")
    return results[0]
