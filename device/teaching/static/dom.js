// Elements: made with text that is always text, never markup, and lists that keep the elements of what stays.

const PROPERTIES = new Set(["text", "on"]);

/** An element "tag.class.class" with attributes, `text`, `on: {event: listener}` and children; null children are left out. */
export function el(kind, options = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  if (tag === "button") made.type = "button";
  for (const [name, value] of Object.entries(options)) {
    if (PROPERTIES.has(name) || value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  if (options.text !== undefined) made.textContent = options.text;
  for (const [event, listener] of Object.entries(options.on ?? {})) made.addEventListener(event, listener);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Sets the text only where it changes, so that a live region is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes the children of `parent` those of `items`, in order: the element of a key stays the same, with its focus. */
export function keyed(parent, items, keyOf, make, update = () => {}) {
  const before = parent.partsByKey ?? new Map();
  const now = new Map();
  for (const item of items) {
    const key = String(keyOf(item));
    if (now.has(key)) continue;
    const part = before.get(key) ?? make(item);
    update(part, item);
    now.set(key, part);
  }
  for (const [key, part] of before) if (!now.has(key)) part.remove();
  let place = 0;
  for (const part of now.values()) {
    if (parent.children[place] !== part) parent.insertBefore(part, parent.children[place] ?? null);
    place += 1;
  }
  parent.partsByKey = now;
}
