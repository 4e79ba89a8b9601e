// Cards: one a label, with its count and verdict in words, and every way to show it pictures.

import * as api from "./api.js";
import { byId, el, keyed, say } from "./dom.js";
import { openDialog } from "./dialogs.js";
import { fetchHeld } from "./events.js";
import { canUseOwnCamera, choose, hasBoardCamera, shown } from "./finder.js";
import { prepared } from "./frames.js";
import { forget, rename } from "./history.js";
import { makeMenu } from "./menu.js";
import { attempt, sorry } from "./notices.js";
import * as record from "./record.js";
import { addDraft, cardLabels, dropDraft, heldOf, keyOf, on, set, state } from "./store.js";
import { makeTiles } from "./tiles.js";
import * as words from "./words.js";

const STRIP = 6;
const MOST_A_REQUEST = 8;
const notes = new Map(); // key of a label -> {text, isBad, hadPictures} under its pictures

function note(label, text, isBad = false) {
  notes.set(keyOf(label), { text, isBad });
  draw();
}

function noteAside(label, kept, aside) {
  const parts = kept ? [`${words.pictures(kept)} kept`] : [];
  if (aside.length) parts.push(`set aside: ${words.reasons(aside).join("; ")}`);
  if (!kept && !aside.length) parts.push("nothing new was seen: move it, or turn it, while you hold");
  note(label, parts.join("; "), !kept);
}

/** Sends chosen files, a few at a time, each scaled down before. */
export async function addFiles(label, files) {
  const waiting = [...files].filter((file) => file.type.startsWith("image/") || file.type === "");
  if (!waiting.length) {
    note(label, "These are no pictures: choose JPEG, PNG, WebP or HEIC.", true);
    return;
  }
  let kept = 0;
  const aside = [];
  const total = waiting.length;
  while (waiting.length) {
    note(label, `Sending ${total - waiting.length + 1} of ${total} …`);
    const batch = await Promise.all(waiting.splice(0, MOST_A_REQUEST).map(prepared));
    try {
      const answer = await api.show(label, batch);
      kept += answer.pictures.length;
      aside.push(...answer.set_aside);
    } catch (error) {
      note(label, error.message, true);
      return;
    }
  }
  noteAside(label, kept, aside);
}

async function beginHold(label) {
  if (!shown() || state.source === "picture") {
    const isOn = await choose(hasBoardCamera() ? "board" : "own");
    if (isOn) note(label, "The camera is on. Now hold the button while it looks at it.");
    return;
  }
  record.begin(label);
}

async function endHold(label) {
  const ended = await record.end();
  if (!ended) return;
  noteAside(label, ended.kept, ended.setAside);
  fetchHeld();
}

function fileButton(kind, text, label, extra) {
  const input = el("input", { type: "file", accept: "image/*", ...extra, on: { change: async () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) await addFiles(label(), files);
  } } });
  input.setAttribute("aria-label", `${text} to ${label()}`);
  return el(`label.button.file${kind}`, {}, el("span", { text }), input);
}

function acceptDrops(card, label) {
  card.addEventListener("dragover", (event) => {
    event.preventDefault();
    card.classList.add("over");
  });
  card.addEventListener("dragleave", (event) => card.contains(event.relatedTarget) || card.classList.remove("over"));
  card.addEventListener("drop", (event) => {
    event.preventDefault();
    card.classList.remove("over");
    addFiles(label, event.dataTransfer.files);
  });
}

function openHeld(label) {
  const tiles = makeTiles({
    captionOf: ({ name }) => name,
    sourceOf: ({ id }) => api.thumbnail(id),
    title: (number) => (number === 1 ? "What is it?" : `What are these ${number}?`),
    without: label,
    label: (ids, name) => attempt(() => api.move(ids, addDraft(name))).then(fetchHeld),
    drop: (ids) => attempt(() => api.drop(ids)).then(fetchHeld),
  });
  const dialog = openDialog(`Pictures that wait for ${label}`, tiles.whole);
  const refresh = () => (dialog.isConnected && heldOf(label).length ? tiles.draw(heldOf(label)) : dialog.close());
  dialog.addEventListener("close", on("held", refresh));
  refresh();
}

async function removeCard(label) {
  const isTaught = state.labels.some((row) => row.images > 0 && keyOf(row.label) === keyOf(label));
  notes.delete(keyOf(label));
  if (isTaught || heldOf(label).length) await forget(label);
  dropDraft(label);
}

async function renameCard(label, name) {
  if (name === label) return;
  const isKnown = state.labels.some((row) => keyOf(row.label) === keyOf(label)) || heldOf(label).length > 0;
  if (isKnown && !(await rename(label, name))) return;
  dropDraft(label);
  if (!isKnown) addDraft(name);
}

function heldPart(label) {
  const count = el("span");
  const look = el("button.quiet", { text: "Look through", "aria-label": `Look through the pictures that wait for ${label}`,
    on: { click: () => openHeld(label) } });
  const strip = el("ul.strip", { "aria-hidden": "true" });
  return el("div.held", {}, el("div.held-head", {}, count, look), strip);
}

function holdButton(label) {
  const button = el("button.hold", { "aria-label": `Hold to record ${label}` },
    el("span.dot", { "aria-hidden": "true" }), el("span.hold-text", { text: "Hold to record" }));
  record.holdable(button, () => beginHold(label), () => endHold(label));
  return button;
}

function makeCard(label) {
  const menu = makeMenu(label, { rename: (name) => renameCard(label, name), remove: () => removeCard(label) });
  const card = el("li.card", { "data-label": label },
    el("header", {}, el("div.titles", {}, el("h3", { text: label }), el("p.verdict")), menu.button),
    el("div.tenths", { "aria-hidden": "true" }),
    menu.form,
    el("div.ways", {}, holdButton(label),
      fileButton(".phone", "Take a picture", () => label, { capture: "environment" }),
      fileButton("", "Add pictures", () => label, { multiple: true })),
    heldPart(label), // below the buttons, which do not move while they are held
    el("p.note", { role: "status" }));
  acceptDrops(card, label);
  return card;
}

function drawHold(card, label) {
  const isOn = state.recording !== null && keyOf(state.recording.label) === keyOf(label);
  const button = card.querySelector(".hold");
  button.hidden = !canUseOwnCamera() && !hasBoardCamera();
  card.classList.toggle("recording", isOn);
  button.classList.toggle("on", isOn);
  const count = isOn && state.recording.count ? ` ${state.recording.count}` : "";
  say(card.querySelector(".hold-text"), isOn ? `Recording${count}` : "Hold to record");
}

/** What the card says of its pictures; it goes with them when they are taught or dropped. */
function noteOf(label, count) {
  const said = notes.get(keyOf(label));
  if (said?.hadPictures && !count) notes.delete(keyOf(label));
  else if (said && count) said.hadPictures = true;
  return notes.get(keyOf(label));
}

/** Of ten new pictures, how many are expected to be recognised; the verdict says the same in words. */
function drawTenths(tenths, expected) {
  tenths.hidden = expected === null;
  const full = Math.round((expected ?? 0) / 10);
  if (tenths.dataset.full === String(full)) return;
  tenths.dataset.full = full;
  tenths.replaceChildren(...Array.from({ length: 10 }, (_, place) => el(place < full ? "i.full" : "i")));
}

function updateCard(card, label) {
  const row = state.labels.find((one) => keyOf(one.label) === keyOf(label));
  const held = heldOf(label);
  const advice = row?.advice ? `; ${row.advice}` : "";
  say(card.querySelector(".verdict"), row ? `${row.verdict}${advice}` : "not taught yet; show it from all sides");
  drawTenths(card.querySelector(".tenths"), row?.expected ?? null);
  card.querySelector(".held").hidden = !held.length;
  say(card.querySelector(".held-head span"), `${words.pictures(held.length)} wait${held.length === 1 ? "s" : ""}`);
  const newest = held.slice(-STRIP).reverse();
  keyed(card.querySelector(".strip"), newest, ({ id }) => id, ({ id }) =>
    el("li", {}, el("img", { src: api.thumbnail(id), alt: "", width: 48, height: 48 })));
  const said = noteOf(label, held.length);
  say(card.querySelector(".note"), said?.text ?? "");
  card.querySelector(".note").hidden = !said;
  card.querySelector(".note").classList.toggle("bad", Boolean(said?.isBad));
  drawHold(card, label);
}

export function draw() {
  const labels = cardLabels();
  keyed(byId("cards"), labels, keyOf, makeCard, updateCard);
  byId("first").hidden = labels.length > 0;
}

function addCard(event) {
  event.preventDefault();
  const input = byId("new-name");
  const name = input.value.trim();
  if (!name) return;
  const label = addDraft(name);
  input.value = "";
  const card = byId("cards").partsByKey.get(keyOf(label));
  card.scrollIntoView({ block: "nearest" });
  card.querySelector(".hold:not([hidden]), .file:not(.phone) input").focus();
}

export function start() {
  byId("new-label").addEventListener("submit", addCard);
  on("labels held drafts camera recording", draw);
  on("labels", () => set("drafts", state.drafts.filter((draft) => !state.labels.some((row) => keyOf(row.label) === keyOf(draft)))));
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.target === document.body) sorry("Drop pictures onto a label's card to teach them, or onto the finder to ask.");
  });
  draw();
}
