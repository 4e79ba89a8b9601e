// What the board tells by itself: one stream of events, opened again for as long as it takes.

import * as api from "./api.js";
import { set, setAskedLesson, state } from "./store.js";

const AGAIN_MS = 1500;
let stream = null;
let isTrying = false;
const waitsToFetch = new Set();

/** Fetches a part of the state once, however many events ask for it meanwhile. */
export async function fetchInto(name, fetcher, pick) {
  if (waitsToFetch.has(name)) return;
  waitsToFetch.add(name);
  await Promise.resolve();
  waitsToFetch.delete(name);
  try {
    set(name, pick(await fetcher()));
    if (state.trouble) set("trouble", null);
  } catch (error) {
    if (!(error instanceof api.Away)) set("trouble", error.message);
  }
}

export const fetchLabels = () => fetchInto("labels", api.labels, (answer) => answer.labels);
export const fetchHeld = () => fetchInto("held", api.held, (answer) => answer.pictures);
export const fetchReview = () => fetchInto("review", api.review, (answer) => answer.pictures);

function greeted(health) {
  set("health", health);
  set("online", true);
  set("hello", health);
  set("camera", health.camera ?? null);
  if (health.lesson) set("lesson", health.lesson);
  else if (state.lesson) followUp(state.lesson.lesson);
  fetchLabels();
  fetchHeld();
  fetchReview();
}

async function followUp(number) {
  try {
    setAskedLesson(await api.lesson(number));
  } catch (error) {
    if (error instanceof api.Refused) set("lesson", null); // a board that was started anew knows nothing of it
  }
}

function listen() {
  stream?.close();
  stream = new EventSource("/api/events");
  const heard = (event, listener) => stream.addEventListener(event, ({ data }) => listener(JSON.parse(data)));
  heard("hello", greeted);
  heard("lesson", (lesson) => set("lesson", lesson));
  heard("labels", fetchLabels);
  heard("pictures", fetchHeld);
  heard("review", fetchReview);
  heard("answer", (answer) => set("boardAnswer", answer));
  heard("camera", (camera) => set("camera", camera));
  stream.addEventListener("error", lost);
}

const pause = () => new Promise((resolve) => setTimeout(resolve, AGAIN_MS));

/** Asks for the board's health until it answers, then listens again; never at once: it may have no room to listen. */
async function lost() {
  stream?.close();
  if (isTrying) return;
  isTrying = true;
  for (;;) {
    try {
      await api.health();
      break;
    } catch (error) {
      if (error instanceof api.Refused) set("trouble", error.message);
      await pause();
    }
  }
  await pause();
  isTrying = false;
  listen();
}

export function start() {
  window.addEventListener("pagehide", () => stream?.close());
  window.addEventListener("pageshow", (event) => event.persisted && listen());
  listen();
}
