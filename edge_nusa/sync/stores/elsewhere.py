"""The place of a fleet whose store this device does not reach by itself: `flower://HOST:PORT`, whose rounds
`edge-nusa sync flower` takes part in."""

from __future__ import annotations

from edge_nusa.errors import StoreError


class ElsewhereStore:
    """No verb is done here."""

    def __init__(self, place: str) -> None:
        self._place = place

    def list(self, prefix: str) -> list[str]:
        """Raises StoreError."""
        raise self._refused()

    def get(self, key: str, most_bytes: int) -> bytes:
        """Raises StoreError."""
        raise self._refused()

    def get_part(self, key: str, start: int, most_bytes: int) -> bytes:
        """Raises StoreError."""
        raise self._refused()

    def put_new(self, key: str, data: bytes) -> bool:
        """Raises StoreError."""
        raise self._refused()

    def head(self, key: str) -> int | None:
        """Raises StoreError."""
        raise self._refused()

    def _refused(self) -> StoreError:
        return StoreError(
            f"{self._place}: expected a store that can be asked, found one that only the hub's rounds reach; run "
            "`edge-nusa sync flower HOST:PORT`, or give another with `edge-nusa sync set-store`"
        )
