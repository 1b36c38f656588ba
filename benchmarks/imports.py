"""``import hyperkit`` in fresh interpreters, next to the entrance of Apache Libcloud's compute drivers.

Libcloud is the library of this kind that most people know, and its ``libcloud.compute.providers`` is what a script
imports to reach any hypervisor: as in hyperkit, a registry that loads no vendor's driver yet. Vendor bindings such as
libvirt's are no alternative: an import of hyperkit leaves them out, and asking for one costs the same in both.

hyperkit loads its modules at the first use of a public name. What that takes is told on standard error; Libcloud loads
as much, and a driver's module for the same purpose later.

A sample is the life of an interpreter that imports it; the median life of one that imports nothing is taken off.
Bytecode is cached for all three alike, in a directory of the benchmark's own, since an installed package has it cached.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from functools import partial

from benchmarks.harness import Benchmark, BenchmarkFailed, CannotRun, Row, Sample, alternate, median, say, scaled, timed

_ROUNDS = 31
_TARGET_MS = 60
_OURS = "import hyperkit"
_OTHER = "import libcloud.compute.providers"
_USE = "import hyperkit; hyperkit.connect"
_VENDORS = ("libvirt", "libvirtmod", "pyVmomi", "pyVim", "vmware", "winrm", "requests", "spnego", "lxml", "urllib3")
_CHECK = f"{_USE}; import sys; print(*sorted({set(_VENDORS)!r} & {{name.partition('.')[0] for name in sys.modules}}))"


def run(scale: float) -> Row:
    """Measure; `BenchmarkFailed` if an import of hyperkit loads a vendor's module."""
    if importlib.util.find_spec("libcloud") is None:
        raise CannotRun("no Python module libcloud: pip install apache-libcloud")
    with tempfile.TemporaryDirectory(prefix="hk-pyc-") as cache:
        vendors = _interpreter(cache, _CHECK).split()
        if vendors:
            raise BenchmarkFailed(f"import hyperkit loads modules of vendors: {', '.join(vendors)}")
        bare, ours, used, other = alternate(
            _sample(cache, "pass"),
            _sample(cache, _OURS),
            _sample(cache, _USE),
            _sample(cache, _OTHER),
            rounds=scaled(_ROUNDS, scale, least=3),
        )
    nothing = median(bare)
    row = Row.of("import", "ms", (median(ours) - nothing) * 1e3, (median(other) - nothing) * 1e3, _OTHER)
    say(
        f"import: no vendor module is loaded; {(median(used) - nothing) * 1e3:.1f} ms with the first use of a name; "
        f"a bare interpreter takes {nothing * 1e3:.1f} ms"
    )
    return row


def _sample(cache: str, code: str) -> Sample:
    return timed(partial(_interpreter, cache, code))


def _interpreter(cache: str, code: str) -> str:
    """Run code in a fresh interpreter, with what this one has in its environment, and return what it prints."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed(f"python -c {code!r} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


BENCHMARK = Benchmark(
    "import",
    "import hyperkit in a fresh interpreter / import libcloud.compute.providers",
    run,
    most=_TARGET_MS,
    most_of="hyperkit",
)
