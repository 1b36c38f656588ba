"""A certificate authority of a bed's own, by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

_DAYS = "2"


class Authority:
    """Signs certificates; its files lie in `directory`."""

    def __init__(self, directory: Path, name: str = "bed") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate = directory / "cacert.pem"
        self._key = directory / "cakey.pem"
        _openssl("req", "-x509", *_new_key(self._key), "-subj", f"/CN={name}", "-days", _DAYS,
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                 "-out", self.certificate)  # fmt: skip

    def sign(self, certificate: Path, key: Path, *, names: str = "DNS:localhost") -> None:
        """A certificate for both ends of a connection. `names` are those it proves, as openssl writes them."""
        request, extensions = certificate.with_suffix(".csr"), certificate.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", *_new_key(key), "-subj", "/CN=bed", "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
                 "-days", _DAYS, "-extfile", extensions, "-out", certificate)  # fmt: skip

    def client(self, directory: Path, *, trusts: Authority | None = None) -> Path:
        """A directory as `pkipath=` wants it: a certificate of ours, and whom the client trusts. Returns the latter."""
        directory.mkdir(parents=True, exist_ok=True)
        trusted = directory / "cacert.pem"
        trusted.write_bytes((trusts or self).certificate.read_bytes())
        self.sign(directory / "clientcert.pem", directory / "clientkey.pem")
        return trusted


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
