// Pictures in the browser: scaled down before they are sent, and told apart from the one before.

export const LONGEST_SIDE = 640;
const QUALITY = 0.9;
const GRID = 16;
const LEAST_CHANGE = 2;
const SENT_AS_THEY_ARE = new Set(["image/jpeg", "image/png", "image/webp"]);

function sizeOf(source) {
  return [
    source.videoWidth || source.naturalWidth || source.width,
    source.videoHeight || source.naturalHeight || source.height,
  ];
}

/** Whether there is a picture in it: a video or a stream may not have begun. */
export function hasPicture(source) {
  const [width, height] = sizeOf(source);
  return width > 0 && height > 0 && (source.readyState === undefined || source.readyState >= 2);
}

/** Draws a video, an image or a bitmap into a canvas of at most LONGEST_SIDE. */
export function drawn(source, canvas = document.createElement("canvas")) {
  const [width, height] = sizeOf(source);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

export function jpegOf(canvas) {
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new Error("This browser cannot write a JPEG.")));
    canvas.toBlob(done, "image/jpeg", QUALITY);
  });
}

/** A chosen file as it is sent: scaled where it is larger, as it is where it is small or this browser cannot read it. */
export async function prepared(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { blob: file, name: file.name }; // HEIC in most browsers; the board says what it makes of it
  }
  const isSmall = Math.max(bitmap.width, bitmap.height) <= LONGEST_SIDE && SENT_AS_THEY_ARE.has(file.type);
  const blob = isSmall ? file : await jpegOf(drawn(bitmap));
  bitmap.close();
  return { blob, name: file.name };
}

/** Mean grey values of a canvas on a grid, to compare frames by. */
export function greys(canvas) {
  const small = document.createElement("canvas");
  small.width = small.height = GRID;
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0, GRID, GRID);
  const { data } = context.getImageData(0, 0, GRID, GRID);
  return Float32Array.from({ length: GRID * GRID }, (_, i) => (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3);
}

/** Whether two frames differ enough to be worth teaching both. */
export function differs(before, after) {
  if (!before) return true;
  let sum = 0;
  for (let i = 0; i < after.length; i += 1) sum += Math.abs(after[i] - before[i]);
  return sum / after.length >= LEAST_CHANGE;
}
