"""Builds the simulator, once for each state of its sources on this machine."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.beds.vcsim.errors import BedFailure

_CACHE = Path("~/.cache/hyperkit-beds")
_SOURCES = Path(__file__).with_name("sim")
_GO_PATH = Path("/usr/share/gocode")
_LIBRARY = _GO_PATH / "src/github.com/vmware/govmomi"
_BUILD_TIMEOUT = 600.0


def missing() -> list[str]:
    """Why the simulator cannot be built here, one reason each; empty when it can."""
    reasons = [] if shutil.which("go") else ["no program go (golang-go)"]
    if not _LIBRARY.is_dir():
        reasons.append(f"no {_LIBRARY} (golang-github-vmware-govmomi-dev)")
    return reasons


@functools.cache
def program() -> Path:
    """The simulator, from the cache or built: some twenty seconds the first time, two after a change."""
    cache = _CACHE.expanduser() / "vcsim"
    cache.mkdir(parents=True, exist_ok=True)
    built = cache / f"vcsim-{_key()}"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as scratch:
                fresh = Path(scratch) / "vcsim"
                _build(fresh, cache / "go-build")
                fresh.rename(built)
    return built


def _build(target: Path, cache: Path) -> None:
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": str(_GO_PATH),
        "GOCACHE": str(cache),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    command = ["go", "build", "-o", str(target), "."]
    done = subprocess.run(
        command, cwd=_SOURCES, env=environment, capture_output=True, text=True, timeout=_BUILD_TIMEOUT, check=False
    )
    if done.returncode:
        raise BedFailure(f"the simulator does not build:\n{done.stderr}")


def _key() -> str:
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.glob("*.go")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    # Debian's library has no version in it; its files' times change with it.
    digest.update(str((_LIBRARY / "simulator/simulator.go").stat().st_mtime_ns).encode())
    return digest.hexdigest()[:16]
