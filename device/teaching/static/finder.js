// The finder: what the camera sees, or a picture that was chosen, and which of them it is.

import { byId, el, say } from "./dom.js";
import { drawn, hasPicture, jpegOf, prepared } from "./frames.js";
import { on, set, state } from "./store.js";
import { sorry } from "./notices.js";

const NAMES = { own: "This camera", board: "Board's camera", picture: "A picture" };
const IDEAL = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: { ideal: "environment" } };
const NOT_SHOWN = "The picture of the board's camera does not come: four pages at most show it at once; close one and try again.";
let stream = null;
let opening = null; // while the browser asks the person, and the camera starts
let latest = "none"; // what was chosen last: `state.source` where nothing is opening
let isBoardBroken = false; // its picture ended, or never came

export const canUseOwnCamera = () => window.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
export const hasBoardCamera = () => Boolean(state.camera?.available);

/** The element that has the picture now, or null. */
export function shown() {
  const source = { own: byId("own"), board: byId("board"), picture: byId("still") }[state.source];
  return source && !source.hidden && hasPicture(source) ? source : null;
}

/** What the finder shows now as a canvas, or null. */
export function frame() {
  const source = shown();
  return source ? drawn(source) : null;
}

export async function frameAsJpeg() {
  const canvas = frame();
  return canvas ? jpegOf(canvas) : null;
}

function closeOwn() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("own").srcObject = null;
}

/** Turns this device's camera on, once however often it is asked for meanwhile; false where it could not be. */
function openOwn() {
  opening ??= opened().finally(() => { opening = null; });
  return opening;
}

async function opened() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: IDEAL, audio: false });
  } catch (error) {
    const isBarred = error.name === "NotAllowedError";
    sorry(isBarred
      ? "The browser did not let this page use the camera: allow it beside the address, or add pictures instead."
      : "This device has no camera that can be used now: close other programs that use it, or add pictures instead.");
    return false;
  }
  const [track] = stream.getVideoTracks();
  byId("own").srcObject = stream;
  byId("own").classList.toggle("mirrored", track.getSettings().facingMode === "user");
  track.addEventListener("ended", () => state.source === "own" && choose("none"));
  await byId("own").play();
  return true;
}

/** Changes where pictures come from; true where there is something to record from. */
export async function choose(source) {
  latest = source;
  if (source !== "own") closeOwn();
  if (source === "own" && canUseOwnCamera() && (opening || !stream)) {
    const isOpen = await openOwn();
    if (latest !== "own") {
      closeOwn();
      return false;
    }
    if (!isOpen) return show("none");
  }
  return show(source);
}

function show(source) {
  const isOwn = source === "own" && Boolean(stream);
  const isBoard = source === "board" && hasBoardCamera();
  byId("own").hidden = !isOwn;
  byId("board").hidden = !isBoard;
  isBoardBroken = false;
  if (isBoard) byId("board").src = `/api/camera/stream?${Date.now()}`;
  else byId("board").removeAttribute("src");
  if (source !== "picture") byId("still").hidden = true;
  set("source", source);
  return isOwn || isBoard;
}

/** Puts a chosen file into the finder. */
export async function showFile(file) {
  const { blob } = await prepared(file);
  try {
    const bitmap = await createImageBitmap(blob);
    drawn(bitmap, byId("still"));
    bitmap.close();
  } catch {
    sorry(`${file.name}: this browser cannot show it; choose a JPEG or PNG, or add it to a label, which the board reads itself.`);
    return;
  }
  byId("still").hidden = false;
  byId("still").asked = blob; // before the source is told: what is asked then is this picture
  await choose("picture");
}

function picker(text) {
  const input = el("input", { type: "file", accept: "image/*", on: { change: () => {
    if (input.files[0]) showFile(input.files[0]);
    input.value = "";
  } } });
  return el("label.button.file", {}, el("span", { text }), input);
}

function tunnel() {
  const port = window.location.port || "80";
  return `ssh -L ${port}:127.0.0.1:${port} ${window.location.hostname}`;
}

function insecureNote() {
  const board = hasBoardCamera() ? "use the board's camera, " : "";
  return el("p", { id: "insecure" },
    `Browsers give their camera to a page only at a safe address: ${board}take pictures with a card's button, or run `,
    el("code", { text: tunnel() }), ` on a computer and open http://127.0.0.1:${window.location.port || "80"}/ there.`);
}

function note() {
  if (state.source === "picture") return shown() ? [] : [el("p", { text: "Drop a picture here, or choose one: it is answered at once." }), picker("Choose a picture")];
  if (state.source === "board") {
    if (isBoardBroken) return [el("p", { text: NOT_SHOWN }), el("button.button", { text: "Try again", on: { click: () => show("board") } })];
    if (hasBoardCamera() && state.camera.state === "ok") return [];
    const reason = state.camera?.reason || "The board has no camera that is open.";
    return [el("p", { text: reason })];
  }
  if (!canUseOwnCamera()) return [insecureNote()];
  if (state.source === "own" && stream) return [];
  return [
    el("p", { text: "Let it look at something." }),
    el("button.button.primary", { text: "Turn on this camera", id: "open-own", on: { click: () => choose("own") } }),
  ];
}

function drawSources() {
  const offered = ["own", ...(hasBoardCamera() ? ["board"] : []), "picture"];
  const chosen = state.source === "none" ? "own" : state.source;
  const group = byId("sources");
  if (group.dataset.offered !== offered.join()) {
    group.dataset.offered = offered.join();
    group.replaceChildren(...offered.map((source) => el("label", {},
      el("input", { type: "radio", name: "source", value: source, on: { change: () => choose(source) } }),
      el("span", { text: NAMES[source] }))));
  }
  for (const input of group.querySelectorAll("input")) input.checked = input.value === chosen;
}

function draw() {
  drawSources();
  const isOn = [byId("own"), byId("board"), byId("still")].some((source) => !source.hidden);
  byId("finder").dataset.shows = isOn ? state.source : "nothing";
  const parts = note();
  const key = parts.map((part) => part.textContent).join();
  if (byId("finder-note").dataset.key === key) return; // what is being pressed stays
  byId("finder-note").dataset.key = key;
  byId("finder-note").replaceChildren(...parts);
}

function drawRecording(recording) {
  byId("finder").classList.toggle("recording", Boolean(recording));
  byId("recording-note").hidden = !recording;
  if (recording) say(byId("recording-note"), `Recording ${recording.label}: ${recording.count}`);
}

function acceptDrops(finder) {
  finder.addEventListener("dragover", (event) => {
    event.preventDefault();
    finder.classList.add("over");
  });
  finder.addEventListener("dragleave", () => finder.classList.remove("over"));
  finder.addEventListener("drop", (event) => {
    event.preventDefault();
    finder.classList.remove("over");
    if (event.dataTransfer.files[0]) showFile(event.dataTransfer.files[0]);
  });
}

/** Where its place is scrolled out of sight, the finder floats in a corner while a phone records (by the style). */
function floatWhereUnseen() {
  const seen = new IntersectionObserver(([entry]) => byId("finder").classList.toggle("floats", !entry.isIntersecting));
  seen.observe(byId("finder-place"));
}

export function start() {
  acceptDrops(byId("finder"));
  floatWhereUnseen();
  on("source camera", draw);
  on("recording", drawRecording);
  on("camera", () => {
    if (state.source === "none" && hasBoardCamera()) choose("board");
    if (state.source === "board" && !hasBoardCamera()) choose("none");
  });
  on("hello", () => state.source === "board" && show("board")); // a board that was away ended the stream
  byId("board").addEventListener("error", () => {
    isBoardBroken = byId("board").hidden = true;
    draw();
  });
  for (const event of ["playing", "load"]) {
    byId("own").addEventListener(event, draw);
    byId("board").addEventListener(event, draw);
  }
  draw();
}
