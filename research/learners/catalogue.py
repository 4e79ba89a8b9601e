"""The learners by name, with the learning rates that sets apart from the reported ones chose (docs/evidence.md says
how)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.learning import tails
from edge_nusa.errors import UsageError
from edge_nusa.knowledge.recipes import DEVICE, PAPER, Recipe, Rule
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.model.shapes import FrozenShape, ImageShape
from edge_nusa.research.learners import forms, subspaces
from edge_nusa.research.learners.kept_pictures import Gda, Lda, NearestMean, NearestPictures, TipAdapter
from edge_nusa.research.learners.learners import Frozen, Gradient, Guided, Learner
from edge_nusa.research.learners.product import AnchorsAlone, Default, HeadAlone
from edge_nusa.research.learners.ridge import RidgeHead
from edge_nusa.research.learners.softmax import Offline, Sequential

BOTH: tuple[Tower, ...] = ("image", "text")
TEXT: tuple[Tower, ...] = ("text",)


@dataclass(frozen=True)
class Options:
    """What a run may change. steps: of every gradient task, None for each recipe's own; rate: learning rate, None
    for the catalogue's; image_blocks: how many of the last image blocks may change, None for all of the bundle's
    tail; seed: of the run."""

    steps: int | None = None
    rate: float | None = None
    image_blocks: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Entry:
    """One learner: what it is in a line, whether it needs image tokens, and how to make one."""

    says: str
    needs_tokens: bool
    make: Callable[[Bundle, Options], Learner]


def shallower(bundle: Bundle, image_blocks: int | None) -> Bundle:
    """The bundle with a shorter image tail (its ONNX tail graph no longer fits; the learners here run tails in
    torch)."""
    if image_blocks is None or image_blocks >= bundle.manifest.image.tail_blocks:
        return bundle
    shorter = copy.copy(bundle)
    shorter.__dict__.pop("pools", None)
    shorter.manifest = replace(bundle.manifest, image=replace(bundle.manifest.vit, tail_blocks=image_blocks))
    whole = bundle.pools
    shorter.pools = {name: whole[name] for tower in BOTH for name in shorter.matrices(tower)}
    return shorter


def _recipe(base: Recipe, options: Options, rate: float, towers: tuple[Tower, ...]) -> Recipe:
    return replace(
        base,
        learning_rate=rate if options.rate is None else options.rate,
        steps=options.steps or base.steps,
        towers=towers,
    )


def _paper(rate: float, towers: tuple[Tower, ...] = BOTH) -> Callable[[Bundle, Options], Learner]:
    """NuSA-CL as published, in the towers given."""

    def make(bundle: Bundle, options: Options) -> Learner:
        return Gradient(
            shallower(bundle, options.image_blocks), _recipe(PAPER, options, rate, towers), tails.NullSpace()
        )

    return make


def _text(
    adaptation: tails.Adaptation, rule: Rule = "resvd", kind: type[Gradient] = Gradient
) -> Callable[[Bundle, Options], Learner]:
    """An option of where the text tower is adapted, under the paper's objective and the rate of `text-only`."""

    def make(bundle: Bundle, options: Options) -> Learner:
        return kind(bundle, replace(_recipe(PAPER, options, 3e-2, ("text",)), rule=rule), adaptation)

    return make


def _form(
    make_matrix: Callable[..., object], rate: float, *, is_matched: bool = False, towers: tuple[Tower, ...] = BOTH
) -> Callable[[Bundle, Options], Learner]:
    """A baseline's form in the towers given, under the paper's objective."""

    def make(bundle: Bundle, options: Options) -> Learner:
        shorter = shallower(bundle, options.image_blocks)
        ranks = None
        if is_matched:
            method = bundle.manifest.method
            ranks = {
                tower: forms.matched_rank(method.max_rank[tower] ** 2, 2 * bundle.width(tower)) for tower in towers
            }
        return Gradient(shorter, _recipe(PAPER, options, rate, towers), forms.Form(make_matrix, ranks, options.seed))  # type: ignore[arg-type]

    return make


def _device(
    base: Recipe = DEVICE, *, trains_text: bool = True, answerer: type[Answerer] = Answerer
) -> Callable[[Bundle, Options], Learner]:
    def make(bundle: Bundle, options: Options) -> Learner:
        return Default(bundle, _recipe(base, options, base.learning_rate, ("text",)), trains_text, answerer)

    return make


CATALOGUE = {
    "frozen": Entry("the untouched model, zero-shot", False, lambda bundle, options: Frozen(bundle)),
    "full": Entry("full fine-tuning of the q, k, v and o matrices", True, _form(forms.full, 3e-4)),
    "lora": Entry("LoRA of the null space's rank", True, _form(forms.lora, 1e-3)),
    "lora-matched": Entry(
        "LoRA with as many trained numbers as the null-space cores", True, _form(forms.lora, 1e-3, is_matched=True)
    ),
    "milora": Entry("factors that start at the smallest singular triplets, then free", True, _form(forms.milora, 1e-3)),
    "top": Entry("cores between the largest singular directions", True, _form(forms.subspace(forms.top), 3e-3)),
    "random": Entry("cores between random directions", True, _form(forms.subspace(forms.at_random), 1e-2)),
    "paper": Entry("NuSA-CL as published: null space of both towers, fresh SVD a task", True, _paper(3e-2)),
    "text-only": Entry("NuSA-CL in the text tower alone", False, _paper(3e-2, ("text",))),
    "text-full": Entry("full fine-tuning of the text tower's matrices", False, _form(forms.full, 3e-4, towers=TEXT)),
    "text-lora": Entry("LoRA of the null space's rank in the text tower", False, _form(forms.lora, 1e-3, towers=TEXT)),
    "text-lora-matched": Entry(
        "the same with as many trained numbers as the null-space cores",
        False,
        _form(forms.lora, 1e-3, is_matched=True, towers=TEXT),
    ),
    "text-top": Entry(
        "cores between the text tower's largest singular directions",
        False,
        _form(forms.subspace(forms.top), 3e-3, towers=TEXT),
    ),
    "text-random": Entry(
        "cores between random directions of the text tower",
        False,
        _form(forms.subspace(forms.at_random), 1e-2, towers=TEXT),
    ),
    "text-pool": Entry(
        "NuSA-CL in the text tower, never leaving the pool of export", False, _text(tails.NullSpace(), "pool")
    ),
    "text-room": Entry(
        "the same by fresh SVD, ranks in proportion to each matrix's null rank",
        False,
        _text(subspaces.Chosen(subspaces.by_room)),
    ),
    "text-covariance": Entry(
        "the same in the tail of W Cov^(1/2) of vocabulary prompts",
        False,
        _text(subspaces.Chosen(subspaces.by_covariance)),
    ),
    "text-gradient": Entry(
        "the same in those of 2 r tail directions that the task's first gradient uses most",
        False,
        _text(tails.NullSpace(), kind=Guided),
    ),
    "text-last-2": Entry(
        "the same in the last two text blocks alone", False, _text(subspaces.Chosen(subspaces.of_last_blocks(2)))
    ),
    "image-only": Entry("NuSA-CL in the image tower alone", True, _paper(3e-2, ("image",))),
    "ridge": Entry(
        "ridge head on the frozen embedding, behind the gate (RAIL)",
        False,
        lambda bundle, options: RidgeHead(bundle, "embedding"),
    ),
    "ranpac": Entry(
        "ridge head on 1,024 random features of the embedding (RanPAC)",
        False,
        lambda bundle, options: RidgeHead(bundle, "random"),
    ),
    "ridge-taps": Entry("ridge head on this project's taps", False, lambda bundle, options: RidgeHead(bundle, "taps")),
    "offline": Entry(
        "logistic regression on the same taps with every picture of all tasks kept: the offline limit",
        False,
        lambda bundle, options: Offline(bundle),
    ),
    "sequential": Entry(
        "a dense softmax head on the same taps, trained on each task's pictures alone",
        False,
        lambda bundle, options: Sequential(bundle, options.steps, options.rate),
    ),
    "ncm": Entry("nearest class mean of the same taps", False, lambda bundle, options: NearestMean(bundle)),
    "knn": Entry(
        "three nearest pictures on the same taps, with every picture kept (Teachable Machine)",
        False,
        lambda bundle, options: NearestPictures(bundle),
    ),
    "tip": Entry(
        "Tip-Adapter without training: text and a cache of every picture's embedding",
        False,
        lambda bundle, options: TipAdapter(bundle),
    ),
    "gda": Entry(
        "GDA-CLIP: text and Gaussians of every picture's embedding", False, lambda bundle, options: Gda(bundle)
    ),
    "lda": Entry(
        "discriminant analysis on the same taps with every picture kept, shrunk by Ledoit and Wolf",
        False,
        lambda bundle, options: Lda(bundle),
    ),
    "head": Entry("this project's head alone, behind its gate", False, _device(trains_text=False, answerer=HeadAlone)),
    "untrained": Entry("the default without training its text", False, _device(trains_text=False)),
    "anchors": Entry(
        "the default's adapted anchors without the head, behind its gate", False, _device(answerer=AnchorsAlone)
    ),
    "unrecalled": Entry(
        "the default without drawn pictures of old labels", False, _device(replace(DEVICE, recalled=0))
    ),
    "loose": Entry("the default with vocabulary nouns free to move", False, _device(replace(DEVICE, staying=0.0))),
    "svd": Entry(
        "the default with a fresh SVD a task instead of the pool", False, _device(replace(DEVICE, rule="resvd"))
    ),
    "default": Entry("this project's default: text tower in the pool, head, gate", False, _device()),
}
"""Name -> entry, in the order of the tables."""


def chosen(names: str) -> list[str]:
    """The learners of a comma-separated list, `all` for every one. Raises UsageError for an unknown name."""
    wanted = list(CATALOGUE) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    unknown = sorted(set(wanted) - set(CATALOGUE))
    if unknown or not wanted:
        raise UsageError(
            f"--learners: there is no {', '.join(unknown) or 'learner in an empty list'}; expected `all` or some of "
            f"{', '.join(CATALOGUE)}"
        )
    return list(dict.fromkeys(wanted))


def check_image(names: Iterable[str], image: ImageShape) -> None:
    """Raises UsageError where a learner adapts the image tower and the bundle's is frozen whole."""
    unfit = [name for name in names if CATALOGUE[name].needs_tokens]
    if unfit and isinstance(image, FrozenShape):
        raise UsageError(
            f"--learners: {', '.join(unfit)} adapt the image tower, and this bundle's ({image.family}) is frozen "
            "whole; leave them out, or take a bundle with open_clip's own ViT"
        )
