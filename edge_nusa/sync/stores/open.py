"""Which store a place means: a folder, object storage, a registry, or what a web server shows."""

from __future__ import annotations

from urllib.parse import urlsplit

from edge_nusa.errors import InputError
from edge_nusa.files.foreign import shown
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.store import Store


def open_store(place: str) -> Store:
    """The store of a place: a folder, or a URL of a kind that is installed. Raises InputError for other kinds, and for
    a URL with a name or a password in it, or one that none can read."""
    check_place(place)
    scheme, separator, _ = place.partition("://")
    if not separator:
        return FolderStore(place)
    if scheme == "s3":
        from edge_nusa.sync.stores.s3 import S3Store

        return S3Store(place)
    if scheme == "flower":
        from edge_nusa.sync.stores.elsewhere import ElsewhereStore

        return ElsewhereStore(place)
    if scheme in ("oci", "oci+http"):
        from edge_nusa.sync.stores.oci import OciStore

        return OciStore(place)
    if scheme in ("https", "http"):
        from edge_nusa.sync.stores.web import WebStore

        return WebStore(place)
    kinds = "a folder, s3://BUCKET/PREFIX, oci://HOST/NAME or https://HOST/PATH"
    raise InputError(f"{shown(place)}: expected {kinds}, found the scheme {shown(scheme)}; give one of those")


def check_place(place: str) -> None:
    """A store's place says where and nothing else. Raises InputError, which does not repeat what may be a secret.

    Places are kept in settings and stand in errors; what may be a key, a user or a password belongs in neither.
    """
    scheme, separator, rest = place.partition("://")
    if not separator:
        return
    if any(sign in rest for sign in ("@", "?", "#", "%40")):
        raise InputError(
            f"a store at {scheme[:10]}://: expected a place without a user, a password or a query, found one that has "
            "some; keys of S3 come from the environment (AWS_ACCESS_KEY_ID ...), a registry's from `oras login`"
        )
    try:
        urlsplit(place)
    except ValueError as error:
        raise InputError(
            f"{shown(place)}: expected a host's name or address after {shown(scheme)}://, found another form; give "
            "HOST, HOST:PORT or [IPv6 ADDRESS]"
        ) from error
