// Starts the page: every part listens to the state, then the board is listened to.

import * as answers from "./answers.js";
import * as cards from "./cards.js";
import { byId, say } from "./dom.js";
import * as events from "./events.js";
import * as finder from "./finder.js";
import * as history from "./history.js";
import * as lesson from "./lesson.js";
import * as notices from "./notices.js";
import * as review from "./review.js";
import { isRunning, on, state } from "./store.js";
import { pictures as counted } from "./words.js";

function drawTeach() {
  const waiting = state.held.filter((picture) => picture.state !== "teaching");
  const labels = new Set(waiting.map(({ label }) => label)).size;
  byId("teach-bar").hidden = !waiting.length;
  byId("teach").disabled = isRunning() || !state.online || Boolean(state.recording);
  const of = labels === 1 ? "1 label" : `${labels} labels`;
  say(byId("teach-note"), isRunning() ? "A lesson runs; these come next." : `${counted(waiting.length)} of ${of} to teach.`);
}

function drawStands() {
  const taught = state.labels.filter((row) => row.images > 0).length;
  const knows = taught === 1 ? "1 label" : `${taught} labels`;
  if (!state.health) say(byId("stands"), "Looking for the board …");
  else if (!state.online) say(byId("stands"), "The board does not answer");
  else if (isRunning()) say(byId("stands"), "Learning; it answers meanwhile");
  else say(byId("stands"), taught === 0 ? "Ready; nothing learned yet" : `Ready; knows ${knows}`);
}

for (const part of [notices, finder, cards, answers, lesson, history, review]) part.start();
byId("teach").addEventListener("click", () => lesson.teach());
on("held lesson online recording", drawTeach);
on("health labels online lesson", drawStands);
drawTeach();
drawStands();
events.start();
