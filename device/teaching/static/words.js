// Numbers in a person's words: counts first.

export const NONE = "None of these";
const DAY_MS = 86400000;

export function pictures(count) {
  return count === 1 ? "1 picture" : `${count} pictures`;
}

export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

export function percent(share) {
  if (share > 0 && share < 0.01) return "<1 %";
  if (share < 1 && share > 0.99) return ">99 %";
  return `${Math.round(100 * share)} %`;
}

/** When it was, as a person says it, short where it is today. moment: anything that Date reads. */
export function when(moment, now = new Date()) {
  const then = new Date(moment);
  if (Number.isNaN(then.getTime())) return "";
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const isToday = then.toDateString() === now.toDateString();
  if (isToday) return time;
  if (new Date(now.getTime() - DAY_MS).toDateString() === then.toDateString()) return `yesterday, ${time}`;
  return `${then.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

function earlier({ right, right_before: before }) {
  if (before === right) return "as many as before";
  return before ? `${before} before` : "none before";
}

/** What a lesson did to one label: {what, words, isWeak}. row: a label of the report of a lesson. */
export function outcome(row) {
  if (!row.asked) return { what: row.label, words: `Taught from ${pictures(row.images)}; one more tells how well.`, isWeak: false };
  const words = [`${row.right} of ${row.asked} recognised, ${earlier(row)}`];
  const taken = (row.taken_for ?? []).map(({ label, count }) => `${count} taken for ${label}`);
  if (taken.length) words.push(listed(taken));
  if (row.closest && row.told_apart_errors !== null && row.told_apart_errors < 1) {
    words.push(`hardly told apart from ${row.closest}`);
  }
  return { what: row.label, words: `${words.join("; ")}.`, isWeak: 2 * row.right < row.asked };
}

/** What was kept of a label taught earlier. */
export function kept({ label, expected }) {
  return `${label}: about ${Math.round(expected / 10)} of 10 recognised`;
}

/** Reasons of what was set aside with their counts, the most first. */
export function reasons(entries) {
  const counts = new Map();
  for (const { reason } of entries) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([reason, count]) => `${pictures(count)}: ${reason}`);
}

/** With a capital letter and a full stop; nothing stays nothing. */
export function sentence(words) {
  if (!words) return "";
  return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/u.test(words) ? "" : ".");
}

/** What an undo did; the way back that the command line has is a button here. */
export function undone(said) {
  return sentence(said.replace(/; `edge-nusa redo` [^;]*/u, "")) || "Taken back.";
}

/** Why a lesson was not kept and what to do: {why, next}. The command line's options are buttons here. */
export function refusal(reason) {
  const said = reason.replace(/^refused: /u, "").replaceAll("use --force", "press Keep it anyway")
    .replace("fewer --steps, ", "").replace(/ \(`edge-nusa [^`]*`\)/gu, "");
  const [why, next] = said.split("; the state is unchanged: ");
  if (!next) return { why: sentence(why), next: "" };
  return { why: `${sentence(why)} Nothing was changed.`, next: sentence(next) };
}

/** What became of the text, in a sentence. */
export function text(report) {
  const reason = report.text_reason ? `: ${report.text_reason}` : "";
  if (report.text === "kept") return "The text was trained as well, and kept.";
  if (report.text === "dropped") return `The text was trained and dropped${reason}. The answers stay as they are.`;
  return `The text stays as it was${reason}.`;
}
