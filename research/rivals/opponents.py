"""What a user would run instead, each in a process of its own: prints one JSON object. Called by learn.py and
predict.py.

python research/rivals/opponents.py lora|finetune|open_clip|rclip --weights b32/weights.safetensors ...
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

TEXT_BLOCKS = 4
RANK = 128


def pictures_of(folder: Path) -> tuple[list[Path], list[int], list[str]]:
    """Paths, classes and labels of a folder with a sub-folder for each label."""
    labels = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    pairs = [(path, index) for index, label in enumerate(labels) for path in sorted((folder / label).iterdir())]
    return [path for path, _ in pairs], [index for _, index in pairs], labels


def open_clip_model(arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """open_clip's model, preprocessing and tokenizer with the bundle's weights."""
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(arguments.model, pretrained=str(arguments.weights))
    return model.eval(), preprocess, open_clip.get_tokenizer(arguments.model)


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """LoRA by peft, or fine-tuning, of the attention of the last text blocks; pictures go through the tower at every
    step."""
    began = time.perf_counter()
    import numpy as np
    import torch
    from PIL import Image
    from torch.nn import functional

    model, preprocess, tokenizer = open_clip_model(arguments)
    layers = len(model.transformer.resblocks)
    names = [f"transformer.resblocks.{i}.attn" for i in range(layers - TEXT_BLOCKS, layers)]
    if arguments.what == "lora":
        from peft import LoraConfig, get_peft_model

        # the names of the image tower end alike, so the text tower's are given as a whole
        pattern = (
            r"transformer\.resblocks\.(" + "|".join(str(i) for i in range(layers - TEXT_BLOCKS, layers)) + r")\.attn"
        )
        model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=pattern, lora_dropout=0.0))
    else:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(tuple(names)))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    paths, classes, labels = pictures_of(arguments.pictures)
    images = torch.stack([preprocess(Image.open(path).convert("RGB")) for path in paths])
    texts = tokenizer([f"a photo of a {label}." for label in labels])
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    goals, generator, taken = torch.tensor(classes), np.random.default_rng(0), []
    setup = time.perf_counter() - began
    for _ in range(arguments.steps):
        step_began = time.perf_counter()
        rows = generator.choice(len(paths), min(arguments.batch, len(paths)), replace=False)
        pictures, anchors = model.encode_image(images[rows], normalize=True), model.encode_text(texts, normalize=True)
        loss = functional.cross_entropy(100.0 * pictures @ anchors.T, goals[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        taken.append(time.perf_counter() - step_began)
    return {"setup_seconds": setup, "step_seconds": taken, "trained": sum(p.numel() for p in trained)}


def ask_open_clip(arguments: argparse.Namespace) -> dict[str, Any]:
    """One picture at a time against two labels, in PyTorch."""
    import torch
    from PIL import Image

    model, preprocess, tokenizer = open_clip_model(arguments)
    paths, _, labels = pictures_of(arguments.pictures)
    with torch.inference_mode():
        anchors = model.encode_text(tokenizer(labels), normalize=True)

        def ask(path: Path) -> Any:
            return (
                100 * model.encode_image(preprocess(Image.open(path).convert("RGB"))[None], normalize=True) @ anchors.T
            ).softmax(dim=-1)

        return asked(ask, paths[: arguments.images])


def ask_rclip(arguments: argparse.Namespace) -> dict[str, Any]:
    """One picture at a time by onnxruntime as it comes, with Pillow and numpy before it; anchors are given, as from
    a cache."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    session = onnxruntime.InferenceSession(
        str(arguments.weights.parent / "image_trunk.onnx"), providers=["CPUExecutionProvider"]
    )
    paths, _, _ = pictures_of(arguments.pictures)
    size = arguments.size
    mean, std = np.array([0.4815, 0.4578, 0.4082], np.float32), np.array([0.2686, 0.2613, 0.2758], np.float32)

    def ask(path: Path) -> Any:
        image = Image.open(path).convert("RGB")
        scale = size / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        pixels = (np.asarray(image.crop((left, top, left + size, top + size)), np.float32) / 255 - mean) / std
        return session.run(None, {"pixels": pixels.transpose(2, 0, 1)[None].astype(np.float32)})[0]

    return asked(ask, paths[: arguments.images])


def asked(ask: Any, paths: list[Path]) -> dict[str, Any]:
    """Seconds of each picture after the first."""
    ask(paths[0])
    taken = []
    for path in paths[1:]:
        began = time.perf_counter()
        ask(path)
        taken.append(time.perf_counter() - began)
    return {"image_seconds": taken}


def main() -> None:
    """Parse and run one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["lora", "finetune", "open_clip", "rclip"])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    run = {"lora": train, "finetune": train, "open_clip": ask_open_clip, "rclip": ask_rclip}[arguments.what]
    print(json.dumps(run(arguments), allow_nan=False))


if __name__ == "__main__":
    main()
