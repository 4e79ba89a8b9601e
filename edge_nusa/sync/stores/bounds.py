"""What every way to a web server keeps to: where an answer may lead on to, and how long all of it may take."""

from __future__ import annotations

import ipaddress
import multiprocessing
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import TypeVar
from urllib.parse import urlsplit

Result = TypeVar("Result")


def may_lead_to(address: str, origin: str) -> bool:
    """Whether something may be asked there: of `origin` (scheme://host:port) itself, or by https of others, but of no
    link-local address, at which clouds give out keys."""
    parts = urlsplit(address)
    if f"{parts.scheme}://{parts.netloc}" == origin:
        return True
    return parts.scheme == "https" and not _is_link_local(parts.hostname or "")


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result of `work`, or TimeoutError after so many seconds, whatever it still waits for.

    A socket's own timeout begins anew with each byte. What is given up goes on in a thread that ends with the process.
    """
    pool = ThreadPool(1)
    try:
        return pool.apply_async(work).get(seconds)
    except multiprocessing.TimeoutError as error:
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from error
    finally:
        pool.close()
