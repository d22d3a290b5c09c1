/** Numbers, instants and durations as people read them. Pure. */

const NARROW_SPACE = "\u202f";
const NONE = "–";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** 12345 as `12 345`, with a narrow space that does not break. @param {number|null} number @returns {string} */
export function count(number) {
  if (number === null || number === undefined) return NONE;
  return String(Math.trunc(number)).replace(/\B(?=(\d{3})+(?!\d))/g, NARROW_SPACE);
}

/** `1 event`, `2 events`. @param {number} number @param {string} word in the singular @returns {string} */
export function counted(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** The share as a percentage with one decimal; never rounded up to 100 nor down to 0. @returns {string} */
export function rate(part, whole) {
  if (!whole) return NONE;
  const share = (100 * part) / whole;
  if (part > 0 && share < 0.1) return "< 0.1 %";
  return `${part < whole ? Math.min(share, 99.9).toFixed(1) : share.toFixed(part === whole ? 0 : 1)} %`;
}

/** A duration in its two largest units: `45 s`, `3 min 20 s`, `2 d 4 h`. @param {number} seconds @returns {string} */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const at = UNITS.findIndex(([, size]) => whole >= size);
  if (at < 0) return "0 s";
  const [unit, size] = UNITS[at];
  const text = `${Math.floor(whole / size)} ${unit}`;
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return rest ? `${text} ${rest} ${next[0]}` : text;
}

/**
 * An instant of the API as `24 Nov 15:04:05.123`, with the year where it is not this one.
 * @param {string|null} iso in UTC, with milliseconds
 * @param {number} now milliseconds since 1970
 */
export function instant(iso, now) {
  if (!iso) return NONE;
  return `${day(iso, now)} ${iso.slice(11, 23).replace("Z", "")}`;
}

/** The day alone: `24 Nov`, or `24 Nov 2025`. @param {string} iso @param {number} now */
export function day(iso, now) {
  const year = iso.slice(0, 4);
  const text = `${Number(iso.slice(8, 10))} ${MONTHS[Number(iso.slice(5, 7)) - 1]}`;
  return year === String(new Date(now).getUTCFullYear()) ? text : `${text} ${year}`;
}

/** The time of day of milliseconds since 1970, in UTC: `15:04:05`. @param {number} millis */
export function timeOfDay(millis) {
  return new Date(millis).toISOString().slice(11, 19);
}

/** Bytes or characters of a long text: what is shown of it, and how much is not. */
export function shortened(text, most) {
  return text.length <= most ? { text, left: 0 } : { text: text.slice(0, most), left: text.length - most };
}
