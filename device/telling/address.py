"""Where a broker is and how one logs in: an address without a secret, a password that no list of processes shows."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge_nusa.errors import InputError, UsageError
from edge_nusa.files import durable
from edge_nusa.files.foreign import shown

PASSWORD = "EDGE_NUSA_MQTT_PASSWORD"
SCHEMES = {"mqtt": 1883, "mqtts": 8883}
LONGEST_PASSWORD = 4096
_EXAMPLE = "write mqtt://HOST, mqtt://USER@HOST:1883 or mqtts://HOST"


@dataclass(frozen=True, kw_only=True)
class BrokerAddress:
    """host, port, user (None: nobody); is_sealed: whether by TLS; password: never shown; authority: a file of the
    certificates that are believed (None: the system's)."""

    host: str
    port: int
    user: str | None
    is_sealed: bool
    password: str | None = field(default=None, repr=False)
    authority: Path | None = None

    @property
    def shown(self) -> str:
        """For people."""
        who = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.is_sealed else ''}://{who}{host}:{self.port}"


def address(url: str, password_file: Path | None, authority: Path | None, option: str = "--mqtt") -> BrokerAddress:
    """The broker of a URL. The password is the first line of the file, else that of the environment, which is taken out
    of it, so that no child of this process gets it. Raises UsageError, InputError where the file cannot be read."""
    host, port, user, is_sealed = _parts(url, option)
    if authority is not None and not is_sealed:
        raise UsageError(f"{option}: expected mqtts:// where certificates are given, found mqtt://; {_EXAMPLE}")
    password = os.environ.pop(PASSWORD, None)
    if password_file is not None:
        password = _of_file(password_file)
    if password is not None and user is None:
        raise UsageError(f"{option}: expected a user for the password, found none; write mqtt://USER@{host}")
    return BrokerAddress(
        host=host, port=port, user=user, is_sealed=is_sealed, password=password or None, authority=authority
    )


def _parts(url: str, option: str) -> tuple[str, int, str | None, bool]:
    """Host, port, user, and whether by TLS. No error shows the address as it was given: a secret may be in it."""
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        raise UsageError(f"{option}: expected the address of a broker, found another text; {_EXAMPLE}") from None
    if found.password is not None:
        raise UsageError(
            f"{option}: expected no password in the address, as every user of this board sees it in the list of "
            f"processes; put it into a file (--mqtt-password-file) or into {PASSWORD}"
        )
    if found.scheme not in SCHEMES:
        raise UsageError(f"{option}: expected mqtt:// or mqtts://, found {shown(found.scheme)}; {_EXAMPLE}")
    if not found.hostname or found.path not in ("", "/") or found.query or found.fragment or port == 0:
        raise UsageError(f"{option}: expected a host and nothing behind it, found another address; {_EXAMPLE}")
    if not found.hostname.isprintable() or " " in found.hostname:
        raise UsageError(f"{option}: expected the name or number of a host, found other signs; {_EXAMPLE}")
    user = unquote(found.username) if found.username else None
    return found.hostname, port or SCHEMES[found.scheme], user, found.scheme == "mqtts"


def _of_file(path: Path) -> str:
    try:
        data = durable.read_named(path, LONGEST_PASSWORD + 1)
    except (OSError, ValueError) as error:
        with durable.explained(f"read the password in {path}"):
            raise error if isinstance(error, OSError) else OSError(str(error)) from error
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > LONGEST_PASSWORD:
        raise InputError(
            f"{path}: expected a password in its first line, found none; write it there, for this user only: "
            f"install -m 600 /dev/null {path}"
        )
    return text


def context(address: BrokerAddress) -> ssl.SSLContext:
    """TLS: a certificate that is believed, and of this host. Raises InputError where the file is not what it says."""
    if address.authority is None:
        return ssl.create_default_context()
    with durable.explained(f"read {address.authority}"):
        data = durable.read_named(address.authority, 1 << 20)
    try:
        return ssl.create_default_context(cadata=data.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise InputError(
            f"{address.authority}: expected certificates as PEM, found other content; give the authority's own file"
        ) from error
