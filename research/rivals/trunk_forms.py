"""The forms in which `export --npu` hands an image trunk over, against the bundle's own trunk: operators, size,
differences, and what a head answers that was taught in the same form or in float.

    python research/rivals/trunk_forms.py --data ../shared/data [--bundle DIR] [--sets trashnet,flowers5] [--json FILE]

The head is the product's, of 16 pictures a class, on the taps; asked are others. own: taught and asked in that form;
mixed: taught in float, asked in that form. Ranges come from 64 of the taught pictures. All by onnxruntime on the CPU.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import edge_nusa.device  # noqa: F401 - its thread settings, before numpy

# isort: split
import numpy as np
import onnx
import onnxruntime

from edge_nusa.export.npu import fixed, forms, hand_over
from edge_nusa.knowledge import head
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.preprocessing import pixels
from edge_nusa.pictures.pictures import decode, find_pictures

TAUGHT, ASKED, MOST_ASKED = 16, 60, 400
"""Pictures a class to teach and to ask, and of those at most in a set."""


class Pictures(NamedTuple):
    """Of one set: pixels (B, 3, H, W) and classes (B,) to teach and to ask."""

    taught: np.ndarray
    taught_classes: np.ndarray
    asked: np.ndarray
    asked_classes: np.ndarray


class Found(NamedTuple):
    """What a trunk makes of one set: embeddings and taps of the asked pictures, and of the taught ones."""

    embedding: np.ndarray
    asked: np.ndarray
    taught: np.ndarray


def read_set(bundle: Bundle, folder: Path) -> Pictures:
    """A set, a folder a class, its pictures chosen by seed 0."""
    chosen: dict[bool, list[tuple[Path, int]]] = {True: [], False: []}
    classes = sorted(one for one in folder.iterdir() if one.is_dir())
    for number, place in enumerate(classes):
        paths = find_pictures(place)[0]
        order = [paths[index] for index in np.random.default_rng(0).permutation(len(paths))]
        chosen[True] += [(path, number) for path in order[:TAUGHT]]
        chosen[False] += [(path, number) for path in order[TAUGHT : TAUGHT + ASKED]]
    drawn = np.random.default_rng(0).permutation(len(chosen[False]))[:MOST_ASKED]
    chosen[False] = [chosen[False][index] for index in drawn]
    parts = []
    for is_taught in (True, False):
        rows = [pixels(decode(path), bundle.manifest.preprocessing) for path, _ in chosen[is_taught]]
        parts += [np.stack(rows), np.array([number for _, number in chosen[is_taught]])]
    return Pictures(*parts)


def session_of(model: onnx.ModelProto) -> Any:
    """One thread, as onnxruntime optimizes by itself."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def found(session: Any, pictures: Pictures) -> Found:
    """One picture at a time, as the file takes them."""
    embedding, asked = sessions.run(session, {"pixels": pictures.asked}, 1)[:2]
    return Found(embedding, asked, sessions.run(session, {"pixels": pictures.taught}, 1)[1])


def right(taught: np.ndarray, asked: np.ndarray, pictures: Pictures) -> float:
    """Percent of the asked pictures that the head answers right."""
    rows = head.features(taught)
    count = int(pictures.taught_classes.max()) + 1
    solved = head.Head.empty(rows.shape[1]).added(rows, pictures.taught_classes, count).solve()
    scores = solved.scores(solved.whitened(head.features(asked)))
    return 100 * float((scores.argmax(axis=1) == pictures.asked_classes).mean())


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each row."""
    return (one * other).sum(axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))


def compared(first: dict[str, Found], forms_found: dict[str, Found], sets: dict[str, Pictures]) -> dict[str, float]:
    """The figures of one form against the bundle's trunk."""
    cosines = [cosine(first[name].embedding, forms_found[name].embedding) for name in sets]
    taps = [cosine(first[name].asked, forms_found[name].asked) for name in sets]
    row = {
        "cosine": float(np.concatenate(cosines).mean()),
        "least cosine": float(np.concatenate(cosines).min()),
        "taps cosine": float(np.concatenate(taps).mean()),
    }
    for name, pictures in sets.items():
        own = forms_found[name]
        row[f"{name} own"] = right(own.taught, own.asked, pictures)
        row[f"{name} mixed"] = right(first[name].taught, own.asked, pictures)
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="trashnet,flowers5,rsscn7,grocery")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle or embedded_bundle())
    sets = {name: read_set(bundle, arguments.data / name) for name in arguments.sets.split(",")}
    model = fixed.fixed_trunk(bundle)
    taught = np.concatenate([pictures.taught for pictures in sets.values()])
    made = {forms.FLOAT: model, **{form: forms.quantized(model, form, taught) for form in forms.BITS}}
    trunk = sessions.open_session(bundle, "image_trunk", 1)
    first = {name: found(trunk, pictures) for name, pictures in sets.items()}
    rows = {}
    for form, one in made.items():
        session = session_of(one)
        rows[form] = compared(first, {name: found(session, pictures) for name, pictures in sets.items()}, sets)
        kinds = Counter(node.op_type for node in one.graph.node)
        rows[form] |= {"nodes": sum(kinds.values()), "operators": len(kinds), "bytes": one.ByteSize()}
    rows[forms.FLOAT] |= hand_over.differences(bundle, model)
    show(bundle, rows, sets)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, allow_nan=False))


def show(bundle: Bundle, rows: dict[str, dict[str, float]], sets: dict[str, Pictures]) -> None:
    """The table, and how many pictures were asked."""
    asked = ", ".join(f"{name} {len(pictures.asked)}" for name, pictures in sets.items())
    float_row = rows[forms.FLOAT]
    print(f"{bundle.manifest.model}; asked: {asked}")
    print({name: value for name, value in float_row.items() if name.startswith("largest")})
    print("| form | MB | nodes, operators | cosine: mean, least, taps | " + " | ".join(sets) + " |")
    print("|---" * (4 + len(sets)) + "|")
    for form, row in rows.items():
        line = f"| {form} | {row['bytes'] / 1e6:.1f} | {row['nodes']:.0f}, {row['operators']:.0f} |"
        line += f" {row['cosine']:.4f}, {row['least cosine']:.3f}, {row['taps cosine']:.4f} |"
        print(line + "".join(f" {row[f'{name} own']:.1f}/{row[f'{name} mixed']:.1f} |" for name in sets))


if __name__ == "__main__":
    main()
