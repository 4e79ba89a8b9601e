// What the page says in passing: a toast that may offer one button, and the banner of what stands in the way.

import { byId, el, say } from "./dom.js";
import { on, state } from "./store.js";

const SHOWN_MS = 8000;
const MOST = 3;

/** One sentence at the bottom. action: {text, run} for one button. */
export function tell(sentence, action = null, kind = "") {
  const toast = el(kind ? `div.toast.${kind}` : "div.toast", {}, el("span", { text: sentence }));
  const leave = () => toast.remove();
  if (action) toast.append(el("button", { text: action.text, on: { click: () => { leave(); action.run(); } } }));
  byId("toasts").append(toast);
  while (byId("toasts").children.length > MOST) byId("toasts").firstElementChild.remove();
  setTimeout(leave, SHOWN_MS);
}

export function sorry(sentence) {
  tell(sentence, null, "bad");
}

/** Runs what asks the board, and says its sentence where it answers no; the answer, or null. */
export async function attempt(run) {
  try {
    return await run();
  } catch (error) {
    sorry(error.message);
    return null;
  }
}

export function start() {
  const banner = byId("banner");
  on("online", () => {
    banner.hidden = state.online;
    say(banner, state.online ? "" : "The board does not answer. This page tries again by itself; what you recorded so far is held there.");
  });
  on("trouble", (sentence) => {
    banner.hidden = !sentence;
    say(banner, sentence ?? "");
  });
}
