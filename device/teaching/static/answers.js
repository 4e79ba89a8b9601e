// Answers to what the finder shows: live bars, and one touch where they are wrong.

import * as api from "./api.js";
import { byId, el, keyed, say } from "./dom.js";
import { chooseLabel } from "./dialogs.js";
import { frame, frameAsJpeg, shown } from "./finder.js";
import { greys } from "./frames.js";
import { attempt, tell } from "./notices.js";
import { noticed } from "./review.js";
import { addDraft, cardLabels, keyOf, on, state } from "./store.js";
import { NONE, percent } from "./words.js";
import { openWhy } from "./why.js";

export const LEAST_MS = 300;
const MOST_BARS = 6;
const MOST_CHIPS = 6;
const SAID_MS = 2000;
const UNSURE = 0.6;
let last = null; // the answer that is shown: {answer, blob} of a picture of this page, {answer, id} of the board's camera
let saidAt = 0;

const taught = () => state.labels.filter((row) => row.images > 0);

function idleWords() {
  if (!taught().length) return "Nothing is taught yet. Add a label, show it, press Teach: then the answers are here.";
  if (state.source === "none") return "Turn on a camera or choose a picture, and the answer is here.";
  return "Looking …";
}

/** The bars of an answer: the labels in a steady order while they are few, else the likeliest, and none of these. */
export function barsOf(answer) {
  const order = new Map(taught().map((row, place) => [row.label, place]));
  const likeliest = [...answer.labels].sort((a, b) => b.probability - a.probability).slice(0, MOST_BARS);
  const isFew = taught().length <= MOST_BARS;
  if (isFew) likeliest.sort((a, b) => (order.get(a.label) ?? 99) - (order.get(b.label) ?? 99));
  const bars = likeliest.map(({ label, probability }) => ({ label, share: probability, leads: label === answer.best }));
  if (answer.known === null) return bars;
  return [...bars, { label: NONE, share: 1 - answer.known, leads: answer.best === null, isNone: true }];
}

function makeBar(bar) {
  return el("li.bar", {}, el("span.name", { text: bar.label }), el("span.share"),
    el("div.track", { "aria-hidden": "true" }, el("div.fill")));
}

function updateBar(part, bar) {
  part.classList.toggle("leads", bar.leads);
  say(part.querySelector(".share"), percent(bar.share));
  part.querySelector(".fill").style.transform = `translateX(${(100 * bar.share - 100).toFixed(1)}%)`;
}

/** Reads the best label out where it is another one, at most every two seconds. */
function sayAloud(words) {
  const now = performance.now();
  if (now - saidAt < SAID_MS || byId("said").textContent === words) return;
  saidAt = now;
  say(byId("said"), words);
}

function drawChips(best) {
  const likely = new Map((last?.answer.labels ?? []).map(({ label, probability }) => [keyOf(label), probability]));
  const others = cardLabels().filter((label) => best === null || keyOf(label) !== keyOf(best));
  others.sort((a, b) => (likely.get(keyOf(b)) ?? 0) - (likely.get(keyOf(a)) ?? 0));
  const shownLabels = others.slice(0, MOST_CHIPS);
  if (taught().length <= MOST_CHIPS) shownLabels.sort((a, b) => cardLabels().indexOf(a) - cardLabels().indexOf(b));
  keyed(byId("chips"), [...shownLabels, null], (label) => (label === null ? "another" : `label ${label}`), (label) => {
    if (label !== null) return el("button.chip", { text: label, on: { click: () => correct(label, last) } });
    return el("button.chip", { text: "Something else …", on: { click: correctByName } });
  });
}

function draw() {
  const isShown = Boolean(last) && taught().length > 0 && state.source !== "none";
  const best = byId("best");
  best.classList.toggle("idle", !isShown);
  best.classList.toggle("none", isShown && last.answer.best === null);
  byId("after-answer").hidden = !isShown;
  byId("bars").hidden = !isShown;
  say(byId("answer-eyebrow"), isShown ? "It looks like" : "Answer");
  if (!isShown) {
    say(best, idleWords());
    return;
  }
  const words = last.answer.best ?? NONE;
  say(best, words);
  sayAloud(words);
  keyed(byId("bars"), barsOf(last.answer), (bar) => (bar.isNone ? "none" : `label ${bar.label}`), makeBar, updateBar);
  drawChips(last.answer.best);
}

const hidden = () => document.hidden || !state.online || Boolean(state.recording);

async function ask(blob, canvas) {
  const source = state.source;
  const answer = await api.ask(blob, { top: MOST_BARS });
  const isAnother = source === "picture" && byId("still").asked !== blob;
  if (state.source !== source || isAnother) return;
  last = { answer, blob };
  if (canvas && (answer.best === null || answer.labels[0].probability < UNSURE)) noticed(blob, greys(canvas), answer);
  draw();
}

const NOTHING_TAUGHT = 409; // a picture that was on its way while the last label was taken back

/** Says in the answer's place why there is none; that the board is away is said above all. */
function trouble(error) {
  if (error instanceof api.Away || error.status === NOTHING_TAUGHT) return;
  last = null;
  draw();
  for (const id of ["best", "said"]) say(byId(id), error.message);
}

/** Asks the newest picture of this device's camera, one at a time, and rests for as long as the answer took. */
async function turn() {
  const began = performance.now();
  try {
    const canvas = state.source === "own" && taught().length && !hidden() ? frame() : null;
    if (canvas) await ask(await frameAsJpeg(), canvas);
  } catch (error) {
    trouble(error);
  }
  setTimeout(turn, Math.max(LEAST_MS, performance.now() - began));
}

async function askStill() {
  const still = byId("still");
  if (state.source !== "picture" || still.hidden || !taught().length || !state.online) return;
  await attempt(() => ask(still.asked, null));
}

const KEPT_NO_MORE = 404;

/** Files the frame of the board's camera that was answered; the board keeps it for seconds only, `frame` is a copy. */
async function fileFrame({ id, frame: copy }, label) {
  try {
    return await api.file([id], label);
  } catch (error) {
    const blob = error.status === KEPT_NO_MORE ? await copy : null;
    if (!blob) throw error;
    return api.show(label, [{ blob, name: "corrected.jpg" }]);
  }
}

/** Keeps the picture of an answer that was wrong under its right label. */
async function correct(label, wrong) {
  if (!wrong) return;
  const kept = await attempt(() => (wrong.id
    ? fileFrame(wrong, label)
    : api.show(label, [{ blob: wrong.blob, name: "corrected.jpg" }])));
  if (!kept) return;
  if (kept.set_aside?.length) {
    tell(`It was not kept: ${kept.set_aside[0].reason}.`);
    return;
  }
  tell(`Kept as a picture of ${label}. Press Teach to make it count.`);
}

/** The camera goes on while the name is written: what was wrong is the answer at the touch. */
async function correctByName() {
  const wrong = last?.id ? { ...last, frame: boardFrame(last.id) } : last;
  const name = await chooseLabel("What is it?");
  if (name !== null) correct(addDraft(name), wrong);
}

/** The frame of the board's camera that was answered, or null where the board keeps it no longer. */
async function boardFrame(id) {
  const found = await fetch(`${api.thumbnail(id)}?full=1`).catch(() => null);
  return found?.ok ? found.blob() : null;
}

async function why() {
  if (!last) return;
  const blob = last.blob ?? (await boardFrame(last.id)) ?? (await frameAsJpeg());
  if (blob) await openWhy(blob);
}

export function start() {
  byId("why").addEventListener("click", why);
  on("source", () => {
    last = null;
    draw();
    askStill();
  });
  on("labels", () => {
    draw();
    askStill();
  });
  on("held drafts", draw);
  on("boardAnswer", (answer) => {
    if (state.source !== "board" || !shown()) return;
    last = { answer, id: answer.id };
    draw();
  });
  draw();
  turn();
}
