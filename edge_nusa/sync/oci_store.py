"""Published rounds in an OCI registry, by oras: each object is an artifact of one layer, under a tag made of its key.

Place: `oci://HOST/NAME`, or `oci+http://HOST/NAME` for a registry without TLS. A registry has no create-only write: a tag can
be moved by whoever may push, so it holds what only the hub writes and TUF vouches for (`metadata/` and `rounds/`), and no
updates of devices. Credentials are those of `oras login` or `docker login`.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge_nusa.errors import InputError, MissingPackageError, StoreError
from edge_nusa.sync.store import MissingObjectError, check_key

MEDIA_TYPE = "application/vnd.edge-nusa.object.v1"
SECONDS = 60
LONGEST_TAG = 128
NOT_THERE = ": Not Found"
"""How oras says that a registry answered 404, which it raises as a plain ValueError."""


class OciStore:
    """The artifacts of one repository of a registry. Raises InputError for a place that names none."""

    def __init__(self, place: str) -> None:
        try:
            from oras.provider import Registry
        except ImportError as error:
            raise MissingPackageError(f'{place}: needs {error.name}; install it with `pip install "edge-nusa[sync,oci]"`') from error
        scheme, _, rest = place.partition("://")
        host, _, name = rest.partition("/")
        if not host or not name:
            raise InputError(f"{place[:80]!r}: expected oci://HOST/NAME, found another form; give a registry and a repository in it")
        self._place = place
        self._name = f"{host}/{name}"
        self._registry = Registry(host, insecure=scheme == "oci+http")
        # without a word requests waits for ever
        self._registry.session.request = functools.partial(self._registry.session.request, timeout=SECONDS)

    def list(self, prefix: str) -> list[str]:
        """`Store.list`."""
        with self._explained(f"list {prefix}"):
            try:
                tags = self._registry.get_tags(self._name)
            except ValueError as error:
                if NOT_THERE in str(error):
                    return []
                raise
        keys = [tag.replace("__", "/") for tag in tags]
        return sorted(key for key in keys if key.startswith(check_key(prefix) + "/"))

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`; what comes is compared with the digest that the manifest names."""
        layer = self._layer(key)
        if layer is None:
            raise MissingObjectError(f"{self._place}: {key}: expected an object of the registry, found none; publish and mirror on the hub")
        if int(layer["size"]) > most_bytes:
            raise StoreError(f"{self._place}: {key}: expected at most {most_bytes} bytes, found {layer['size']} announced; someone else writes to this registry")
        with self._explained(f"get {key}"):
            response = self._registry.get_blob(self._name, layer["digest"], stream=True)
            response.raise_for_status()
            data = b""
            for part in response.iter_content(1 << 20):
                data += part
                if len(data) > most_bytes:
                    raise StoreError(f"{self._place}: {key}: expected at most {most_bytes} bytes, found more; someone else writes to this registry")
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != layer["digest"]:
            raise StoreError(f"{self._place}: {key}: expected the digest {layer['digest'][:19]}..., found another; get it again")
        return data

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new` for one writer: looks first, then pushes blob, manifest and tag."""
        if self._layer(key) is not None:
            return False
        with self._explained(f"put {key}"):
            layer, config = self._upload(data), self._upload(b"{}")
            manifest = {
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {**config, "mediaType": "application/vnd.oci.empty.v1+json"}, "layers": [layer], "annotations": {},
            }  # fmt: skip
            self._registry.upload_manifest(manifest, self._container(key)).raise_for_status()
        return True

    def head(self, key: str) -> int | None:
        """`Store.head`."""
        layer = self._layer(key)
        return None if layer is None else int(layer["size"])

    def _container(self, key: str) -> Any:
        from oras.container import Container

        tag = check_key(key).replace("/", "__")
        if len(tag) > LONGEST_TAG:
            raise StoreError(f"{key[:80]}: expected a key of at most {LONGEST_TAG} characters for a registry, found {len(tag)}; updates go to a folder or to S3")
        return Container(f"{self._name}:{tag}")

    def _layer(self, key: str) -> dict[str, Any] | None:
        container = self._container(key)
        with self._explained(f"look at {key}"):
            try:
                manifest = self._registry.get_manifest(container)
            except ValueError as error:
                if NOT_THERE in str(error):
                    return None
                raise
        layers = manifest.get("layers", [])
        if len(layers) != 1:
            raise StoreError(f"{self._place}: {key}: expected an artifact of one layer, found {len(layers)}; someone else writes to this registry")
        return dict(layers[0])

    def _upload(self, data: bytes) -> dict[str, Any]:
        layer = {"mediaType": MEDIA_TYPE, "size": len(data), "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
        with tempfile.NamedTemporaryFile(prefix="edge-nusa-") as file:
            file.write(data)
            file.flush()
            self._registry.upload_blob(file.name, self._name, layer).raise_for_status()
        return layer

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        from requests import RequestException

        try:
            yield
        except (RequestException, ValueError, KeyError, TypeError, OSError) as error:
            found = " ".join(str(error).split())[:300]
            raise StoreError(f"{self._place}: {doing}: expected the registry to do it, found {found}; check its address, your login and the network") from error
