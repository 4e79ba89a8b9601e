"""Reads a model's configuration from a file: open_clip's `open_clip_config.json`, or the plain form of its own models.

{"model_cfg": {"embed_dim", "vision_cfg", "text_cfg", ...}, "preprocess_cfg": {"mean", "std", ...}}, or the first object
alone. Which fields there are, and of which kind, is read from open_clip's own records; numbers have bounds.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from edge_nusa.errors import InputError
from edge_nusa.files.foreign import shown
from edge_nusa.files.json_bytes import LARGEST_BYTES, parse
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.preprocessing import FILTERS, LEAST_STD, MAX_SIZE

FILE = "open_clip_config.json"
NEXT_STEP = "pass a configuration as open_clip writes it"
LARGEST_SIZE = 1_000_000
"""Of any number, as in a bundle's manifest."""
MOST_PARAMETERS = 10_000_000_000
"""The largest model that open_clip 3.3 lists has 5.0 thousand million."""
LARGEST = {"layers": 1000, "image_size": MAX_SIZE}
"""Bounds below LARGEST_SIZE: a module is made of each layer, and a bundle holds no larger picture."""
TOP = {
    "embed_dim": int,
    "vision_cfg": dict,
    "text_cfg": dict,
    "multimodal_cfg": dict,
    "quick_gelu": bool,
    "custom_text": bool,
    "init_logit_scale": float,
    "init_logit_bias": float | None,
    "nonscalar_logit_scale": bool,
    "pad_id": int,
}
NEEDED = ("embed_dim", "vision_cfg", "text_cfg")
PRETRAINED_PARTS = ("timm_model_pretrained", "hf_model_pretrained")
"""Would have open_clip download weights of a part of the model, which the checkpoint then replaces."""


class Configuration(NamedTuple):
    """model: what open_clip's classes take; preprocess: what differs from open_clip's usual preprocessing."""

    model: dict[str, Any]
    preprocess: dict[str, Any]


def read(path: Path) -> Configuration:
    """The configuration in a file. Raises InputError, in one line, for whatever open_clip could not build from."""
    origin = Origin(str(path), NEXT_STEP, InputError)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: expected a configuration, found {error.strerror}; pass a .json file") from error
    try:
        json.loads(data)
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path}: expected JSON, found something else ({why}); {NEXT_STEP}") from error
    return checked(parse(data, origin))


def checked(record: Record) -> Configuration:
    """The configuration of a record in either form. Raises the record's error."""
    if "model_cfg" not in record:
        return Configuration(_checked_model(record), {})
    preprocess = record.record("preprocess_cfg") if "preprocess_cfg" in record else Record({}, record.origin)
    return Configuration(_checked_model(record.record("model_cfg")), _checked_preprocessing(preprocess))


def check_size(config: Mapping[str, Any], where: str) -> None:
    """Build it without memory for its weights, and have it look. Raises InputError where that cannot be, or is far too
    much."""
    import torch
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    rest = {name: value for name, value in config.items() if name != "custom_text"}
    custom = CoCa if "multimodal_cfg" in config else CustomTextCLIP
    try:
        with torch.device("meta"):
            model = (custom if config.get("custom_text") else CLIP)(**rest).eval()
            height, width = _pair(model.visual.image_size)
            model.visual(torch.empty(1, 3, height, width))
    except (RuntimeError, ValueError, TypeError, LookupError, AssertionError, AttributeError, ArithmeticError) as error:
        why = shown(" ".join(str(error).split()) or type(error).__name__)
        raise InputError(
            f"{where}: expected a model that open_clip can build, found one that it cannot ({why}); {NEXT_STEP}"
        ) from error
    count = sum(parameter.numel() for parameter in model.parameters())
    if count > MOST_PARAMETERS:
        raise InputError(f"{where}: expected at most {MOST_PARAMETERS} parameters, found {count}; {NEXT_STEP}")


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _checked_model(record: Record) -> dict[str, Any]:
    from open_clip.coca_model import MultimodalCfg
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    for name in NEEDED:
        if name not in record:
            raise record.origin.refused(name, "this field of open_clip's", None)
    _check_fields(record, TOP)
    parts = {"vision_cfg": CLIPVisionCfg, "text_cfg": CLIPTextCfg, "multimodal_cfg": MultimodalCfg}
    model = dict(record.fields)
    for name in (name for name in parts if name in record):
        _check_fields(record.record(name), _hints(parts[name]))
        part = record.mapping(name)
        model[name] = {field: value for field, value in part.items() if field not in PRETRAINED_PARTS}
    return model


def _hints(kind: type) -> dict[str, Any]:
    """The kinds of a record's fields; null is one of each, as open_clip's own configurations have it where a field has
    no meaning."""
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] | None for one in fields(kind)}


def _check_fields(record: Record, hints: Mapping[str, Any]) -> None:
    for name, value in record.fields.items():
        if name not in hints:
            raise record.origin.refused(name, f"one of open_clip's {len(hints)} fields", value)
        if not _fits(value, hints[name], LARGEST.get(name, LARGEST_SIZE)):
            raise record.origin.refused(name, _said(hints[name], LARGEST.get(name, LARGEST_SIZE)), value)


def _fits(value: object, hint: Any, largest: int) -> bool:
    """Whether a value of JSON is of this kind; numbers are at most `largest`, and whole ones at least 0."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, each, largest) for each in get_args(hint))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return (
            isinstance(value, list)
            and len(value) == len(kinds)
            and all(_fits(one, kind, largest) for one, kind in zip(value, kinds, strict=True))
        )
    if hint is int:
        return type(value) is int and 0 <= value <= largest
    if hint is float:
        return type(value) in (int, float) and abs(value) <= largest  # type: ignore[arg-type]  # it is a number
    return type(value) is hint


def _said(hint: Any, largest: int) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_said(each, largest) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} whole numbers up to {largest}"
    words = {
        int: f"a whole number from 0 to {largest}",
        float: f"a number from -{largest} to {largest}",
        bool: "true or false",
        str: "a text",
        dict: "an object",
    }
    return words.get(hint, "null")


def _checked_preprocessing(record: Record) -> dict[str, Any]:
    """The fields of open_clip's PreprocessCfg; null is as good as none."""
    given = Record({name: value for name, value in record.fields.items() if value is not None}, record.origin)
    kinds = {
        "size": lambda name: _checked_size(given, name),
        "mode": lambda name: given.choice(name, ("RGB",)),
        "mean": lambda name: given.numbers(name, 3, 0.0, 1.0),
        "std": lambda name: given.numbers(name, 3, LEAST_STD, 1.0),
        "interpolation": lambda name: given.choice(name, tuple(FILTERS)),
        "resize_mode": lambda name: given.choice(name, ("shortest", "longest", "squash")),
        "fill_color": lambda name: given.integer(name, 0, 255),
    }
    for name, value in given.fields.items():
        if name not in kinds:
            raise given.origin.refused(name, f"one of {', '.join(kinds)}", value)
    return {name: kinds[name](name) for name in given.fields}


def _checked_size(record: Record, name: str) -> Any:
    if isinstance(record.fields[name], list):
        return record.whole_numbers(name, 2, 1, MAX_SIZE)
    return record.integer(name, 1, MAX_SIZE)
