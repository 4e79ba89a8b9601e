"""Bundles in a store: announced by the hub, lying there in parts, and fetched and proved by whoever trusts its root."""
