"""Trust: keys, seals, roots, and the TUF metadata that a hub writes and a device checks."""
