// The board over HTTP (docs/http.md): every answer is JSON, every error one sentence.

import { set, state } from "./store.js";

const LONGEST_WAIT_MS = 30000;
const LONGEST_CHANGE_MS = 75000; // a change waits a minute for another program; "why" asks the model many times

/** The board answered no; the message is its own sentence. */
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** The board did not answer at all. */
export class Away extends Error {}

async function sentenceOf(response) {
  try {
    const { error } = await response.json();
    if (typeof error === "string" && error) return error;
  } catch { /* not JSON: said below */ }
  return `The board answered ${response.status} without a reason; look at where edge-nusa teach runs.`;
}

async function fetched(path, options, longest) {
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(longest) });
    if (!state.online) set("online", true);
    return response;
  } catch {
    if (state.online) set("online", false);
    throw new Away("The board does not answer.");
  }
}

/** GET, or POST where there is a body: a Blob, a FormData, or anything else as JSON. */
export async function call(path, body, longest = LONGEST_WAIT_MS) {
  const options = { headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    const isRaw = body instanceof Blob || body instanceof FormData;
    options.body = isRaw ? body : JSON.stringify(body);
    if (!isRaw) options.headers["Content-Type"] = "application/json";
    if (body instanceof Blob) options.headers["Content-Type"] = body.type || "application/octet-stream";
  }
  const response = await fetched(path, options, longest);
  if (!response.ok) throw new Refused(await sentenceOf(response), response.status);
  return response.json();
}

const patiently = (path, body) => call(path, body, LONGEST_CHANGE_MS);
const query = (values) => new URLSearchParams(values).toString();

export const health = () => call("/api/health");
export const labels = () => call("/api/labels");
export const held = () => call("/api/pictures");
export const review = () => call("/api/review");
export const camera = () => call("/api/camera");
export const history = () => call("/api/history");
export const lesson = (number) => call(`/api/lessons/${encodeURIComponent(number)}`);
export const forget = (label) => patiently("/api/forget", { label });
export const rename = (before, after) => patiently("/api/rename", { old: before, new: after });
export const undo = (which = {}) => patiently("/api/undo", which);
export const redo = () => patiently("/api/redo", {});
export const teach = (options = {}) => call("/api/lessons", options);
export const move = (ids, label) => call("/api/pictures/move", { ids, label });
export const drop = (ids) => call("/api/pictures/drop", { ids });
export const file = (ids, label) => call("/api/review", { ids, label });
export const dismiss = (ids) => call("/api/review", { ids, drop: true });
export const record = (label, seconds) => call("/api/camera/record", { label, seconds });
export const stopRecording = () => call("/api/camera/record/stop", {});
export const ask = (picture, values) => call(`/api/predict?${query(values)}`, picture);
export const why = (picture, values) => patiently(`/api/predict?${query({ ...values, why: 1 })}`, picture);
export const thumbnail = (id) => `/api/pictures/${encodeURIComponent(id)}`;

/** Sends pictures for a label, [{blob, name}], as one request. */
export function show(label, pictures) {
  const form = new FormData();
  for (const { blob, name } of pictures) form.append("pictures", blob, name);
  return call(`/api/pictures?${query({ label })}`, form);
}
