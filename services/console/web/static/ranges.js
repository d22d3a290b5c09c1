/** What a range that somebody wants fetched means: how long, where it lies, what is wrong with it. Pure. */
import { duration } from "./format.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The choices beside the form: a name, and [begin, end) in milliseconds for a given now. */
export const CHOICES = [
  ["Last hour", (now) => [now - HOUR, now]],
  ["Last 3 hours", (now) => [now - 3 * HOUR, now]],
  ["Last 24 hours", (now) => [now - DAY, now]],
  ["Today", (now) => [midnight(now), now]],
  ["Yesterday", (now) => [midnight(now) - DAY, midnight(now)]],
];

function midnight(now) {
  return now - (now % DAY);
}

/** Milliseconds since 1970 as a `datetime-local` input takes them, in UTC, to the second. */
export function toField(millis) {
  return new Date(millis).toISOString().slice(0, 19);
}

/** What stands in a `datetime-local` input, read as UTC; null if it is no instant. */
export function fromField(text) {
  const millis = Date.parse(`${text}Z`);
  return text && Number.isFinite(millis) ? millis : null;
}

/**
 * @param {{begin: number|null, end: number|null, now: number, retentionHours: number|null}} asked milliseconds since 1970
 * @returns {{faults: {begin?: string, end?: string}, lines: string[], warning: string|null}}
 */
export function preview({ begin, end, now, retentionHours }) {
  const faults = faultsOf(begin, end, now);
  if (begin === null || end === null || Object.keys(faults).length > 0) return { faults, lines: [], warning: null };
  const ago = now - end < MINUTE ? "up to now" : `ended ${duration((now - end) / 1000)} ago`;
  const lines = [`${duration((end - begin) / 1000)}: began ${duration((now - begin) / 1000)} ago, ${ago}.`];
  return { faults, lines, warning: beyond({ begin, end, now, retentionHours }) };
}

function faultsOf(begin, end, now) {
  const faults = {};
  if (begin !== null && begin > now) faults.begin = "Begin is in the future.";
  if (end !== null && end > now) faults.end = "End is in the future.";
  else if (begin !== null && end !== null && end <= begin) faults.end = "End must be after begin.";
  return faults;
}

function beyond({ begin, end, now, retentionHours }) {
  if (!retentionHours) return null;
  const oldest = now - retentionHours * HOUR;
  // The choice of just what is kept gets older while somebody looks at it.
  if (begin >= oldest - MINUTE) return null;
  const gone = Math.min(end, oldest) - begin;
  const part = end <= oldest ? "All of it is" : `${duration(gone / 1000)} of it are`;
  return `${part} beyond Mailgun's retention of ${retentionHours} h: what happened then may be gone there.`;
}

/**
 * Where the range and the retention lie on a line from the oldest of both to now, in parts of 1.
 * @returns {{kept: number, from: number, to: number}}
 */
export function places({ begin, end, now, retentionHours }) {
  const kept = now - (retentionHours ?? 24) * HOUR;
  const first = Math.min(begin, kept);
  const span = now - first;
  return { kept: (kept - first) / span, from: (begin - first) / span, to: (end - first) / span };
}
