// Why an answer is given: the labels that are nearest, and the part of the picture that speaks for it.

import * as api from "./api.js";
import { el } from "./dom.js";
import { openDialog } from "./dialogs.js";
import { drawn } from "./frames.js";
import { attempt } from "./notices.js";
import { percent } from "./words.js";

const DARKEST = 0.78;
const ROWS = ["upper", "middle", "lower"];
const COLUMNS = ["left", "centre", "right"];

/** Where the grid is strongest, in words, or null where no part alone matters. grid: rows of 0 to 1 from the top. */
export function whereInWords(grid) {
  let best = { value: 0, row: 0, column: 0 };
  grid.forEach((line, row) => line.forEach((value, column) => {
    if (value > best.value) best = { value, row, column };
  }));
  if (best.value <= 0) return null;
  const third = (place, of) => Math.min(2, Math.floor((3 * (place + 0.5)) / of));
  const row = ROWS[third(best.row, grid.length)];
  const column = COLUMNS[third(best.column, grid[0].length)];
  if (row === "middle" && column === "centre") return "the middle";
  return `the ${row} ${column}`;
}

/** Darkens what does not speak for the answer. */
export function shade(canvas, grid) {
  const mask = document.createElement("canvas");
  mask.height = grid.length;
  mask.width = grid[0].length;
  const context = mask.getContext("2d");
  const pixels = context.createImageData(mask.width, mask.height);
  grid.flat().forEach((value, place) => {
    pixels.data[4 * place + 3] = Math.round(255 * DARKEST * (1 - Math.min(1, Math.max(0, value))));
  });
  context.putImageData(pixels, 0, 0);
  const over = canvas.getContext("2d");
  over.imageSmoothingQuality = "high";
  over.drawImage(mask, 0, 0, canvas.width, canvas.height);
}

function nearestRow({ label, share }) {
  const fill = el("div.fill");
  fill.style.transform = `translateX(${(100 * share - 100).toFixed(1)}%)`;
  return el("li.bar", {}, el("span.name", { text: label }), el("span.share", { text: percent(share) }),
    el("div.track", { "aria-hidden": "true" }, fill));
}

/** Opens the dialog for one picture. */
export async function openWhy(blob) {
  const [answer, bitmap] = (await attempt(() => Promise.all([api.why(blob, { top: 6 }), createImageBitmap(blob)]))) ?? [];
  if (!answer) return;
  const { label, nearest, grid } = answer.why;
  const canvas = drawn(bitmap);
  bitmap.close();
  const place = whereInWords(grid);
  if (place) shade(canvas, grid);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", place ? `The picture; bright is what speaks for ${label}` : "The picture");
  const leads = answer.best === null ? `It is none of what was taught; nearest is ${label}.` : `It looks like ${label}.`;
  const spoken = place
    ? `What speaks for it most is in ${place} of the picture: there it stays bright.`
    : "No part alone decides it; the whole picture does.";
  openDialog("Why this?", el("div.why-picture", {}, canvas), el("p", { text: `${leads} ${spoken}` }),
    el("div", {}, el("h3", { text: "Nearest labels" }), el("ul.bars", {}, ...nearest.map(nearestRow))));
}
