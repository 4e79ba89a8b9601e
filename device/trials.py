"""Providers tried on this board, and what came of it, remembered in a small file: a trial takes seconds, and asking
must not."""

from __future__ import annotations

import json
import os
from collections.abc import Set
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nusa.errors import EdgeNusaError
from edge_nusa.files import durable
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import canonical, parse
from edge_nusa.files.json_record import Origin
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.providers import Provider

if TYPE_CHECKING:
    from edge_nusa.model.probing import Tried

NAME = "providers.json"
FORMAT_VERSION = 1
LARGEST_BYTES, MOST = 64 << 10, 32


class Trials:
    """Each provider is tried once with a bundle and an onnxruntime. path: the file that remembers, None: nothing does.

    A file that is none of ours, or that cannot be written, costs another trial and nothing else.
    """

    def __init__(self, path: Path | None, threads: int = 0) -> None:
        self.path, self.threads = path, threads

    def failure(self, provider: Provider, bundle: Bundle) -> str:
        """Why it does not work here, "" where it does. What is not even installed is no trial, and not remembered."""
        from edge_nusa.model.probing import offered

        if missing := offered(provider):
            return missing
        key, known = _key(provider, bundle, _is_service()), self._remembered()
        return known[key].failure if key in known else self._tried(provider, bundle, {key}).failure

    def anew(self, provider: Provider, bundle: Bundle) -> Tried:
        """Try it, whatever commands and services remember, and remember that. What is not even installed is no trial
        here either: the package that brings it may have the same version."""
        from edge_nusa.model.probing import Tried, offered

        if missing := offered(provider):
            return Tried(failure=missing)
        return self._tried(provider, bundle, {_key(provider, bundle, inside) for inside in (False, True)})

    def _tried(self, provider: Provider, bundle: Bundle, forgotten: Set[str]) -> Tried:
        """A service remembers no failure: what its sandbox refuses is allowed by editing its unit, which no key says,
        and it starts seldom."""
        from edge_nusa.model.probing import tried

        found, is_service = tried(provider, bundle, self.threads), _is_service()
        known = {name: one for name, one in self._remembered().items() if name not in forgotten}
        if not (is_service and found.failure):
            known = {**dict(list(known.items())[1 - MOST :]), _key(provider, bundle, is_service): found}
        self._remember(known)
        return found

    def _remembered(self) -> dict[str, Tried]:
        if self.path is not None:
            with suppress(EdgeNusaError, OSError):
                return decode(durable.read_at_most(self.path, LARGEST_BYTES + 1), str(self.path))
        return {}

    def _remember(self, known: dict[str, Tried]) -> None:
        if self.path is not None:
            with suppress(EdgeNusaError, OSError):
                durable.make_folder(self.path.parent)
                durable.replace_file(self.path, encode(known))


def encode(known: dict[str, Tried]) -> bytes:
    """The file: JSON of format_version and trials {key: what came of it}."""
    content = {"format_version": FORMAT_VERSION, "trials": {name: asdict(one) for name, one in known.items()}}
    return json.dumps(content, allow_nan=False).encode() + b"\n"


def decode(data: bytes, where: str) -> dict[str, Tried]:
    """The inverse of `encode`. Raises DamagedError naming `where`."""
    from edge_nusa.model.probing import Tried

    record = parse(data, Origin(where, "remove the file: each provider is tried again"), LARGEST_BYTES)
    record.version(FORMAT_VERSION)
    return {name: Tried.from_record(one) for name, one in record.named("trials", MOST).items()}


def _is_service() -> bool:
    return os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


def _key(provider: Provider, bundle: Bundle, is_service: bool) -> str:
    """What a trial depends on: onnxruntime, the provider as it is opened, the bundle, and whether this is a service of
    systemd, whose sandbox may refuse it memory for code or its device."""
    import onnxruntime

    from edge_nusa.model.provider_probe import as_words

    identity = bundle.manifest.identity.sha256
    return sha256_hex(canonical([onnxruntime.__version__, as_words(provider), identity, is_service]))
