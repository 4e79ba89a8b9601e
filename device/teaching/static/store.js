// What the page knows now, and who wants to hear when a part of it changes.

export const state = {
  online: true,
  health: null, // GET /api/health
  hello: null, // the same, as the board said it when the page began to listen, the last time
  labels: [], // taught: {label, images, expected, verdict, waiting}
  drafts: [], // names of cards that were made here and have no picture yet
  held: [], // pictures that wait for a lesson: {id, label, name, width, height}
  review: [], // uncertain frames: {id, answer, known, taken}
  lesson: null, // GET /api/lessons/N
  camera: null, // GET /api/camera
  source: "none", // "own", "board", "picture" or "none"
  recording: null, // {label, count} while a hold goes on
  trouble: null, // a sentence of the board's that stands in the way of all
};
const RUNNING = new Set(["waiting", "looking", "judging", "training text"]);
const listeners = new Map();

export const isRunning = () => RUNNING.has(state.lesson?.state);

/** Calls the listener at every change of these parts, until what this returns is called. */
export function on(names, listener) {
  const all = names.split(" ");
  for (const name of all) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
  return () => {
    for (const name of all) listeners.set(name, listeners.get(name).filter((one) => one !== listener));
  };
}

export function set(name, value) {
  state[name] = value;
  for (const listener of listeners.get(name) ?? []) listener(value);
}

/** A lesson that was asked for: it may be older than what the board told meanwhile, and a lesson that is over stays so. */
export function setAskedLesson(lesson) {
  const isOver = state.lesson?.lesson === lesson.lesson && !isRunning();
  if (!isOver) set("lesson", lesson);
}

/** Two names with the same key are one label here; the board itself is stricter and has the last word. */
export function keyOf(name) {
  return name.normalize("NFKC").trim().replace(/\s+/gu, " ").toLowerCase();
}

/** Every label that has a card: taught ones in the board's order, then those that only have pictures, then drafts. */
export function cardLabels() {
  const found = new Map();
  for (const row of state.labels) found.set(keyOf(row.label), row.label);
  for (const { label } of state.held) if (!found.has(keyOf(label))) found.set(keyOf(label), label);
  for (const label of state.drafts) if (!found.has(keyOf(label))) found.set(keyOf(label), label);
  return [...found.values()];
}

export function heldOf(label) {
  const key = keyOf(label);
  return state.held.filter((picture) => keyOf(picture.label) === key);
}

export function addDraft(name) {
  const clean = name.trim().replace(/\s+/gu, " ");
  const known = cardLabels().find((label) => keyOf(label) === keyOf(clean));
  if (known !== undefined) return known;
  set("drafts", [...state.drafts, clean]);
  return clean;
}

export function dropDraft(name) {
  set("drafts", state.drafts.filter((draft) => keyOf(draft) !== keyOf(name)));
}
