/**
 * What the page knows, and how each event of the stream changes it. Pure: no event changes what it is given.
 *
 * @typedef {{domain: string, loop: string, state: string, last_started: string|null, last_begin: string|null,
 *   last_event_timestamp: string|null, fetched_through: string|null, lag_seconds: number|null, events_total: number,
 *   last_error: string|null}} Loop
 * @typedef {{id: string, domain: string, begin: string, end: string, state: string, fetched_through: string|null,
 *   events: number, progress: number, remaining_seconds: number|null, canceling: boolean, last_error: string|null,
 *   updated_at: string|null}} Schedule
 * @typedef {{id: string, subject: string, newsletter_id: string|null, submitted_at: string, recipients: number,
 *   delivered: number, opened: number, clicked: number, failed: number}} Email
 * @typedef {{group: string, topic: string, partition: number, lag_messages: number|null,
 *   lag_seconds: number|null}} Consumer
 * @typedef {{topic: string, partition: number, offset: number, timestamp: string, reason: string, error: string,
 *   stage: string, payload: string, replayed_at: string|null}} Letter
 */

const TROUBLE = new Set(["failed", "backing_off"]);
/** Lag in seconds that is far above what a loop is made for: a minute for the latest ones, half an hour for missing. */
const FAR_BEHIND_SECONDS = { latest: 300, latest_opened: 300, missing: 2700 };
const LOOP_ORDER = ["latest", "latest_opened", "missing", "scheduled"];

/** Nothing known yet. */
export const NOTHING = Object.freeze({
  connected: false,
  everConnected: false,
  heardAt: null,
  offset: 0,
  version: null,
  retentionHours: null,
  domains: [],
  whole: false,
  loops: new Map(),
  schedules: new Map(),
  emails: null,
  consumers: null,
  services: null,
  faults: {},
  dlq: { records: {}, newest: null },
});

/**
 * What is known after an event of the stream.
 * @param {typeof NOTHING} known
 * @param {string} type of the event; `lost` is this page's own
 * @param {any} data
 * @param {number} at milliseconds since 1970 by this machine's clock
 */
export function after(known, type, data, at) {
  if (type === "lost") return { ...known, connected: false, whole: false };
  const heard = { ...known, connected: true, everConnected: true, heardAt: at };
  const change = CHANGES[type];
  if (!change) return heard;
  // What cannot be told at present stays as it was, with the reason beside it.
  if (data.error) return { ...heard, faults: { ...known.faults, [type]: data.error } };
  return { ...heard, faults: { ...known.faults, [type]: null }, ...change(known, data, at) };
}

const CHANGES = {
  hello: (_known, data, at) => ({
    offset: Date.parse(data.now) - at,
    version: data.version,
    retentionHours: data.retention_hours,
    domains: data.domains,
    whole: false,
  }),
  loops: (known, data) => {
    const loops = merged(known.whole ? known.loops : [], data.loops, loopKey, (data.removed?.loops ?? []).map(joined));
    const schedules = merged(known.whole ? known.schedules : [], data.schedules, (each) => each.id, data.removed?.schedules);
    return { loops, schedules, whole: true };
  },
  emails: (_known, data) => ({ emails: data.emails }),
  consumers: (_known, data) => ({ consumers: data.consumers }),
  services: (_known, data) => ({ services: data.services }),
  dlq: (_known, data) => ({ dlq: data }),
};

function joined(parts) {
  return parts.join("\n");
}

function loopKey(loop) {
  return joined([loop.domain, loop.loop]);
}

function merged(before, changed, keyOf, removed) {
  const all = new Map(before);
  for (const each of changed ?? []) all.set(keyOf(each), each);
  for (const key of removed ?? []) all.delete(key);
  return all;
}

/**
 * Seconds from what a loop has fetched to now, by the server's clock. Before its first complete run it is what the
 * server last said; null if that is nothing.
 */
export function lagSeconds(loop, now) {
  return loop.fetched_through ? Math.max(0, (now - Date.parse(loop.fetched_through)) / 1000) : loop.lag_seconds;
}

/** Whether a loop's lag is far above what it is made for. */
export function isFarBehind(loop, now) {
  const lag = lagSeconds(loop, now);
  return lag !== null && lag > (FAR_BEHIND_SECONDS[loop.loop] ?? Infinity);
}

/** Whether somebody should look at a loop. */
export function isInTrouble(loop, now) {
  return TROUBLE.has(loop.state) || Boolean(loop.last_error) || isFarBehind(loop, now);
}

/** Whether a schedule has come to its end, one way or another. */
export function hasEnded(schedule) {
  return schedule.ended;
}

/**
 * The loops by domain, in the order of names.
 * @param {Map<string, Loop>} loops @param {string} filter part of a domain's or a loop's name, or of an error
 * @returns {{domain: string, loops: Loop[]}[]}
 */
export function byDomain(loops, filter) {
  const wanted = filter.trim().toLowerCase();
  const domains = new Map();
  for (const loop of loops.values()) {
    const text = `${loop.domain} ${loop.loop} ${loop.state} ${loop.last_error ?? ""}`.toLowerCase();
    if (!text.includes(wanted)) continue;
    if (!domains.has(loop.domain)) domains.set(loop.domain, []);
    domains.get(loop.domain).push(loop);
  }
  return sorted([...domains], ([domain]) => domain).map(([domain, its]) => ({
    domain,
    loops: its.sort((one, other) => LOOP_ORDER.indexOf(one.loop) - LOOP_ORDER.indexOf(other.loop)),
  }));
}

/**
 * Consumers folded by group, with the sum of the events and the most of the seconds.
 * @param {Consumer[]} consumers
 * @returns {{group: string, messages: number, seconds: number|null, partitions: Consumer[]}[]}
 */
export function byGroup(consumers) {
  const groups = new Map();
  for (const each of consumers) groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
  return sorted([...groups], ([group]) => group).map(([group, partitions]) => {
    const known = partitions.map((each) => each.lag_seconds).filter((seconds) => seconds !== null);
    return {
      group,
      messages: partitions.reduce((sum, each) => sum + (each.lag_messages ?? 0), 0),
      seconds: known.length > 0 ? Math.max(...known) : null,
      partitions: partitions.sort((one, other) => compare(one.topic, other.topic) || one.partition - other.partition),
    };
  });
}

function sorted(entries, keyOf) {
  return entries.sort((one, other) => compare(keyOf(one), keyOf(other)));
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}
