"""Reads weights from a file into a model by open_clip's own names, and says in one line why a file does not fit."""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from edge_nusa.errors import InputError, UsageError
from edge_nusa.export.from_transformers import is_of_transformers
from edge_nusa.files.file_record import file_sha256

LOGGER = logging.getLogger(__name__)
PICKLED = (".pt", ".pth", ".bin")


class Excused(NamedTuple):
    """Tensors that both towers do without. pattern: of their names; missing, extra: whether they may be so; why."""

    pattern: str
    missing: bool
    extra: bool
    why: str


EXCUSED = (
    Excused(r"(.*\.)?attn_mask", True, True, "a constant that open_clip makes anew"),
    Excused(r".*\.num_batches_tracked", True, True, "counts training steps; no output depends on it"),
    Excused(r"(.*\.)?position_ids", True, True, "a constant of older versions of transformers"),
    Excused(r"logit_bias", True, True, "the same for every label, so it changes no answer"),
    Excused(r"text_decoder\..*", True, True, "CoCa's decoder writes captions and is not exported"),
    Excused(r"input_resolution|context_length|vocab_size", False, True, "numbers in OpenAI's own files"),
)
"""Any other tensor must be there and be known: half a tower would answer too, and wrongly."""


def load_checkpoint(model: nn.Module, path: Path, allow_pt: bool) -> str:
    """Load a state dict by exact names and shapes; returns where it came from. `.pt` only where allowed,
    weights_only."""
    state = _fitted({name: tensor.float() for name, tensor in _read(path, allow_pt).items()}, model)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    wrong = _wrong(expected, state)
    if wrong:
        raise InputError(
            f"the checkpoint {path.name} does not fit the model: {len(wrong)} tensors are missing, unknown or "
            f"misshapen, the first is {wrong[0]}"
        )
    state = {name: tensor for name, tensor in state.items() if name in expected and tensor.shape == expected[name]}
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise InputError(f"the checkpoint {path.name} holds NaN or infinite weights; use a sound checkpoint")
    model.load_state_dict(state, strict=False)
    return f"{path.name} (sha256 {file_sha256(path)})"


def _wrong(expected: Mapping[str, torch.Size], state: Mapping[str, torch.Tensor]) -> list[str]:
    """The tensors that do not fit, those excused aside."""
    missing = [name for name in expected if name not in state and not _is_excused(name, is_missing=True)]
    extra = [name for name in state if name not in expected and not _is_excused(name, is_missing=False)]
    shared = [name for name in expected if name in state and not _is_excused(name, is_missing=True)]
    return sorted(missing + extra) or [name for name in shared if expected[name] != state[name].shape]


def _is_excused(name: str, is_missing: bool) -> bool:
    return any(re.fullmatch(each.pattern, name) and (each.missing if is_missing else each.extra) for each in EXCUSED)


def _fitted(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """As this class of open_clip's models names its text tower, with or without `text.`; single numbers in its
    shape."""
    own = model.state_dict()
    state = {_text_name(name, own): tensor for name, tensor in state.items()}
    singles = {name for name, tensor in state.items() if name in own and tensor.numel() == own[name].numel() == 1}
    return {name: tensor.reshape(own[name].shape) if name in singles else tensor for name, tensor in state.items()}


def _text_name(name: str, own: Mapping[str, torch.Tensor]) -> str:
    if name in own:
        return name
    other = name.removeprefix("text.") if name.startswith("text.") else f"text.{name}"
    return other if other in own else name


def _read(path: Path, allow_pt: bool) -> Mapping[str, torch.Tensor]:
    """The tensors of a file by name. Raises UsageError, InputError for a file of another kind."""
    if not path.is_file():
        raise InputError(f"the checkpoint {path} is not a file; pass a .safetensors file with open_clip's tensor names")
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.suffix in PICKLED and allow_pt:
        state = _read_pickled(path)
    else:
        raise UsageError(
            f"the checkpoint {path} is not .safetensors; a .pt file needs --allow-pt and is read with weights_only"
        )
    if is_of_transformers(state):
        raise InputError(
            f"the checkpoint {path.name} holds transformers' names ({shown_name(state)}), expected open_clip's, such "
            "as visual.transformer.resblocks.0.attn.in_proj_weight; convert a CLIPModel with `python -m "
            "edge_nusa.export.from_transformers IN OUT`, or pass a copy in open_clip's form"
        )
    return state


def shown_name(state: Mapping[str, torch.Tensor]) -> str:
    """One name that shows what a state dict's names are like."""
    return min(name for name in state if "_model." in name)[:100]


def _read_safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"the checkpoint {path} is not a sound safetensors file ({error})") from error


def _read_pickled(path: Path) -> Mapping[str, torch.Tensor]:
    from pickle import UnpicklingError

    if _is_program(path):
        raise InputError(
            f"the checkpoint {path} is a TorchScript archive, which holds a program (OpenAI's own .pt files are such), "
            "expected tensors alone; use `--pretrained openai`, or save its state_dict() as .safetensors"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"the checkpoint {path} holds more than plain tensors or is damaged; convert it to .safetensors"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"the checkpoint {path} is not a plain dictionary of tensors; convert it to .safetensors")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _is_program(path: Path) -> bool:
    """Whether it is an archive of TorchScript: its code lies in a folder of its own."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def warn_of_other_gelu(path: Path, is_quick: bool, tags: Mapping[str, bool]) -> None:
    """A warning where a file's name says that its weights were trained with the other GELU than the model's.

    tags: the model's pretrained tags, and whether each is of QuickGELU's kind.
    """
    name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower())
    known = {tag: kind for tag, kind in tags.items() if re.sub(r"[^a-z0-9]+", "_", tag) in name}
    said = {True} if re.search(r"openai|quick_?gelu", name) else set(known.values())
    if said == {not is_quick}:
        trained, built = ("QuickGELU", "GELU") if not is_quick else ("GELU", "QuickGELU")
        LOGGER.warning(
            "the name of the checkpoint %s says that its weights were trained with %s, and the model computes %s, "
            "which costs accuracy: take the model %s for them, or set quick_gelu in a configuration of your own",
            path.name,
            trained,
            built,
            "whose name ends with -quickgelu" if not is_quick else "without -quickgelu",
        )
