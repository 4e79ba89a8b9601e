// Pictures as tiles: many can be chosen, and one touch labels or drops them all.

import { el, keyed, say } from "./dom.js";
import { chooseLabel } from "./dialogs.js";
import { pictures as counted } from "./words.js";

/**
 * A block of tiles with its bar. captionOf: words under a picture; sourceOf: its address; label: runs with the chosen
 * ids and a label; drop: runs with the chosen ids; title: what the label is asked with. draw(pictures) shows them.
 */
export function makeTiles({ captionOf, sourceOf, label, drop, title, without = "" }) {
  const chosen = new Set();
  let shown = [];
  const count = el("span.count", { role: "status" });
  const all = el("button.quiet", { text: "Select all", on: { click: () => {
    const isAll = chosen.size === shown.length;
    for (const { id } of shown) if (isAll) chosen.delete(id); else chosen.add(id);
    refresh();
  } } });
  const move = el("button.button.primary", { text: "It is …", on: { click: async () => {
    const name = await chooseLabel(title(chosen.size), { without });
    if (name !== null && chosen.size) await label([...chosen], name);
  } } });
  const away = el("button.quiet.danger", { text: "Drop", on: { click: () => chosen.size && drop([...chosen]) } });
  const grid = el("ul.tiles");
  const whole = el("div", {}, el("div.tile-bar", {}, count, all, move, away), grid);

  const make = (picture) => {
    const box = el("input", { type: "checkbox", on: { change: () => {
      if (box.checked) chosen.add(picture.id); else chosen.delete(picture.id);
      refresh();
    } } });
    const words = captionOf(picture);
    box.setAttribute("aria-label", words);
    const image = el("img", { src: sourceOf(picture), alt: "", loading: "lazy", width: 104, height: 104 });
    return el("li.tile", {}, el("label", {}, image, box), el("span.caption", { text: words }));
  };
  const refresh = () => {
    for (const { id } of shown) grid.partsByKey.get(String(id)).querySelector("input").checked = chosen.has(id);
    say(count, chosen.size ? `${chosen.size} of ${counted(shown.length)} chosen` : counted(shown.length));
    say(all, chosen.size === shown.length ? "Select none" : "Select all");
    move.disabled = away.disabled = chosen.size === 0;
  };
  const draw = (pictures) => {
    shown = pictures;
    const now = new Set(pictures.map(({ id }) => id));
    for (const id of chosen) if (!now.has(id)) chosen.delete(id);
    keyed(grid, pictures, ({ id }) => id, make);
    refresh();
  };
  return { whole, draw };
}
