// Hold to record: while a button is held, pictures that differ go to the board, a few a second.

import * as api from "./api.js";
import { frame, hasBoardCamera } from "./finder.js";
import { differs, greys, jpegOf } from "./frames.js";
import { sorry } from "./notices.js";
import { set, state } from "./store.js";

export const EVERY_MS = 200;
export const MOST_A_HOLD = 50;
const MOST_A_REQUEST = 10;
const BOARD_SECONDS = 60; // the longest hold that the board takes

const endsOfHeld = new Set(); // of the buttons that are held now

document.addEventListener("visibilitychange", () => {
  if (document.hidden) for (const end of endsOfHeld) end();
});

/** Calls start and stop as a button is held: by mouse, touch, space or enter; a plain click of a screen reader turns
 * it on and the next one off. */
export function holdable(button, start, stop) {
  let isByHand = false;
  const end = () => {
    if (!endsOfHeld.delete(end)) return;
    stop();
  };
  const begin = () => {
    if (endsOfHeld.has(end)) return;
    endsOfHeld.add(end);
    start();
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    isByHand = true;
    if (event.isTrusted) button.setPointerCapture(event.pointerId);
    begin();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, end);
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) begin();
  });
  button.addEventListener("keyup", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    end();
  });
  button.addEventListener("click", () => {
    if (!isByHand) (endsOfHeld.has(end) ? end : begin)();
    isByHand = false;
  });
  button.addEventListener("blur", end);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

/** One hold with this device's camera: pictures wait here while a request is on its way, so that none pile up. */
class OwnHold {
  constructor(label, told) {
    this.label = label;
    this.told = told;
    this.waiting = [];
    this.taken = 0;
    this.last = null;
    this.setAside = [];
    this.kept = 0;
    this.sending = Promise.resolve();
    this.isSending = false;
    this.timer = setInterval(() => this.look(), EVERY_MS);
    this.look();
  }

  async look() {
    const canvas = this.taken < MOST_A_HOLD ? frame() : null;
    if (!canvas) return;
    const grey = greys(canvas);
    if (!differs(this.last, grey)) return;
    this.last = grey;
    this.taken += 1;
    const name = `frame ${this.taken}.jpg`;
    this.told(this.taken);
    this.waiting.push(jpegOf(canvas).then((blob) => ({ blob, name })));
    this.send();
  }

  send() {
    if (!this.isSending) this.sending = this.sendAll();
    return this.sending;
  }

  async sendAll() {
    this.isSending = true;
    try {
      while (this.waiting.length) {
        const batch = await Promise.all(this.waiting.splice(0, MOST_A_REQUEST));
        const answer = await api.show(this.label, batch);
        this.kept += answer.pictures.length;
        this.setAside.push(...answer.set_aside);
      }
    } catch (error) {
      this.waiting = [];
      clearInterval(this.timer);
      sorry(error.message);
    }
    this.isSending = false;
  }

  async end() {
    clearInterval(this.timer);
    await this.send();
    return { kept: this.kept, setAside: this.setAside };
  }
}

/** One hold with the board's own camera: the board takes the pictures. */
class BoardHold {
  constructor(label) {
    this.begun = api.record(label, BOARD_SECONDS);
    this.begun.catch((error) => sorry(error.message));
  }

  async end() {
    await this.begun;
    const answer = await api.stopRecording();
    return { kept: answer.pictures.length, setAside: answer.set_aside ?? [] };
  }
}

let hold = null;

/** Begins a hold for a label where there is a camera that is on; whether it did. */
export function begin(label) {
  if (hold) return false;
  set("recording", { label, count: 0 });
  const told = (count) => set("recording", { label, count });
  hold = state.source === "board" && hasBoardCamera() ? new BoardHold(label) : new OwnHold(label, told);
  return true;
}

/** Ends the hold; {kept, setAside}, or null where none was or the board refused. */
export async function end() {
  const ended = hold;
  if (!ended) return null;
  hold = null;
  set("recording", null);
  try {
    return await ended.end();
  } catch (error) {
    if (!(ended instanceof BoardHold)) sorry(error.message);
    return null;
  }
}
