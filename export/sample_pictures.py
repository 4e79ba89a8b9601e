"""Real pictures for the export's proofs of itself."""

from __future__ import annotations

from PIL import Image


def sample_pictures() -> list[Image.Image]:
    """Real pictures that scikit-learn carries (two photographs), whole and as crops of odd sizes: five in all."""
    from sklearn.datasets import load_sample_images

    china, flower = (Image.fromarray(image) for image in load_sample_images().images)
    return [china, flower, china.crop((13, 40, 414, 301)), flower.crop((201, 55, 420, 426)), china.resize((97, 64))]
