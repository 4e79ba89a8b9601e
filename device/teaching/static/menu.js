// The menu of a card: rename and forget.

import { el } from "./dom.js";

/** A button with its menu, and the form that renames. rename: runs with the new name; remove: runs at Forget. */
export function makeMenu(label, { rename, remove }) {
  const input = el("input", { value: label, maxlength: 100, "aria-label": `New name of ${label}`, required: true });
  const cancel = el("button.quiet", { text: "Cancel" });
  const form = el("form.rename", { hidden: true }, input,
    el("div", {}, el("button.button.primary", { text: "Rename", type: "submit" }), cancel));
  const toggle = el("button.quiet", { text: "⋯", "aria-label": `More for ${label}`, "aria-expanded": "false" });
  const first = el("button.quiet", { text: "Rename" });
  const last = el("button.quiet.danger", { text: "Forget" });
  const list = el("div.menu-list", { hidden: true, role: "group", "aria-label": `More for ${label}` }, first, last);
  const button = el("div.menu", {}, toggle, list);

  const open = (isOpen) => {
    list.hidden = !isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) first.focus();
  };
  const editing = (isOn) => {
    form.hidden = !isOn;
    if (isOn) input.select();
    else toggle.focus();
  };
  toggle.addEventListener("click", () => open(list.hidden));
  button.addEventListener("focusout", (event) => button.contains(event.relatedTarget) || open(false));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || list.hidden) return;
    open(false);
    toggle.focus();
  });
  first.addEventListener("click", () => { open(false); editing(true); input.focus(); });
  last.addEventListener("click", () => { open(false); remove(); });
  cancel.addEventListener("click", () => editing(false));
  form.addEventListener("keydown", (event) => event.key === "Escape" && editing(false));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    editing(false);
    rename(input.value.trim());
  });
  return { button, form };
}
