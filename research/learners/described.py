"""What each built-in learner is, in a line, and where it comes from; loads nothing, so that a list of learners costs
nothing."""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "edge_nusa.learners"
"""The group of entry points by which a package offers learners of its own."""


@dataclass(frozen=True)
class Described:
    """says: what it is in a line; source: the paper or program that it follows, or this project."""

    says: str
    source: str


DESCRIBED = {
    "frozen": Described("the untouched model, zero-shot", "CLIP, arXiv 2103.00020"),
    "full": Described(
        "full fine-tuning of the q, k, v and o matrices", "the published objective of NuSA-CL, arXiv 2510.21175"
    ),
    "lora": Described("LoRA of the null space's rank", "LoRA, arXiv 2106.09685"),
    "lora-matched": Described("LoRA with as many trained numbers as the null-space cores", "LoRA, arXiv 2106.09685"),
    "milora": Described("factors that start at the smallest singular triplets, then free", "MiLoRA, arXiv 2406.09044"),
    "top": Described("cores between the largest singular directions", "a control of NuSA-CL, arXiv 2510.21175"),
    "random": Described("cores between random directions", "a control of NuSA-CL, arXiv 2510.21175"),
    "paper": Described(
        "NuSA-CL as published: null space of both towers, fresh SVD a task", "NuSA-CL, arXiv 2510.21175"
    ),
    "text-only": Described("NuSA-CL in the text tower alone", "NuSA-CL, arXiv 2510.21175"),
    "text-full": Described(
        "full fine-tuning of the text tower's matrices", "the published objective of NuSA-CL, arXiv 2510.21175"
    ),
    "text-lora": Described("LoRA of the null space's rank in the text tower", "LoRA, arXiv 2106.09685"),
    "text-lora-matched": Described(
        "LoRA in the text tower with as many trained numbers as its null-space cores", "LoRA, arXiv 2106.09685"
    ),
    "text-top": Described(
        "cores between the text tower's largest singular directions", "a control of NuSA-CL, arXiv 2510.21175"
    ),
    "text-random": Described(
        "cores between random directions of the text tower", "a control of NuSA-CL, arXiv 2510.21175"
    ),
    "text-pool": Described(
        "NuSA-CL in the text tower, never leaving the pool of export", "this project, after NuSA-CL, arXiv 2510.21175"
    ),
    "text-room": Described(
        "NuSA-CL in the text tower, ranks in proportion to each matrix's null rank",
        "this project, after NuSA-CL, arXiv 2510.21175",
    ),
    "text-covariance": Described(
        "NuSA-CL in the text tower, in the tail of W Cov^(1/2) of vocabulary prompts",
        "CorDA, arXiv 2406.05223; Adam-NSCL, arXiv 2103.07113",
    ),
    "text-gradient": Described(
        "NuSA-CL in the text tower, in those of 2 r tail directions that the first gradient uses most",
        "this project, after NuSA-CL, arXiv 2510.21175",
    ),
    "text-last-2": Described(
        "NuSA-CL in the last two text blocks alone", "this project, after NuSA-CL, arXiv 2510.21175"
    ),
    "image-only": Described("NuSA-CL in the image tower alone", "NuSA-CL, arXiv 2510.21175"),
    "ridge": Described("ridge head on the frozen embedding, behind the gate (RAIL)", "RAIL, arXiv 2406.18868"),
    "ranpac": Described("ridge head on 1,024 random features of the embedding (RanPAC)", "RanPAC, arXiv 2307.02251"),
    "ridge-taps": Described("ridge head on this project's taps", "this project, after RAIL, arXiv 2406.18868"),
    "offline": Described(
        "logistic regression on the same taps with every picture of all tasks kept: the offline limit",
        "this project; the settings are scikit-learn's",
    ),
    "sequential": Described(
        "a dense softmax head on the same taps, trained on each task's pictures alone",
        "Frigate's classifiers (frigate/util/classification.py)",
    ),
    "ncm": Described("nearest class mean of the same taps", "Mensink et al. 2013; SimpleShot, arXiv 1911.04623"),
    "knn": Described(
        "three nearest pictures on the same taps, with every picture kept (Teachable Machine)",
        "TensorFlow.js' knn-classifier",
    ),
    "tip": Described(
        "Tip-Adapter without training: text and a cache of every picture's embedding", "Tip-Adapter, arXiv 2111.03930"
    ),
    "gda": Described("GDA-CLIP: text and Gaussians of every picture's embedding", "GDA-CLIP, arXiv 2402.04087"),
    "lda": Described(
        "discriminant analysis on the same taps with every picture kept, shrunk by Ledoit and Wolf",
        "Ledoit and Wolf 2004",
    ),
    "head": Described("this project's head alone, behind its gate", "this project"),
    "untrained": Described("the default without training its text", "this project"),
    "anchors": Described("the default's adapted anchors without the head, behind its gate", "this project"),
    "unrecalled": Described("the default without drawn pictures of old labels", "this project"),
    "loose": Described("the default with vocabulary nouns free to move", "this project"),
    "svd": Described("the default with a fresh SVD a task instead of the pool", "this project"),
    "default": Described("this project's default: text tower in the pool, head, gate", "this project"),
}
"""Name -> what it is, in the order of the tables; `edge_nusa.research.learners.catalogue` makes them."""

NEED_TOKENS = frozenset({"full", "lora", "lora-matched", "milora", "top", "random", "paper", "image-only"})
"""Those that adapt the image tower, whose runs are the dearest."""
TRAIN_TEXT = frozenset({"anchors", "unrecalled", "loose", "svd", "default"}) | frozenset(
    name for name in DESCRIBED if name.startswith("text-")
)
"""Those that train the text tower alone; all others read numbers from the cache and fit sums."""
