// Undo, redo and the history: what was learned when, and the way back.

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { openDialog } from "./dialogs.js";
import { fetchHeld, fetchLabels } from "./events.js";
import { attempt, tell } from "./notices.js";
import { isRunning, on, set, state } from "./store.js";
import { listed, pictures as counted, sentence, undone, when } from "./words.js";

const MOST_NAMED = 4;
let isChanging = false;
let mayRedo = false; // what this page took back; the history offers it always

function refresh() {
  fetchLabels();
  fetchHeld();
}

/** One change at a time: it may wait a minute for another program, and a second press would be a second change. */
async function changed(run) {
  if (isChanging) {
    tell("The board is at the change before still; it may wait a minute for another program.");
    return null;
  }
  isChanging = true;
  draw();
  const answer = await attempt(run);
  isChanging = false;
  draw();
  if (answer) {
    set("health", { ...state.health, generation: answer.generation });
    refresh();
  }
  return answer;
}

/** Goes back one step, {to}: to that generation, {generation}: just where that one is the newest still. */
export async function undo(which = {}) {
  const answer = await changed(() => api.undo(which));
  if (!answer) return;
  mayRedo = true;
  const returned = answer.returned ? ` ${counted(answer.returned)} wait on the cards again.` : "";
  tell(`${undone(answer.words ?? "")}${returned}`, { text: "Redo", run: redo });
  draw();
}

/** The button that takes back this change, and no other that came after it. */
const back = ({ generation }) => ({ text: "Undo", run: () => undo({ generation }) });

export async function redo() {
  const answer = await changed(() => api.redo());
  if (!answer) mayRedo = isChanging && mayRedo;
  else tell(answer.words ? sentence(answer.words) : "Done again.", back(answer));
  draw();
}

export async function forget(label) {
  const answer = await changed(() => api.forget(label));
  if (!answer) return;
  const isTaught = answer.forgotten && !answer.dropped;
  tell(`${label} is forgotten.`, isTaught ? back(answer) : null);
}

export const rename = (before, after) => changed(() => api.rename(before, after));

const OPERATIONS = { learn: "Taught", forget: "Forgot a label", rename: "Renamed a label", pull: "Took a round of the fleet" };

function what(row) {
  const said = OPERATIONS[row.operation] ?? row.operation;
  const names = (row.report?.labels ?? []).map(({ label }) => label);
  if (row.operation !== "learn" || !names.length) return said;
  const more = names.length > MOST_NAMED ? [`${names.length - MOST_NAMED} more`] : [];
  return `${said} ${listed([...names.slice(0, MOST_NAMED), ...more])}`;
}

function makeRow(row, dialog) {
  const words = el("div", {}, el("div", { text: what(row) }),
    el("div.small", { text: `${when(row.created)}; ${row.labels.length === 1 ? "1 label" : `${row.labels.length} labels`} known` }));
  const back = async () => {
    dialog().close();
    await undo({ to: row.generation });
  };
  const end = row.current
    ? el("span.now", { text: "now" })
    : el("button.button", { text: "Go back to this", on: { click: back } });
  return el("li", {}, words, end);
}

async function openHistory() {
  const answer = await attempt(api.history);
  if (!answer) return;
  const rows = [...answer.generations].reverse();
  let dialog = null;
  const list = rows.length
    ? el("ul.times", {}, ...rows.map((row) => makeRow(row, () => dialog)))
    : el("p.soft", { text: "Nothing was learned yet. The first lesson will be here, and the way back from it." });
  const again = el("button.quiet", { text: "Redo what was taken back last", on: { click: () => { dialog.close(); redo(); } } });
  dialog = openDialog("History", list, again);
}

function draw() {
  const isBusy = !state.online || isRunning() || isChanging;
  byId("undo").disabled = isBusy || !state.labels.some((row) => row.images > 0) && !state.health?.generation;
  byId("redo").disabled = isBusy || !mayRedo;
}

export function start() {
  byId("undo").addEventListener("click", () => undo());
  byId("redo").addEventListener("click", redo);
  byId("history").addEventListener("click", openHistory);
  on("health labels online", draw);
  on("lesson", () => {
    if (isRunning()) mayRedo = false;
    draw();
  });
}
