"""Tokenizers that models take from a hub: loaded by open_clip from there or from a folder, and written as one
`tokenizer.json` that the board reads with the package `tokenizers` alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_nusa.errors import InputError, MissingPackageError
from edge_nusa.model.tokenizer import CLEANINGS, TokenizerSpec


def load(name: str, text: Mapping[str, Any], folder: Path | None) -> Any:
    """open_clip's `HFTokenizer` of a text configuration: that of the hub (a download, or what an earlier one left), or
    of a folder.

    Raises InputError where it cannot be had, MissingPackageError without the package transformers.
    """
    from open_clip.tokenizer import HFTokenizer

    wanted = str(folder or text["hf_tokenizer_name"])
    if folder is not None and not folder.is_dir():
        raise InputError(
            f"--tokenizer: expected a folder with the files of {text['hf_tokenizer_name']}, found none at {folder}; "
            "download that repository's tokenizer files into it"
        )
    try:
        tokenizer: Any = HFTokenizer(
            wanted, context_length=text.get("context_length", 77), **(text.get("tokenizer_kwargs") or {})
        )
        tokenizer(["a"])
    except ImportError as error:
        raise MissingPackageError(
            f"the tokenizer {wanted} of {name} needs a package that is missing here ({_line(error)}); install "
            '`pip install "edge-nusa[export]"`'
        ) from error
    except Exception as error:  # noqa: BLE001 - transformers raises what its own hub client and parsers raise
        raise InputError(
            f"loading the tokenizer {wanted} of {name} failed: {_line(error)}; check the network, or download that "
            "repository's tokenizer files elsewhere and pass their folder with --tokenizer DIR"
        ) from error
    if not hasattr(tokenizer.tokenizer, "backend_tokenizer"):
        raise InputError(
            f"the tokenizer {wanted} of {name}: expected one of the package `tokenizers`, found "
            f"{type(tokenizer.tokenizer).__name__}; pass a folder with its tokenizer.json with --tokenizer DIR"
        )
    return tokenizer


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def spec(tokenizer: Any, text: Mapping[str, Any]) -> TokenizerSpec:
    """How the board uses it. tokenizer: an `HFTokenizer`; text: the text configuration that it was made for."""
    named = (text.get("tokenizer_kwargs") or {}).get("clean", "whitespace")
    separator = tokenizer.tokenizer.sep_token_id if tokenizer.strip_sep_token else None
    return TokenizerSpec(kind="file", clean=next(one for one in CLEANINGS if one == named), separator=separator)


def content(tokenizer: Any, tokens: int) -> bytes:
    """Its `tokenizer.json`, which cuts texts at so many tokens and pads them to so many, as the original is told to at
    each call."""
    from tokenizers import Tokenizer

    original = tokenizer.tokenizer
    alone = Tokenizer.from_str(original.backend_tokenizer.to_str())
    alone.enable_truncation(tokens, direction=original.truncation_side)
    alone.enable_padding(
        length=tokens,
        direction=original.padding_side,
        pad_id=original.pad_token_id,
        pad_token=original.pad_token,
        pad_type_id=original.pad_token_type_id,
    )
    return bytes(alone.to_str().encode())
