"""Published rounds in an OCI registry, by oras: each object is an artifact of one layer, under a tag made of its key.

Place: `oci://HOST/NAME`, or `oci+http://HOST/NAME` for a registry without TLS. A registry has no create-only write: a
tag can be moved by whoever may push, so it holds what only the hub writes and TUF vouches for (`metadata/` and
`rounds/`), and no updates of devices. Credentials are those of `oras login` or `docker login`.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

from edge_nusa.errors import InputError, MissingPackageError, StoreError
from edge_nusa.files.foreign import named, shown, why
from edge_nusa.sync.stores.store import MissingObjectError, check_key

Result = TypeVar("Result")
MEDIA_TYPE = "application/vnd.edge-nusa.object.v1"
SECONDS = 120
"""Of one verb."""
SLOWEST_BYTES_A_SECOND = 2048
"""Of a line by which rounds still go out."""
LARGEST_ANSWER_BYTES = 64 << 20
"""Of a listing, a manifest or a login together; a hundred thousand tags have a quarter of that."""
LARGEST_LOGIN_BYTES = 1 << 20
"""What is answered besides a blob: redirects and logins."""
LONGEST_TAG = 128
PARTIAL = 206
NOT_THERE = ": Not Found"
"""How oras says that a registry answered 404, which it raises as a plain ValueError."""


class OciStore:
    """The artifacts of one repository of a registry. Raises InputError for a place that names none."""

    def __init__(self, place: str) -> None:
        try:
            from oras.provider import Registry

            from edge_nusa.sync.stores.bounded_http import BoundedAdapter
        except ImportError as error:
            raise MissingPackageError(
                f'{place}: needs {error.name}; install it with `pip install "edge-nusa[sync,oci]"`'
            ) from error
        scheme, _, rest = place.partition("://")
        host, _, name = rest.partition("/")
        if not host or not name:
            raise InputError(
                f"{shown(place)}: expected oci://HOST/NAME, found another form; give a registry and a repository in it"
            )
        self._place = place
        self._name = f"{host}/{name}"
        self._registry = Registry(host, insecure=scheme == "oci+http")
        self._adapter = BoundedAdapter(f"{self._registry.prefix}://{host}")
        for prefix in ("https://", "http://"):
            self._registry.session.mount(prefix, self._adapter)
        self._registry.session.headers["Accept-Encoding"] = "identity"
        # oras tries five times over two minutes, whatever the error is, and hides it; a sync is run again anyway. Why,
        # and that it is still there to be replaced, is tested: tests/test_oras_inside.py
        self._registry.do_request = functools.partial(inspect.unwrap(Registry.do_request), self._registry)

    def list(self, prefix: str) -> list[str]:
        """`Store.list`."""
        folder = check_key(prefix) + "/"
        tags = self._answered(
            f"list {prefix}",
            LARGEST_ANSWER_BYTES,
            lambda: self._or_nothing(lambda: self._registry.get_tags(self._name)),
        )
        keys = [str(tag).replace("__", "/") for tag in tags or []]
        return sorted(key for key in keys if key.startswith(folder))

    def get(self, key: str, most_bytes: int) -> bytes:
        """`Store.get`; what comes is compared with the digest that the manifest names."""
        layer = self._there(key)
        if int(layer["size"]) > most_bytes:
            raise StoreError(
                f"{self._place}: {key}: expected at most {most_bytes} bytes, found {layer['size']} announced; someone "
                "else writes to this registry"
            )
        data = self._answered(
            f"get {key}", most_bytes + LARGEST_LOGIN_BYTES, lambda: self._blob(key, layer["digest"], {})
        )
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != layer["digest"]:
            raise StoreError(
                f"{self._place}: {key}: expected the digest {layer['digest'][:19]}..., found another; get it again"
            )
        return data

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """`Store.get_part`; the digest of the whole cannot be compared here."""
        layer = self._there(key)
        if start >= int(layer["size"]):
            return b""
        asked = {"Range": f"bytes={start}-{start + most_bytes - 1}"}
        bound = start + most_bytes + LARGEST_LOGIN_BYTES
        return self._answered(
            f"get {key} from byte {start}", bound, lambda: self._blob(key, layer["digest"], asked, start)
        )[:most_bytes]

    def put_new(self, key: str, data: bytes) -> bool:
        """`Store.put_new` for one writer: looks first, then pushes blob, manifest and tag."""
        if self._layer(key) is not None:
            return False
        self._answered(
            f"put {key}", LARGEST_ANSWER_BYTES, lambda: self._pushed(key, data), len(data) / SLOWEST_BYTES_A_SECOND
        )
        return True

    def head(self, key: str) -> int | None:
        """`Store.head`."""
        layer = self._layer(key)
        return None if layer is None else int(layer["size"])

    def _container(self, key: str) -> Any:
        from oras.container import Container

        tag = check_key(key).replace("/", "__")
        if len(tag) > LONGEST_TAG:
            raise StoreError(
                f"{named(key)}: expected a key of at most {LONGEST_TAG} characters for a registry, found {len(tag)}; "
                "updates go to a folder or to S3"
            )
        return Container(f"{self._name}:{tag}")

    def _there(self, key: str) -> dict[str, Any]:
        layer = self._layer(key)
        if layer is None:
            raise MissingObjectError(
                f"{self._place}: {key}: expected an object of the registry, found none; publish and mirror on the hub"
            )
        return layer

    def _layer(self, key: str) -> dict[str, Any] | None:
        container = self._container(key)
        manifest = self._answered(
            f"look at {key}",
            LARGEST_ANSWER_BYTES,
            lambda: self._or_nothing(lambda: self._registry.get_manifest(container)),
        )
        if manifest is None:
            return None
        layers = manifest.get("layers")
        if not isinstance(layers, list) or len(layers) != 1 or not _is_layer(layers[0]):
            raise StoreError(
                f"{self._place}: {key}: expected an artifact of one layer, found another; someone else writes to this "
                "registry"
            )
        return dict(layers[0])

    def _or_nothing(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ValueError as error:
            if NOT_THERE in str(error):
                return None
            raise

    def _blob(self, key: str, digest: str, asked: dict[str, str], start: int = 0) -> bytes:
        """A blob, or a range of it; a registry that ignores ranges gives the whole, which is cut here."""
        address = f"{self._registry.prefix}://{self._container(key).get_blob_url(digest)}"
        response = self._registry.do_request(address, "GET", headers={**self._registry.headers, **asked}, stream=True)
        response.raise_for_status()
        return bytes(response.content[start:] if asked and response.status_code != PARTIAL else response.content)

    def _pushed(self, key: str, data: bytes) -> None:
        layer, config = self._upload(data), self._upload(b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {**config, "mediaType": "application/vnd.oci.empty.v1+json"},
            "layers": [layer],
            "annotations": {},
        }
        self._registry.upload_manifest(manifest, self._container(key)).raise_for_status()

    def _upload(self, data: bytes) -> dict[str, Any]:
        layer = {"mediaType": MEDIA_TYPE, "size": len(data), "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
        with tempfile.NamedTemporaryFile(prefix="edge-nusa-") as file:
            file.write(data)
            file.flush()
            self._registry.upload_blob(file.name, self._name, layer).raise_for_status()
        return layer

    def _answered(self, doing: str, most_bytes: int, ask: Callable[[], Result], more_seconds: float = 0) -> Result:
        """What the registry answers within the bounds. Raises StoreError."""
        from requests import RequestException

        from edge_nusa.sync.stores.bounds import within

        self._adapter.most_bytes = most_bytes
        try:
            return within(SECONDS + more_seconds, ask)
        except (RequestException, ValueError, KeyError, TypeError, OSError) as error:
            found = why(error)
            raise StoreError(
                f"{self._place}: {doing}: expected the registry to do it, found {found}; check its address, your login "
                "and the network"
            ) from error


def _is_layer(found: Any) -> bool:
    return isinstance(found, dict) and type(found.get("size")) is int and isinstance(found.get("digest"), str)
