"""Which provider computes the pictures' features here: what was asked for, what taught the state, and what works."""

from __future__ import annotations

from typing import NamedTuple

from edge_nusa.device.trials import Trials
from edge_nusa.errors import ResourceError
from edge_nusa.model import foreign_trunk, providers
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.providers import AUTO, CPU, Provider


class Chosen(NamedTuple):
    """provider: what computes; note: a line for people where that is not what was asked for, else ""."""

    provider: Provider
    note: str = ""


def chosen(asked: str, bundle: Bundle, taught: str | None, trials: Trials) -> Chosen:
    """What computes where `asked` was asked for: a name of the table, of an installed foreign trunk, or `auto`.

    taught: the class that the state was taught with, None of a fresh one. What does not work gives way to the CPU,
    with a line that says why; but not where the state was taught with it. Raises UsageError for a name that nothing
    has, ResourceError where what taught the state does not work here.
    """
    if asked == CPU.name:
        return Chosen(CPU)
    if asked == AUTO and taught is None:
        return _first(bundle, trials)
    provider = of_class(taught, bundle) if asked == AUTO and taught is not None else of_name(asked, bundle)
    failure = _failure(provider, bundle, trials)
    if not failure:
        return Chosen(provider)
    if taught == provider.group:
        raise _gone(taught, failure)
    return Chosen(
        CPU, f"--provider {asked} does not work here ({failure}); the CPU computes instead; {_tried_by(asked)}"
    )


def of_name(name: str, bundle: Bundle) -> Provider:
    """The provider that is called so. Raises UsageError where nothing here is."""
    found = providers.of_name(name) or _of_package(name, bundle)
    if found is None:
        raise providers.unknown(name, foreign_trunk.installed())
    return found


def of_class(group: str, bundle: Bundle) -> Provider:
    """The provider of a class that taught a state. Raises ResourceError where nothing here has it."""
    found = next(iter(providers.of_group(group)), None) or _of_package(group, bundle)
    if found is None:
        raise _gone(group, "no package here brings a trunk of that name")
    return found


def _of_package(name: str, bundle: Bundle) -> Provider | None:
    made = foreign_trunk.of_package(name, bundle.folder) if providers.NAME.fullmatch(name) else None
    return None if made is None else foreign_trunk.provider_of(made)


def _first(bundle: Bundle, trials: Trials) -> Chosen:
    """The first accelerator that works; the CPU with the reasons where none does."""
    from edge_nusa.model.probing import offered

    reasons = []
    for provider in providers.TABLE[1:]:
        if provider.name in providers.ON_PROCESSOR or offered(provider):
            continue
        failure = trials.failure(provider, bundle)
        if not failure:
            return Chosen(provider)
        reasons.append(f"{provider.name}: {failure}")
    why = "; ".join(reasons) or "this onnxruntime has the CPU alone"
    return Chosen(CPU, f"--provider auto: no accelerator works here ({why}); the CPU computes; {_tried_by(AUTO)}")


def _tried_by(asked: str) -> str:
    return f"`edge-nusa doctor --provider {asked}` tries it anew and says what to do"


def _failure(provider: Provider, bundle: Bundle, trials: Trials) -> str:
    """Not asked of the CPU, nor of a foreign trunk, which is whoever's who handed it in."""
    return "" if provider is CPU or provider.trunk is not None else trials.failure(provider, bundle)


def _gone(group: str, failure: str) -> ResourceError:
    return ResourceError(
        f"this state was taught with the provider {group}: expected that it works here, found that it does not "
        f"({failure}); repair it (`edge-nusa doctor --provider {group}` tries it anew), or begin anew with --provider "
        "cpu and another --state"
    )
