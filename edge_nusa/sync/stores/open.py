"""Which store a place means: a folder, object storage, or a registry."""

from __future__ import annotations

from edge_nusa.errors import InputError
from edge_nusa.sync.stores.folder import FolderStore
from edge_nusa.sync.stores.store import Store


def open_store(place: str) -> Store:
    """The store of a place: a folder, or a URL of a kind that is installed. Raises InputError for other kinds."""
    scheme, separator, _ = place.partition("://")
    if not separator:
        return FolderStore(place)
    if scheme == "s3":
        from edge_nusa.sync.stores.s3 import S3Store

        return S3Store(place)
    if scheme in ("oci", "oci+http"):
        from edge_nusa.sync.stores.oci import OciStore

        return OciStore(place)
    raise InputError(
        f"{place[:80]!r}: expected a folder, s3://BUCKET/PREFIX or oci://HOST/NAME, found the scheme {scheme!r}; give "
        "one of those"
    )
