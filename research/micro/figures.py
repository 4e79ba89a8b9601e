"""What `micro` can do, measured: zero-shot accuracy where a data folder is given, and the spectrum of its adapted
matrices.

`python -m edge_nusa.research.micro.figures --data DIR` (a folder per set, a folder per class, and classes.json) prints
them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from edge_nusa.errors import InputError
from edge_nusa.export.embedded import MICRO
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.null_space import principal_rank
from edge_nusa.model.preprocessing import pixels
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.pictures.pictures import decode, find_pictures

SETS = ("tin100", "caltech101", "cifar10")


def zero_shot(bundle: Bundle, data: Path, name: str, a_class: int = 50) -> tuple[float, float]:
    """(accuracy in percent, chance in percent) of the bundle on one set, its own template, `a_class` pictures of
    each class.

    For sets with `test_` files, those alone are asked.
    """
    wording = json.loads((data / "classes.json").read_text())[name]
    folders = sorted(wording["classes"])
    rows: list[np.ndarray] = []
    labels: list[int] = []
    for number, folder in enumerate(folders):
        files = find_pictures(data / name / folder)[0]
        files = [f for f in files if f.name.startswith("test_")] or files
        for path in files[:a_class]:
            try:
                rows.append(pixels(decode(path), bundle.manifest.preprocessing))
            except InputError:
                continue
            labels.append(number)
    text = TextEncoder(bundle)
    anchors = text.anchors(text.tail({}), [wording["classes"][f] for f in folders], wording["template"])
    found = sessions.run(sessions.open_session(bundle, "image_trunk"), {"pixels": np.stack(rows)})[0] @ anchors.T
    return 100 * float((found.argmax(axis=1) == np.array(labels)).mean()), 100 / len(folders)


def spectrum(bundle: Bundle) -> dict[str, tuple[float, int]]:
    """Of each tower: (median principal rank at the bundle's rho over its adapted matrices, width)."""
    found = {}
    for tower in ("image", "text"):
        ranks = []
        for name in bundle.matrices("image" if tower == "image" else "text"):
            pool = bundle.pools[name]
            values = np.concatenate([pool.principal_values, pool.tail_values])
            ranks.append(principal_rank(values, bundle.manifest.method.energy_threshold))
        found[tower] = (float(np.median(ranks)), bundle.width("image" if tower == "image" else "text"))
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Measure the model `micro`.")
    parser.add_argument("--data", type=Path, required=True)
    bundle = Bundle.open(MICRO)
    data = parser.parse_args().data
    for name in SETS:
        accuracy, chance = zero_shot(bundle, data, name)
        print(f"{name}: {accuracy:.2f} % zero-shot, {accuracy / chance:.1f} times chance ({chance:.1f} %)")
    for tower, (rank, width) in spectrum(bundle).items():
        print(
            f"{tower} tower: {bundle.manifest.method.energy_threshold:.0%} of the energy in {rank:.0f} of {width} "
            "directions (median over adapted matrices)"
        )
    print(f"bundle: {sum(p.stat().st_size for p in bundle.folder.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
