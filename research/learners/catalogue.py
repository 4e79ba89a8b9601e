"""The learners by name, with the learning rates that sets apart from the reported ones chose (docs/evidence.md says
how)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge_nusa.device.asking.answer import Answerer
from edge_nusa.device.learning import tails
from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import shown
from edge_nusa.knowledge.recipes import DEVICE, PAPER, Recipe, Rule
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.parameters import Tower
from edge_nusa.model.shapes import FrozenShape, ImageShape
from edge_nusa.research.learners import forms, own, subspaces
from edge_nusa.research.learners.described import DESCRIBED, NEED_TOKENS
from edge_nusa.research.learners.entry import Entry, Make, Options
from edge_nusa.research.learners.kept_pictures import Gda, Lda, NearestMean, NearestPictures, TipAdapter
from edge_nusa.research.learners.learners import Frozen, Gradient, Guided, Learner
from edge_nusa.research.learners.product import AnchorsAlone, Default, HeadAlone
from edge_nusa.research.learners.ridge import RidgeHead
from edge_nusa.research.learners.softmax import Offline, Sequential

BOTH: tuple[Tower, ...] = ("image", "text")
TEXT: tuple[Tower, ...] = ("text",)


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


def _paper(rate: float, towers: tuple[Tower, ...] = BOTH) -> Make:
    """NuSA-CL as published, in the towers given."""

    def make(bundle: Bundle, options: Options) -> Learner:
        return Gradient(
            shallower(bundle, options.image_blocks), _recipe(PAPER, options, rate, towers), tails.NullSpace()
        )

    return make


def _text(adaptation: tails.Adaptation, rule: Rule = "resvd", kind: type[Gradient] = Gradient) -> Make:
    """An option of where the text tower is adapted, under the paper's objective and the rate of `text-only`."""

    def make(bundle: Bundle, options: Options) -> Learner:
        return kind(bundle, replace(_recipe(PAPER, options, 3e-2, ("text",)), rule=rule), adaptation)

    return make


def _form(
    make_matrix: Callable[..., object], rate: float, *, is_matched: bool = False, towers: tuple[Tower, ...] = BOTH
) -> Make:
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


def _device(base: Recipe = DEVICE, *, trains_text: bool = True, answerer: type[Answerer] = Answerer) -> Make:
    def make(bundle: Bundle, options: Options) -> Learner:
        return Default(bundle, _recipe(base, options, base.learning_rate, ("text",)), trains_text, answerer)

    return make


MAKERS: dict[str, Make] = {
    "frozen": lambda bundle, options: Frozen(bundle),
    "full": _form(forms.full, 3e-4),
    "lora": _form(forms.lora, 1e-3),
    "lora-matched": _form(forms.lora, 1e-3, is_matched=True),
    "milora": _form(forms.milora, 1e-3),
    "top": _form(forms.subspace(forms.top), 3e-3),
    "random": _form(forms.subspace(forms.at_random), 1e-2),
    "paper": _paper(3e-2),
    "text-only": _paper(3e-2, ("text",)),
    "text-full": _form(forms.full, 3e-4, towers=TEXT),
    "text-lora": _form(forms.lora, 1e-3, towers=TEXT),
    "text-lora-matched": _form(forms.lora, 1e-3, is_matched=True, towers=TEXT),
    "text-top": _form(forms.subspace(forms.top), 3e-3, towers=TEXT),
    "text-random": _form(forms.subspace(forms.at_random), 1e-2, towers=TEXT),
    "text-pool": _text(tails.NullSpace(), "pool"),
    "text-room": _text(subspaces.Chosen(subspaces.by_room)),
    "text-covariance": _text(subspaces.Chosen(subspaces.by_covariance)),
    "text-gradient": _text(tails.NullSpace(), kind=Guided),
    "text-last-2": _text(subspaces.Chosen(subspaces.of_last_blocks(2))),
    "image-only": _paper(3e-2, ("image",)),
    "ridge": lambda bundle, options: RidgeHead(bundle, "embedding"),
    "ranpac": lambda bundle, options: RidgeHead(bundle, "random"),
    "ridge-taps": lambda bundle, options: RidgeHead(bundle, "taps"),
    "offline": lambda bundle, options: Offline(bundle),
    "sequential": lambda bundle, options: Sequential(bundle, options.steps, options.rate),
    "ncm": lambda bundle, options: NearestMean(bundle),
    "knn": lambda bundle, options: NearestPictures(bundle),
    "tip": lambda bundle, options: TipAdapter(bundle),
    "gda": lambda bundle, options: Gda(bundle),
    "lda": lambda bundle, options: Lda(bundle),
    "head": _device(trains_text=False, answerer=HeadAlone),
    "untrained": _device(trains_text=False),
    "anchors": _device(answerer=AnchorsAlone),
    "unrecalled": _device(replace(DEVICE, recalled=0)),
    "loose": _device(replace(DEVICE, staying=0.0)),
    "svd": _device(replace(DEVICE, rule="resvd")),
    "default": _device(),
}
CATALOGUE = {
    name: Entry(says=DESCRIBED[name].says, needs_tokens=name in NEED_TOKENS, make=make) for name, make in MAKERS.items()
}
"""Name -> entry, in the order of the tables."""


def chosen(names: str) -> list[str]:
    """The learners of a comma-separated list, `all` for every built-in one. Raises UsageError for a name that is
    neither built in, nor an entry point's, nor `package.module:Class`."""
    wanted = list(CATALOGUE) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    others = own.entry_points()
    unknown = sorted(name for name in set(wanted) if name not in CATALOGUE and name not in others and ":" not in name)
    if unknown or not wanted:
        raise UsageError(
            f"--learners: there is no {', '.join(unknown) or 'learner in an empty list'}; expected `all` or some of "
            f"{', '.join(dict.fromkeys([*CATALOGUE, *others]))}, or {own.FORM} for one of your own"
        )
    return list(dict.fromkeys(wanted))


def entries_of(learners: Sequence[str | Callable[..., object]]) -> dict[str, Entry]:
    """Name -> entry of built-in names, entry points, `package.module:Class`, and classes themselves. Raises UsageError
    for a name that is none of them and for two learners of one name, InputError for what is no learner."""
    found: dict[str, Entry] = {}
    for one in learners:
        name = one if isinstance(one, str) else own.name_of(one)
        if name in found:
            raise UsageError(f"learners: expected each once, found {shown(name)} twice; leave one out or rename it")
        found[name] = CATALOGUE[name] if name in CATALOGUE else own.entry_of(one)
    return found


def check_image(entries: Mapping[str, Entry], image: ImageShape) -> None:
    """Raises UsageError where a learner adapts the image tower and the bundle's is frozen whole."""
    unfit = [name for name, entry in entries.items() if entry.needs_tokens]
    if unfit and isinstance(image, FrozenShape):
        raise UsageError(
            f"--learners: {', '.join(unfit)} adapt the image tower, and this bundle's ({image.family}) is frozen "
            "whole; leave them out, or take a bundle with open_clip's own ViT"
        )
