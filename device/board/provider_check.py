"""What the doctor finds of the provider that is asked for: whether it works here, and how its features compare with the
CPU's. It is tried anew, in a child, and what came of it is remembered for the other commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_nusa.device.board.findings import Finding
from edge_nusa.device.opened import taught_with, trials
from edge_nusa.device.provider import of_name
from edge_nusa.errors import EdgeNusaError
from edge_nusa.files.identity import Identity
from edge_nusa.model import providers
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.providers import AUTO, CPU, Provider

HOW = "docs/accelerators.md says what each needs; until then the CPU computes"


def provider(bundle: Bundle, state: Path, asked: str) -> Iterator[Finding]:
    """One finding of what is asked for and the state, and one of each provider that is tried for it."""
    taught = taught_with(bundle, state)
    group = CPU.group if taught is None else taught.provider
    try:
        tried = list(_to_try(asked, bundle, taught))
    except EdgeNusaError as error:
        yield Finding("provider", "error", str(error), HOW)
        return
    own = next((one.group for one in tried), CPU.group)
    if taught is not None and group != own and asked != AUTO:
        found = f"{asked} is asked for, and this state was taught with {group}"
        step = f"edge-nusa config provider {group}, or another --state"
        yield Finding("provider", "warning", found, step)
    else:
        yield Finding("provider", "ok", _asked(asked, tried, taught is not None), "")
    yield from (_compared(one, bundle) for one in tried)


def _to_try(asked: str, bundle: Bundle, taught: Identity | None) -> Iterator[Provider]:
    """Nothing where the CPU computes. Raises UsageError."""
    from edge_nusa.model.probing import offered

    if asked != AUTO:
        found = of_name(asked, bundle)
        yield from [] if found is CPU else [found]
    elif taught is not None:
        yield from [] if taught.provider == CPU.group else [of_name(taught.provider, bundle)]
    else:
        yield from (one for one in providers.TABLE[1:] if one.name not in providers.ON_PROCESSOR and not offered(one))


def _asked(asked: str, tried: list[Provider], is_taught: bool) -> str:
    if asked == CPU.name:
        return "cpu computes"
    if tried:
        return f"{asked} is asked for"
    why = "this state was taught with cpu" if is_taught else "this onnxruntime has the CPU alone"
    return f"{asked} is asked for, and {why}"


def _compared(one: Provider, bundle: Bundle) -> Finding:
    found = trials().anew(one, bundle)
    name = f"provider {one.name}"
    if found.failure:
        return Finding(name, "warning", f"does not work here: {found.failure}", HOW)
    slower = found.milliseconds > found.cpu_milliseconds
    step = "the CPU is faster here: --provider cpu, with a state of its own" if slower else ""
    return Finding(name, "ok", f"works: {found.words()}", step)
