// A lesson as a person follows it: what it does now, what came of it, and what to do where it was refused.

import * as api from "./api.js";
import { byId, el, say } from "./dom.js";
import { undo } from "./history.js";
import { attempt } from "./notices.js";
import { addDraft, isRunning, on, setAskedLesson, state } from "./store.js";
import { chooseLabel } from "./dialogs.js";
import * as words from "./words.js";

const SOMETHING_ELSE = "something else";
const MOST_WORST = 12;
let closed = null; // the lesson whose panel was closed
let panel = null; // {key, parts} of what is drawn

export async function teach(options = {}) {
  closed = null;
  const begun = await attempt(() => api.teach(options));
  const asked = begun && (await attempt(() => api.lesson(begun.lesson)));
  if (asked) setAskedLesson(asked);
}

function title(lesson) {
  const { state: stage } = lesson;
  if (isRunning() && lesson.known_now) return "It knows them. The text is training.";
  if (stage === "waiting") return "Another program teaches this board; this lesson waits for it.";
  if (stage === "looking") return `Looking at ${words.pictures(lesson.pictures)}`;
  if (stage === "judging") return "Trying what it learned on pictures it has not seen";
  if (stage === "training text") return "The text is training.";
  if (stage === "done") return "Learned";
  if (stage === "nothing new") return "Nothing new in these pictures";
  if (stage === "refused") return "This lesson was not kept";
  return "The lesson failed";
}

const STAGE_WORDS = { looking: "seen", judging: "tried", "training text": "steps" };

function progressWords({ progress, state: stage }) {
  if (!progress || progress.total < 2) return "";
  return `${progress.done} of ${progress.total} ${STAGE_WORDS[stage] ?? ""}`.trim();
}

/** A track: how many were recognised before, as a mark, and how many are now. */
function track({ right, right_before: before, asked }) {
  if (!asked) return null;
  const [fill, mark] = [el("div.fill"), el("div.mark-before")];
  fill.style.transform = `translateX(${((100 * right) / asked - 100).toFixed(1)}%)`;
  mark.style.left = `${((100 * before) / asked).toFixed(1)}%`;
  return el("div.bar.leads", { "aria-hidden": "true" }, el("div.track", {}, fill, before ? mark : null));
}

function outcomes(report) {
  return el("ul.result", { "aria-label": "What came of each label" }, ...report.labels.map((row) => {
    const { what, words: said, isWeak } = words.outcome(row);
    const parts = [el("span.what", { text: what }), track(row), el("span.words", { text: said })];
    return el(isWeak ? "li.weak" : "li", {}, ...parts);
  }));
}

function folded(summary, lines) {
  if (!lines.length) return null;
  return el("details", {}, el("summary", { text: summary }), el("ul", {}, ...lines.map((text) => el("li", { text }))));
}

function reportParts(report) {
  const aside = report.quarantined ?? [];
  return [
    report.labels.length ? outcomes(report) : null,
    folded(`${words.pictures(aside.length)} set aside`, words.reasons(aside)),
    folded("What it knew before", (report.earlier ?? []).map(words.kept)),
  ];
}

/** A picture that speaks against the lesson, and the two ways out, one touch each. */
function worstTile({ picture, label, taken_for: taken }) {
  const tile = el("li.tile", {}, el("img", { src: api.thumbnail(picture), alt: `Taught as ${label}`, width: 104, height: 104 }),
    el("span.caption", { text: `taught as ${label}, looks like ${taken}` }));
  const done = () => tile.remove();
  const moved = async () => {
    const to = taken === SOMETHING_ELSE ? await chooseLabel("What is it?", { without: label }) : taken;
    if (to !== null && (await attempt(() => api.move([picture], addDraft(to))))) done();
  };
  const dropped = async () => (await attempt(() => api.drop([picture]))) && done();
  const about = `the picture taught as ${label}`;
  tile.append(el("div.row", {},
    el("button", { text: taken === SOMETHING_ELSE ? "It is …" : `It is ${taken}`, on: { click: moved } }),
    el("button.danger", { text: "Drop", "aria-label": `Drop ${about}`, on: { click: dropped } })));
  return tile;
}

function worst(report) {
  const entries = (report?.mistaken ?? []).filter(({ picture }) => picture).slice(0, MOST_WORST);
  if (!entries.length) return null;
  return el("div", {}, el("h3", { text: "The pictures that speak against it, the worst first" }),
    el("ul.tiles", {}, ...entries.map(worstTile)));
}

function refusedParts(lesson) {
  const again = el("button.button.primary", { text: "Teach again", on: { click: () => teach() } });
  const anyway = el("button.quiet", { text: "Keep it anyway", on: { click: () => teach({ force: true }) } });
  return [worst(lesson.report), el("div.row", {}, again, anyway)];
}

function endParts(lesson) {
  const { state: stage, report } = lesson;
  const parts = report ? reportParts(report) : [];
  if (stage === "refused") return [...refusedParts(lesson), ...parts];
  if (stage === "failed") return [el("div.row", {}, el("button.button.primary", { text: "Try again", on: { click: () => teach() } }))];
  if (stage === "done" && report) parts.push(folded("What became of the text", [words.text(report)]));
  return parts;
}

async function undoThis({ generation }) {
  close();
  await undo({ generation });
}

function close() {
  closed = state.lesson?.lesson ?? null;
  draw();
}

/** Builds the panel anew where its stage changed; a bar that only moves is updated in place. */
function build(lesson) {
  const isOver = !isRunning();
  const bar = isOver ? null : el("progress", { "aria-label": "Progress of the lesson" });
  const count = isOver ? null : el("p.small");
  const end = isOver ? el("button.quiet.close", { text: "×", "aria-label": "Close", on: { click: close } }) : null;
  const isKept = lesson.state === "done" && lesson.report;
  const back = isKept ? el("button.quiet", { text: "Undo this lesson", on: { click: () => undoThis(lesson.report) } }) : null;
  const { why, next } = words.refusal(lesson.reason ?? "");
  const shown = lesson.report && !isOver ? reportParts(lesson.report) : [];
  const parts = [
    el("header", {}, el("h3", { text: title(lesson) }), el("div.row", {}, back, end)),
    bar,
    count,
    isOver && why ? el("p", { text: why }) : null,
    isOver && next ? el("p.next", { text: next }) : null,
    ...(isOver ? endParts(lesson) : shown),
  ];
  byId("lesson").replaceChildren(...parts.filter(Boolean));
  byId("lesson").classList.toggle("bad", lesson.state === "refused" || lesson.state === "failed");
  return { bar, count };
}

function move({ bar, count }, lesson) {
  if (!bar) return;
  const { progress } = lesson;
  if (progress?.total > 1) {
    bar.max = progress.total;
    bar.value = progress.done;
  } else bar.removeAttribute("value");
  say(count, progressWords(lesson));
}

function draw() {
  const { lesson } = state;
  const isHidden = !lesson || lesson.lesson === closed;
  byId("lesson").hidden = isHidden;
  if (isHidden) {
    panel = null;
    return;
  }
  const stage = isRunning() && lesson.known_now ? "known" : lesson.state;
  const key = `${lesson.lesson} ${stage} ${Boolean(lesson.report)}`;
  if (panel?.key !== key) {
    panel = { key, parts: build(lesson) };
    const { why, next } = words.refusal(lesson.reason ?? "");
    say(byId("lesson-said"), [title(lesson), why, next].filter(Boolean).join(" "));
  }
  move(panel.parts, lesson);
}

export function start() {
  on("lesson", draw);
  draw();
}
