"""Learns one task: features, training, head, judge, commit; the state changes at the very end or not at all."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from edge_nusa import head as heads
from edge_nusa import labels as label_names
from edge_nusa import sessions
from edge_nusa.answer import Answerer, novelty
from edge_nusa.device import eye, judge
from edge_nusa.device.anchors import TextEncoder
from edge_nusa.device.extract import Features, chunk_size, extract, used_bytes
from edge_nusa.device.task import Task, held_out, joined
from edge_nusa.errors import InputError, MissingPackageError, ResourceError, UsageError
from edge_nusa.knowledge import AnswerSettings, Knowledge, Label, from_files, load, to_files
from edge_nusa.recipes import Recipe
from edge_nusa.workplace import Workplace

NOUNS_FOR_TRAINING = 256
NOUNS_FOR_JUDGING = 256
NARROW = 256
"""A text tower of at most this width trains on one thread: more only wait for each other (README, what is measured)."""
TORCH_BYTES = 160 << 20
"""What importing torch and one training step of a small tail take beside the trunk's own memory (measured on x86-64)."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LearnSettings:
    """Choices of one learn. template: a prompt with {} for these labels, or None for the bundle's."""

    recipe: Recipe
    seed: int = 0
    template: str | None = None
    is_forced: bool = False
    is_dry_run: bool = False
    wait_seconds: float = 600


def learn(workplace: Workplace, task: Task, settings: LearnSettings, progress: Progress) -> dict[str, Any]:
    """Teach the task; returns the report (README, `learn --format json`).

    Raises InputError (nothing readable, divergence), RefusedError (the judge), UsageError (recipe and bundle do not fit),
    ResourceError (memory, disk, another writer). The state is then as it was.
    """
    if settings.template is not None and settings.template.count("{}") != 1:
        raise UsageError(f"--template: expected one {{}} for the label, got {settings.template!r}; for example 'a photo of a {{}}, a type of flower.'")
    _check_recipe(workplace, settings.recipe, task)
    with workplace.state.writer(settings.wait_seconds):
        return _Learning(workplace, task, settings, progress).run()


def _check_recipe(workplace: Workplace, recipe: Recipe, task: Task) -> None:
    manifest = workplace.bundle.manifest
    if recipe.rule == "resvd" and (manifest.image.tail_blocks, manifest.text.tail_blocks) != (manifest.image.layers, manifest.text.layers):
        raise UsageError(f"--recipe {recipe.name} adapts all blocks of both towers; export the bundle with --tail-blocks all --text-blocks all")
    if not recipe.negatives and len(task.labels) < 2:
        raise UsageError(f"--recipe {recipe.name} tells the task's labels apart and needs at least two; use --dataset DIR, or --recipe device for one label")


class _Learning:
    """One learn in progress, with the state's lock held."""

    def __init__(self, workplace: Workplace, task: Task, settings: LearnSettings, progress: Progress) -> None:
        self.began = time.monotonic()
        self.workplace, self.bundle, self.task, self.settings, self.progress = workplace, workplace.bundle, task, settings, progress
        self.number, self.before = load(workplace.bundle, workplace.state, settings.recipe)
        recipe = self.before.recipe
        if self.before.tasks and (recipe.rule, recipe.towers, recipe.has_head) != (settings.recipe.rule, settings.recipe.towers, settings.recipe.has_head):
            raise UsageError(f"this state was taught with --recipe {recipe.name}; go on with it, or use another --state for --recipe {settings.recipe.name}")
        self.names, self.columns = joined(self.before.names, task)

    def run(self) -> dict[str, Any]:
        features = self._features()
        self.classes = self.task.classes[features.kept]
        self.goals = self.columns[self.classes]
        self.held = held_out(self.classes, self.settings.seed)
        text = TextEncoder(self.bundle, self.workplace.threads)
        frozen_tail = text.tail({})
        candidate = replace(self.before, recipe=self.settings.recipe, cores=self._train(features, text))
        merged = candidate.merged(self.bundle)
        adapted_tail = text.tail(merged)
        labels = self._labels()
        candidate = replace(
            candidate,
            labels=labels,
            frozen_anchors=text.label_anchors(frozen_tail, labels),
            adapted_anchors=text.label_anchors(adapted_tail, labels),
            tasks=self.before.tasks + 1,
        )
        report, candidate = self._judged(candidate, features, text, frozen_tail, adapted_tail, merged)
        if not self.settings.is_dry_run:
            files = to_files(replace(candidate, report=_stored(report)))
            from_files(self.bundle, files)  # what could not be read back must not be committed
            report["generation"] = self.workplace.state.commit(files, "learn").number
        return report

    def _features(self) -> Features:
        recipe, budget = self.settings.recipe, self.workplace.max_memory_bytes
        session = sessions.open_session(self.bundle, "image_trunk", self.workplace.threads)
        needs_tokens = "image" in recipe.towers and self.bundle.manifest.image.tail_blocks > 0
        features = extract(session, self.bundle, self.task.paths, chunk_size(self.bundle, budget), needs_tokens,
                           lambda done, total: self.progress("looking", done, total))  # fmt: skip
        present = set(self.task.classes[features.kept].tolist())
        for index, label in enumerate(self.task.labels):
            if index not in present:
                reasons = "; ".join(sorted({q.reason for q in features.quarantined})[:3])
                raise InputError(f"no readable picture of {label!r} ({reasons}); nothing was learned: give at least one sound picture")
        return features

    def _train(self, features: Features, text: TextEncoder) -> dict[str, np.ndarray]:
        budget = self.workplace.max_memory_bytes
        if budget is not None and used_bytes() + TORCH_BYTES > budget:
            needed = (used_bytes() + TORCH_BYTES >> 20) + 1
            raise ResourceError(f"--max-memory: {budget >> 20} MiB are too few to train beside the {used_bytes() >> 20} MiB in use; allow {needed} MiB")
        try:
            import torch
        except ImportError as error:
            raise MissingPackageError('learning needs torch; install it with `pip install "edge-nusa[learn]"` (README, installing on a board)') from error
        from edge_nusa.device.train import TaskData, Trainer

        torch.set_num_threads(self.workplace.threads or (1 if self.bundle.manifest.text.width <= NARROW else torch.get_num_threads()))
        prompt = self.settings.template or self.bundle.manifest.templates[0]
        others = [n for n in self.before.names if n not in self.task.labels] if self.settings.recipe.negatives else []
        class_hidden, class_last = text.hidden([prompt.replace("{}", name) for name in [*self.task.labels, *others]])
        noun_hidden, noun_last = text.hidden([prompt.replace("{}", noun) for noun in self._nouns(NOUNS_FOR_TRAINING)])
        data = TaskData(features.embedding, features.tokens, self.classes, self.held, class_hidden, class_last, noun_hidden, noun_last)
        trainer = Trainer(self.bundle, self.before, data, self.settings.recipe, self.settings.seed)
        trained = trainer.run(lambda done, total: self.progress("training", done, total))
        self.trained = {"loss": round(trained.loss, 4), "kept_step": trained.kept_step, "crossings": sum(trained.crossings.values())}
        return trained.cores

    def _nouns(self, count: int) -> list[str]:
        """Vocabulary nouns that are not among the labels, chosen by the seed."""
        taken = {label_names.key(name) for name in [*self.before.names, *self.task.labels]}
        free = [noun for noun in self.bundle.vocabulary[0] if label_names.key(noun) not in taken]
        return [free[i] for i in np.random.default_rng(self.settings.seed).permutation(len(free))[:count]]

    def _labels(self) -> tuple[Label, ...]:
        counts = np.bincount(self.goals, minlength=len(self.names))
        old = dict(enumerate(self.before.labels))
        taught = set(self.columns.tolist())
        rows = []
        for index, name in enumerate(self.names):
            template = self.settings.template if index in taught else old[index].template
            rows.append(Label(name, int(counts[index]) + (old[index].images if index in old else 0), template))
        return tuple(rows)

    def _judged(self, candidate: Knowledge, features: Features, text: TextEncoder, frozen_tail: Any, adapted_tail: Any, merged: Any) -> tuple[dict[str, Any], Knowledge]:
        self.progress("judging", 0, 1)
        tail_before = eye.image_tail(self.bundle, self.before.merged(self.bundle), self.workplace.threads)
        tail_after = eye.image_tail(self.bundle, merged, self.workplace.threads)
        rows = np.flatnonzero(self.held)
        # a label with too few pictures to hold any out is asked about all of them before, and by leave-one-out after
        asked = np.flatnonzero(self.held | ~np.isin(self.classes, self.classes[self.held]))
        nouns = self._nouns(judge.DISTRACTORS) if len(self.names) < 2 else []
        known = len(self.before.labels)
        new = candidate.frozen_anchors[known:], candidate.adapted_anchors[known:]
        noun_anchors = text.anchors(frozen_tail, nouns, self.settings.template), text.anchors(adapted_tail, nouns, self.settings.template)
        whole, candidate = self._with_head(candidate, features)
        before = judge.accuracies(Answerer(self.before, self.bundle.manifest.logit_scale, np.concatenate([new[0], noun_anchors[0]]),
                                           np.concatenate([new[0], noun_anchors[0]])), eye.views(features, tail_before, asked), self.goals[asked], len(self.names))  # fmt: skip
        after = judge.accuracies(Answerer(candidate, self.bundle.manifest.logit_scale, *noun_anchors),
                                 eye.views(features, tail_after, rows), self.goals[rows], len(self.names))  # fmt: skip
        if candidate.recipe.has_head:
            alone = judge.leave_one_out_accuracies(candidate, whole, eye.views(features, None), self.goals)
            after = [one if one is not None else other for one, other in zip(after, alone, strict=True)]
        kept = self._retention(candidate, text, frozen_tail, adapted_tail)
        if not self.settings.is_forced:
            judge.check(kept, before, after, np.bincount(self.goals[asked], minlength=len(self.names)).tolist())
        self.progress("judging", 1, 1)
        return self._report(before, after, kept, features), replace(candidate, head=whole if candidate.recipe.has_head else candidate.head)

    def _with_head(self, candidate: Knowledge, features: Features) -> tuple[heads.Head, Knowledge]:
        """The head with all pictures, and the candidate with the head of those not held out and its fitted constants."""
        if not candidate.recipe.has_head:
            return candidate.head, candidate
        rows, count = heads.features(features.taps), len(self.names)
        taught = ~self.held
        part = self.before.head.added(rows[taught], self.goals[taught], count)
        whole = self.before.head.added(rows, self.goals, count)
        solved = part.solve()
        alone = part.leave_one_out(rows[taught], self.goals[taught], solved)
        leverage = novelty(part, solved, rows[taught]) / solved.strength
        own = solved.strength * leverage / np.maximum(1 - leverage, 1e-9)
        settings = AnswerSettings(
            head_weight=self.before.answer.head_weight,
            head_temperature=judge.head_temperature(alone, self.goals[taught]),
            novelty_limit=max(self.before.answer.novelty_limit, float(np.quantile(own, 0.9))),
        )
        return whole, replace(candidate, head=part, answer=settings)

    def _retention(self, candidate: Knowledge, text: TextEncoder, frozen_tail: Any, adapted_tail: Any) -> judge.Retention:
        names, anchors = self.bundle.vocabulary
        rows = np.random.default_rng(0).permutation(len(names))[:NOUNS_FOR_JUDGING]
        template = self.bundle.manifest.templates[0]
        now = text.anchors(adapted_tail, [names[i] for i in rows], template)
        known = len(self.before.labels)
        return judge.retention(anchors[rows], now, self.before.adapted_anchors, candidate.adapted_anchors[:known])

    def _report(self, before: list[float | None], after: list[float | None], kept: judge.Retention, features: Features) -> dict[str, Any]:
        counts = np.bincount(self.goals, minlength=len(self.names))
        rows = [{"label": self.names[c], "images": int(counts[c]), "accuracy_before": before[c], "accuracy_after": after[c]} for c in self.columns.tolist()]
        quarantined = [asdict(q) for q in [*self.task.quarantined, *features.quarantined]]
        return {
            "generation": self.number,
            "labels": rows,
            "retention": asdict(kept),
            "quarantined": quarantined,
            "seconds": round(time.monotonic() - self.began, 2),
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "training": self.trained,
            "judged_by": _judged_by(self.held, self.classes),
            "dry_run": self.settings.is_dry_run,
        }


def _judged_by(held: np.ndarray, classes: np.ndarray) -> str:
    has_others = bool((~np.isin(classes, classes[held])).any())
    return " and ".join([*(["held-out pictures"] if held.any() else []), *(["leave-one-out"] if has_others else [])])


def _stored(report: dict[str, Any]) -> dict[str, Any]:
    """The report as the state keeps it: counts of reasons instead of file names, so that no path is in it. Its generation is
    not known yet: `manage.history` adds it."""
    reasons: dict[str, int] = {}
    for entry in report["quarantined"]:
        reasons[entry["reason"]] = reasons.get(entry["reason"], 0) + 1
    rest = {name: value for name, value in report.items() if name != "generation"}
    return {**rest, "quarantined": [{"image": f"{count} pictures", "reason": reason} for reason, count in sorted(reasons.items())]}
