"""What a process that reads strangers' bytes is given of our environment: what its interpreter and its libraries need,
and none of the passwords and keys that services and shells keep there."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = frozenset({"PATH", "HOME", "VIRTUAL_ENV", "TMPDIR", "TZ", "LANG", "LANGUAGE", "GLIBC_TUNABLES"})
"""HOME is where packages of `pip install --user` are."""
BEGINNINGS = ("PYTHON", "LD_", "LC_", "MALLOC_", "OMP_", "OPENBLAS_", "LIBCAMERA_")
"""Of names of interpreter, loader, language, memory and threads; OPENBLAS_CORETYPE and LD_PRELOAD are what some boards
cannot import numpy without."""


def for_strangers(environment: Mapping[str, str]) -> dict[str, str]:
    """Of an environment what may be known to a process that a stranger may have taken over."""
    return {name: value for name, value in environment.items() if name in NAMES or name.startswith(BEGINNINGS)}
