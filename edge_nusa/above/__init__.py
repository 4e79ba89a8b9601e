"""A hub as a device of a larger fleet: it joins, tells what its own fleet has, and takes rounds; it needs no torch."""
