// Dialogs: one that shows something, and one that asks for a label.

import { el } from "./dom.js";
import { cardLabels, keyOf } from "./store.js";

const FEW = 8;

/** Opens a dialog with a title and parts; it goes from the page when it closes. */
export function openDialog(title, ...parts) {
  const opener = document.activeElement;
  const dialog = el("dialog", { "aria-label": title });
  const close = el("button.quiet.close", { text: "×", "aria-label": "Close", on: { click: () => dialog.close() } });
  dialog.append(el("div.inside", {}, el("header", {}, el("h2", { text: title }), close), ...parts));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks which label; resolves to a name, known or new, or to null where the person leaves. */
export function chooseLabel(title, { without = "" } = {}) {
  return new Promise((resolve) => {
    let chosen = null;
    const labels = cardLabels().filter((label) => keyOf(label) !== keyOf(without));
    const input = el("input", { id: "choose-name", maxlength: 100, placeholder: "my mug", autocomplete: "off" });
    const list = el("div.choices", { role: "group", "aria-label": "Labels" });
    const take = (name) => { chosen = name; dialog.close(); };
    const draw = () => {
      const wanted = keyOf(input.value);
      const found = labels.filter((label) => keyOf(label).includes(wanted));
      list.replaceChildren(...found.map((label) => el("button", { text: label, on: { click: () => take(label) } })));
    };
    const form = el("form.row", { on: { submit: (event) => {
      event.preventDefault();
      if (input.value.trim()) take(input.value.trim());
    } } }, input, el("button.button.primary", { text: "Take this name", type: "submit" }));
    input.addEventListener("input", draw);
    const about = labels.length > FEW ? "Find a label, or name a new one" : "Or name a new one";
    const dialog = openDialog(title, list, el("label.soft", { text: about, for: "choose-name" }), form);
    dialog.addEventListener("close", () => resolve(chosen));
    draw();
  });
}
