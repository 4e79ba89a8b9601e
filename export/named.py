"""Which model a name means: one of open_clip's, a folder (`local-dir:PATH`), the hub's (`hf-hub:ORG/MODEL`), or a file.

For a folder and the hub the files are those that open_clip's own factory reads.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from edge_nusa.errors import InputError, UsageError
from edge_nusa.export import configurations
from edge_nusa.export.lite import configuration as lite
from edge_nusa.export.micro import configuration as micro
from edge_nusa.export.quiet import quiet

LOCAL, HUB = "local-dir:", "hf-hub:"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
"""Names of weights in a folder, in the order in which open_clip looks for them."""
OWN = {
    "lite": {"embed_dim": lite.EMBED_DIM, "vision_cfg": lite.VISION, "text_cfg": lite.TEXT},
    "micro": {"embed_dim": micro.EMBED_DIM, "vision_cfg": micro.VISION, "text_cfg": micro.TEXT},
}
"""Models of this project by name, which open_clip does not know."""
MOST_TAGS = 8
LIST = "`edge-nusa export --list` shows the supported ones"


@dataclass(frozen=True, kw_only=True)
class Named:
    """A model that was asked for. name: as the bundle calls it; config: what open_clip's classes take; preprocess:
    what differs from open_clip's usual; asked: as open_clip's factory takes it, "" for a file of one's own."""

    name: str
    config: dict[str, Any]
    preprocess: Mapping[str, Any]
    asked: str

    @property
    def is_listed(self) -> bool:
        """Whether it is one of those that open_clip ships."""
        return bool(self.asked) and not self.has_own_weights

    @property
    def folder(self) -> Path | None:
        """Where the files of a `local-dir:` lie."""
        return Path(self.asked.removeprefix(LOCAL)) if self.asked.startswith(LOCAL) else None

    @property
    def has_own_weights(self) -> bool:
        """Whether its weights come with it: from a folder or the hub, where no tag is needed."""
        return self.asked.startswith((LOCAL, HUB))


def find(name: str, config: Path | None = None) -> Named:
    """The model that is meant. Raises UsageError for a name that is none, InputError for files that do not do."""
    import open_clip

    if config is not None:
        read = configurations.read(config)
        return Named(name=name or config.stem, config=read.model, preprocess=read.preprocess, asked="")
    if name.startswith(LOCAL):
        return _in_folder(name)
    if name.startswith(HUB):
        return _on_hub(name)
    found = open_clip.get_model_config(name)
    if found is None:
        raise UsageError(f"open_clip knows no model {name!r}{_meant(name)}; {LIST}")
    return Named(name=name, config=found, preprocess={}, asked=name)


def _in_folder(name: str) -> Named:
    folder = Path(name.removeprefix(LOCAL)).expanduser()
    if name == LOCAL or not folder.is_dir():
        raise InputError(f"{name}: expected a folder, found none; pass {LOCAL}PATH with {configurations.FILE} in PATH")
    return _read(folder / configurations.FILE, folder.resolve().name, f"{LOCAL}{folder}")


def _read(path: Path, name: str, asked: str) -> Named:
    if not path.is_file():
        raise InputError(
            f"{path}: expected this file beside the weights, found none; pass a configuration elsewhere with --config "
            "and the weights with --checkpoint"
        )
    read = configurations.read(path)
    return Named(name=name, config=read.model, preprocess=read.preprocess, asked=asked)


def _on_hub(name: str) -> Named:
    if name.count("/") != 1 or name.removeprefix(HUB).strip("/") != name.removeprefix(HUB):
        raise UsageError(f"{name}: expected {HUB}ORG/MODEL, such as {HUB}timm/vit_base_patch32_clip_224.openai")
    return _read(_downloaded(name, configurations.FILE), name, name)


def _downloaded(name: str, file: str) -> Path:
    """A file of the hub's, from its cache where it is there. Raises InputError where it cannot be had."""
    from open_clip.pretrained import download_pretrained_from_hf

    with quiet():
        try:
            return Path(download_pretrained_from_hf(name.removeprefix(HUB), filename=file))
        except (OSError, RuntimeError, ValueError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0].partition("Last error: ")
            raise InputError(
                f"{name}: expected {file} from the hub, which could not be reached or does not have it "
                f"({(why[2] or why[0])[:300]}); download the model's folder where there is a network and pass it with "
                f"{LOCAL}PATH"
            ) from error


def own_weights(model: Named, allow_pt: bool) -> Path:
    """The file of weights that comes with the model. Raises InputError where there is none."""
    if model.asked.startswith(HUB):
        return _downloaded(model.asked, "open_clip_pytorch_model.bin" if allow_pt else WEIGHTS[0])
    folder = model.folder
    assert folder is not None, "only a folder and the hub have weights of their own"
    found = sorted(path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pth"))
    chosen = [name for name in WEIGHTS if name in found] or found
    if not chosen:
        raise InputError(
            f"{folder}: expected weights such as {WEIGHTS[0]} beside {configurations.FILE}, found none; put them "
            "there, or pass --checkpoint FILE or --random"
        )
    return folder / chosen[0]


def create(model: Named, pretrained: str | None) -> nn.Module:
    """open_clip's module in float32, with the weights of the tag, else random ones. What open_clip raises goes
    through."""
    import open_clip

    if model.is_listed:
        with quiet():
            return open_clip.create_model(model.name, pretrained=pretrained, precision="fp32")
    content = {"model_cfg": model.config, "preprocess_cfg": dict(model.preprocess)}
    with (
        tempfile.TemporaryDirectory() as folder,
        quiet(),
    ):  # a folder of its own, so that nothing is registered for good
        (Path(folder) / configurations.FILE).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
        return open_clip.create_model(f"{LOCAL}{folder}", load_weights=False, pretrained_text=False, precision="fp32")


def _meant(name: str) -> str:
    """A question after the name that is close, or after how a folder and the hub are named."""
    import open_clip

    if os.path.isdir(name):
        return f"; did you mean {LOCAL}{name}?"
    close = nearest(name, [*OWN, *open_clip.list_models()])
    if close:
        return f"; did you mean {close}?"
    return f"; did you mean {HUB}{name}?" if name.count("/") == 1 else ""


def nearest(word: str, words: list[str]) -> str:
    """The word that is closest, small letters and signs aside; "" where none is close."""
    plain = {_plain(each): each for each in reversed(words)}
    close = get_close_matches(_plain(word), list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else ""


def _plain(word: str) -> str:
    return "".join(c for c in word.lower() if c.isalnum())


def tags(name: str) -> dict[str, bool]:
    """The pretrained tags of one of open_clip's models, and whether each was trained with QuickGELU."""
    import open_clip

    found = open_clip.list_pretrained_tags_by_model(name)
    return {tag: bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False)) for tag in found}


def usable_tags(name: str, config: Mapping[str, Any]) -> list[str]:
    """The tags of those weights that were trained with the GELU that the model computes."""
    is_quick = bool(config.get("quick_gelu", False))
    return [tag for tag, trained_quick in tags(name).items() if trained_quick == is_quick]


def known_tags(name: str, config: Mapping[str, Any]) -> str:
    """A sentence of the pretrained tags that a model of open_clip's can be loaded with."""
    found = usable_tags(name, config)
    if not found:
        other = f"; those of {name}-quickgelu do" if tags(f"{name}-quickgelu") else ""
        return f"open_clip has no pretrained weights that fit {name}{other}"
    more = f" and {len(found) - MOST_TAGS} more (--list --format json)" if len(found) > MOST_TAGS else ""
    return f"{name} has the tags {', '.join(found[:MOST_TAGS])}{more}"
