// Review: frames the model was not sure of, the board's and those of this page's camera, many labelled at once.

import * as api from "./api.js";
import { byId, say } from "./dom.js";
import { fetchReview } from "./events.js";
import { differs } from "./frames.js";
import { attempt, tell } from "./notices.js";
import { addDraft, on, set, state } from "./store.js";
import { makeTiles } from "./tiles.js";
import { pictures as counted, when } from "./words.js";

const MOST_HERE = 24;
const EVERY_MS = 1000;
let here = []; // frames of this page's camera: {id, blob, address, answer, taken}, newest first
let lastGreys = null;
let lastAt = 0;
let count = 0;

/** Keeps a frame of this page's camera for review: at most one a second, one that differs, the newest MOST_HERE. */
export function noticed(blob, greys, answer) {
  const now = performance.now();
  if (now - lastAt < EVERY_MS || !differs(lastGreys, greys)) return;
  [lastAt, lastGreys, count] = [now, greys, count + 1];
  const entry = { id: `here ${count}`, blob, address: URL.createObjectURL(blob), answer: answer.best, taken: Date.now() / 1000 };
  here = [entry, ...here];
  for (const gone of here.splice(MOST_HERE)) URL.revokeObjectURL(gone.address);
  set("review", state.review);
}

function letGo(ids) {
  for (const { id, address } of here) if (ids.includes(id)) URL.revokeObjectURL(address);
  here = here.filter(({ id }) => !ids.includes(id));
  set("review", state.review);
}

const parted = (ids) => [here.filter(({ id }) => ids.includes(id)), ids.filter((id) => !here.some((one) => one.id === id))];

async function label(ids, name) {
  const [ours, boards] = parted(ids);
  const to = addDraft(name);
  let kept = 0;
  if (ours.length) {
    const sent = ours.map(({ blob, id }) => ({ blob, name: `${id}.jpg` }));
    const answer = await attempt(() => api.show(to, sent));
    if (!answer) return;
    kept += answer.pictures.length;
    letGo(ours.map(({ id }) => id));
  }
  if (boards.length) {
    const answer = await attempt(() => api.file(boards, to));
    fetchReview();
    if (!answer && !kept) return;
    kept += answer?.pictures.length ?? 0;
  }
  tell(`${counted(kept)} kept for ${to}. Press Teach to make them count.`);
}

async function drop(ids) {
  const [ours, boards] = parted(ids);
  letGo(ours.map(({ id }) => id));
  if (boards.length) {
    await attempt(() => api.dismiss(boards));
    fetchReview();
  }
}

export function start() {
  const tiles = makeTiles({
    captionOf: ({ answer, taken }) => `${answer ? `perhaps ${answer}` : "none of these"}, ${when(1000 * taken)}`,
    sourceOf: (entry) => entry.address ?? api.thumbnail(entry.id),
    title: (number) => (number === 1 ? "What is it?" : `What are these ${number}?`),
    label,
    drop,
  });
  byId("review-tiles").append(tiles.whole);
  on("review", () => {
    const all = [...here, ...state.review].sort((a, b) => b.taken - a.taken);
    byId("review").hidden = byId("to-review").hidden = !all.length;
    say(byId("to-review"), `${all.length} it is not sure of`);
    say(byId("review-note"), "Say what they are, and it learns the most.");
    tiles.draw(all);
  });
}
