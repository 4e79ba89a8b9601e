"""What learning does to names that were never taught, against the directions in which each learner moved the text
tower.

python research/rivals/movement.py --data DIR --cache DIR --learners text-only@0.1,text-lora@0.003 [--bundle DIR]
[--sets a,b,...] [--never SET] [--shots 5] [--steps 100] [--json FILE]

Each learner is taught the sets one after the other by the protocol's own learner and asked as the suite `mtil` asks.
Then: how far the anchors of taught names and of vocabulary nouns turned; how much of the change lies in each eighth of
W's singular values; and how much of what prompts put into W lies there. Letters: W (out, in), D its change, x an input
of W, C = E[x x^T] over the vocabulary's prompts, d = min(out, in).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_nusa.device.learning import tails
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.data.datasets import DataSet, find_sets, limit_test, take_shots
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.learners.catalogue import CATALOGUE
from edge_nusa.research.learners.entry import Options
from edge_nusa.research.learners.learners import Gradient
from edge_nusa.threads import one_blas_thread

SETS = "sign_digits,mnist,cifar10,grocery,flowers5,caltech101,rsscn7,trashnet"
BANDS = 8
NOUNS = 2000


@dataclass(frozen=True, kw_only=True)
class Movement:
    """Of one learner: percent right over all sets and on the set never taught; quartiles of 1 - cos of taught names'
    and of nouns' anchors; the size of D beside W (Frobenius); what D adds to W's output for prompts beside that output
    (mean square, root); and the share of D's energy in each band of W's singular values, largest first."""

    learner: str
    last: float
    never: float
    taught: tuple[float, ...]
    nouns: tuple[float, ...]
    size: float
    felt: float
    energy: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Tower:
    """The untouched matrices by name, C of each, and of each band W's share of energy and the prompts'."""

    weights: Mapping[str, np.ndarray]
    inputs: Mapping[str, np.ndarray]
    weight_energy: tuple[float, ...]
    input_energy: tuple[float, ...]


@torch.no_grad()
def input_products(bundle: Bundle, prompts: Sequence[str]) -> dict[str, np.ndarray]:
    """C (in, in) float64 of every adapted text matrix, over the places of the prompts that it is applied to."""
    tail = tails.build_tail(bundle, "text", {})
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = defaultdict(int)

    def watch(matrix: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def seen(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].flatten(0, -2).double()
            sums[matrix] = sums.get(matrix, torch.zeros(())) + rows.T @ rows
            counts[matrix] += len(rows)

        return seen

    for matrix in bundle.matrices("text"):
        tails.linear(tail, matrix).register_forward_pre_hook(watch(matrix))
    hidden, last = TextEncoder(bundle, 1).hidden(prompts)
    # one at a time: together, prompts share their common beginning, and shorter ones are padded
    for states, end in zip(torch.from_numpy(hidden), torch.from_numpy(last), strict=True):
        tail(states[None, : end + 1], end[None])
    return {matrix: (total / counts[matrix]).numpy() for matrix, total in sums.items()}


def banded(values: np.ndarray) -> np.ndarray:
    """(BANDS,) sums of values (d,) over equal parts."""
    return np.array([part.sum() for part in np.array_split(values, BANDS)])


@one_blas_thread
def energy_by_band(weight: np.ndarray, change: np.ndarray) -> np.ndarray:
    """(BANDS,) share of the change's energy: half by the left, half by the right singular directions of W."""
    left, _, right = np.linalg.svd(weight.astype(np.float64))
    inside = np.square(left.T @ change @ right.T)
    return np.asarray((banded(inside.sum(axis=1)) + banded(inside.sum(axis=0))) / (2 * inside.sum()))


@one_blas_thread
def tower_of(bundle: Bundle, nouns: Sequence[str]) -> Tower:
    """The untouched text tower and what prompts put into it."""
    template = bundle.manifest.templates[0]
    inputs = input_products(bundle, [template.replace("{}", noun) for noun in nouns])
    weights = {matrix: bundle.matrix(matrix).astype(np.float64) for matrix in inputs}
    of_weight, of_input = np.zeros(BANDS), np.zeros(BANDS)
    for matrix, weight in weights.items():
        _, values, right = np.linalg.svd(weight)
        of_weight += banded(values**2) / np.square(values).sum()
        used = ((right @ inputs[matrix]) * right).sum(axis=1)
        of_input += banded(used) / used.sum()
    count = len(weights)
    return Tower(
        weights=weights,
        inputs=inputs,
        weight_energy=tuple(of_weight / count),
        input_energy=tuple(of_input / count),
    )


def quartiles(values: np.ndarray) -> tuple[float, ...]:
    """25, 50 and 75 % of the values."""
    return tuple(float(each) for each in np.quantile(values, [0.25, 0.5, 0.75]))


@dataclass(frozen=True)
class Scene:
    """Sets and views by name; `never` is the set that is not taught."""

    bundle: Bundle
    sets: Mapping[str, DataSet]
    views: Mapping[str, View]
    never: str
    shots: int
    steps: int


def right(learner: Gradient, scene: Scene, name: str) -> float:
    """Percent of a set's test pictures among its own labels."""
    view = scene.views[name]
    asked = view.readable(limit_test(scene.sets[name], 200, 0))
    found = learner.answer([view], view, asked).probabilities.argmax(axis=1)
    return 100 * float((found == view.classes[asked]).mean())


def moved(scene: Scene, tower: Tower, nouns: Sequence[str], word: str) -> Movement:
    """Teach `name@rate` all sets and measure."""
    name, _, rate = word.partition("@")
    learner = CATALOGUE[name].make(scene.bundle, Options(steps=scene.steps, rate=float(rate) if rate else None))
    if not isinstance(learner, Gradient):
        raise TypeError(f"{name} does not adapt the text tower; expected one of the catalogue's `text-` learners")
    taught = [each for each in scene.views if each != scene.never]
    for each in taught:
        view = scene.views[each]
        learner.learn(view, view.readable(take_shots(scene.sets[each], scene.shots, 0)), 0)
    changes = {
        matrix: core - tower.weights[matrix] for matrix, core in learner.known.merged(scene.bundle, ("text",)).items()
    }
    names = np.concatenate(
        [1 - (learner.adapted_anchors(scene.views[each]) * scene.views[each].anchors).sum(axis=1) for each in taught]
    )
    return Movement(
        learner=word,
        last=float(np.mean([right(learner, scene, each) for each in taught])),
        never=right(learner, scene, scene.never),
        taught=quartiles(names),
        nouns=quartiles(_of_nouns(scene.bundle, learner, nouns)),
        size=float(np.mean([np.linalg.norm(d) / np.linalg.norm(tower.weights[m]) for m, d in changes.items()])),
        felt=float(np.mean([_felt(tower, matrix, change) for matrix, change in changes.items()])),
        energy=tuple(np.mean([energy_by_band(tower.weights[m], d) for m, d in changes.items()], axis=0)),
    )


@one_blas_thread
def _felt(tower: Tower, matrix: str, change: np.ndarray) -> float:
    """sqrt(E|D x|^2 / E|W x|^2)."""
    weight, inputs = tower.weights[matrix], tower.inputs[matrix]
    return float(np.sqrt(np.trace(change @ inputs @ change.T) / np.trace(weight @ inputs @ weight.T)))


def _of_nouns(bundle: Bundle, learner: Gradient, nouns: Sequence[str]) -> np.ndarray:
    text = TextEncoder(bundle, 1)
    hidden, last = text.hidden([bundle.manifest.templates[0].replace("{}", noun) for noun in nouns])
    before = text.through(text.tail({}), hidden, last)
    after = text.through(text.tail(learner.known.merged(bundle, ("text",))), hidden, last)
    return np.asarray(1 - (before * after).sum(axis=1))


def main() -> None:
    """Measure, print a table, and write what the plot needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--learners", required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--never", default="pacs_photo")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.open(arguments.bundle or embedded_bundle())
    sets = {each.name: each for each in find_sets(arguments.data, [*arguments.sets.split(","), arguments.never])}
    viewer = Viewer(bundle, arguments.cache, 1, 0)
    views = {}
    for name, each in sets.items():
        needed = np.union1d(take_shots(each, arguments.shots, 0), limit_test(each, 200, 0))
        views[name] = viewer.view(each, needed, lambda what, done, total: None)
    scene = Scene(bundle, sets, views, arguments.never, arguments.shots, arguments.steps)
    named = {label for view in views.values() for label in view.labels}
    nouns = [noun for noun in bundle.vocabulary[0][:NOUNS] if noun not in named]
    tower = tower_of(bundle, nouns)
    print("band shares of W's energy:    ", " ".join(f"{100 * share:5.1f}" for share in tower.weight_energy))
    print("band shares of prompts' input:", " ".join(f"{100 * share:5.1f}" for share in tower.input_energy))
    found = []
    for word in arguments.learners.split(","):
        found.append(moved(scene, tower, nouns, word))
        show(found[-1])
    if arguments.json:
        rows = [asdict(one) for one in found]
        shares = {"weight_energy": tower.weight_energy, "input_energy": tower.input_energy}
        arguments.json.write_text(json.dumps({**shares, "learners": rows}, indent=1, allow_nan=False))


def show(one: Movement) -> None:
    """One row."""
    print(
        f"{one.learner:24} last {one.last:5.1f} never {one.never:5.1f}  1 - cos of taught {one.taught[1]:.3f} of nouns "
        f"{one.nouns[1]:.3f}  |D|/|W| {one.size:.3f} |Dx|/|Wx| {one.felt:.3f}  energy by band "
        + " ".join(f"{100 * share:5.1f}" for share in one.energy),
        flush=True,
    )


if __name__ == "__main__":
    main()
