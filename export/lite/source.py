"""The embedded model `lite` as the export sees it: both towers from a checkpoint or from its own bundle, and where they
came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from edge_nusa.export.image_towers import OwnTower, frozen_shape
from edge_nusa.export.lite import configuration, fused
from edge_nusa.export.lite.taps import LiteTaps
from edge_nusa.export.source import Source, preprocessing, words
from edge_nusa.model.bundle import Bundle, embedded_bundle

Load = Callable[[nn.Module, Path], str]
"""Puts a checkpoint of open_clip's names into a model; returns what it is, for people."""


def lite_source(checkpoint: Path | None, load: Load) -> Source:
    """`lite` with the weights of a checkpoint of both towers, or those that ship.

    Raises InputError where the checkpoint does not fit.
    """
    model = configuration.build()
    if checkpoint is not None:
        weights = load(model, checkpoint)
        fused.fuse(model.visual)
    else:
        own = Bundle.open(embedded_bundle())
        fused.fuse(model.visual)
        model.load_state_dict(read_back(own))
        weights = own.manifest.weights
    text, vocab_size = words(model, {"text_cfg": configuration.TEXT})
    tower = OwnTower(LiteTaps(model.visual.trunk, model.visual.head)).eval()
    return Source(
        name="lite",
        weights=weights,
        model=model.eval(),
        image=frozen_shape(tower, "EfficientNet-Lite0", configuration.VISION["image_size"]),
        text=text,
        vocab_size=vocab_size,
        preprocessing=preprocessing(configuration.PREPROCESSING),
        tokenizer=configuration.tokenizer(),
        bpe_path=configuration.BPE,
        origin=configuration.ORIGIN,
        image_module=tower,
    )


def read_back(bundle: Bundle) -> dict[str, torch.Tensor]:
    """The tensors of both towers, float32: those of the weight file, and the small ones that the trunk's graph has
    inside."""
    import onnx
    from safetensors.torch import load_file

    stored = load_file(bundle.path("weights.safetensors"))
    graph = onnx.load(str(bundle.path("image_trunk.onnx")), load_external_data=False).graph
    inside = {
        one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy())
        for one in graph.initializer
        if one.name.startswith("visual.") and one.data_location != onnx.TensorProto.EXTERNAL
    }
    return {name: tensor.float() for name, tensor in {**inside, **stored}.items()}
