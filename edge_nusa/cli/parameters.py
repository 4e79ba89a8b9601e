"""What each option and argument of a command takes, read from the command's signature, which no version of typer
changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from typer.models import ParameterInfo

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}


class Parameter(NamedTuple):
    """An option or argument. kind: bool, int, float, Path or str; low, high: of a number, None where there is no end;
    choices: of a text, () for any; variable: of the environment, "" for none."""

    name: str
    kind: type
    is_list: bool
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    variable: str
    default: Any

    @property
    def expected(self) -> str:
        """What a value in a settings file must be, in words."""
        if self.choices:
            one = "one of " + ", ".join(f'"{choice}"' for choice in self.choices)
        else:
            one = _WORDS.get(self.kind, "a text") + self._range()
        return f"a list of which each is {one}" if self.is_list else one

    def fits(self, value: Any) -> bool:
        """Whether a value of a settings file is one."""
        if self.is_list != isinstance(value, list):
            return False
        return all(self._fits(one) for one in (value if self.is_list else [value]))

    def _fits(self, value: Any) -> bool:
        if self.kind in (int, float):
            is_number = type(value) is int or (self.kind is float and type(value) is float)
            return is_number and (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        if self.kind is bool:
            return isinstance(value, bool)
        is_text = isinstance(value, str) and "\0" not in value and (value != "" or self.kind is not Path)
        return is_text and (not self.choices or value in self.choices)

    def _range(self) -> str:
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f" from {self.low}"
        return f" up to {self.high}" if self.low is None else f" from {self.low} to {self.high}"


@cache
def parameters(callback: Callable[..., Any]) -> dict[str, Parameter]:
    """Name -> what a command takes, in the order of its help."""
    hints = get_type_hints(callback, include_extras=True)
    found = (_parameter(one, hints[name]) for name, one in inspect.signature(callback).parameters.items())
    return {one.name: one for one in found if one is not None}


def _parameter(parameter: inspect.Parameter, hint: Any) -> Parameter | None:
    """None for what nobody types, such as typer's context."""
    if get_origin(hint) is not Annotated:
        return None
    info = next(one for one in hint.__metadata__ if isinstance(one, ParameterInfo))
    kind = _inner(get_args(hint)[0])
    is_list = get_origin(kind) is list
    kind = get_args(kind)[0] if is_list else kind
    choices = tuple(str(one.value) for one in kind) if issubclass(kind, Enum) else ()
    return Parameter(
        name=parameter.name,
        kind=str if choices else kind,
        is_list=is_list,
        low=info.min,
        high=info.max,
        choices=choices,
        variable=str(info.envvar or ""),
        default=None if parameter.default is inspect.Parameter.empty else parameter.default,
    )


def _inner(kind: Any) -> Any:
    """The kind without its None."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return next(one for one in get_args(kind) if one is not type(None))
