/** The console's API. Whoever is not logged in any more is led to the login. */

/** The API said no, or nothing. `status` is 0 if there was no answer. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, "The console does not answer. Try again when the connection is back.");
  }
  if (response.status === 401) location.assign("/login");
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.error ?? `The console answered ${response.status}.`);
  return answer;
}

const id = encodeURIComponent;

/** One page of a list. @param {string} path @param {{after?: string|null, limit?: number}} part */
export function list(path, part) {
  const given = Object.entries(part).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return call("GET", `${path}?${new URLSearchParams(given)}`);
}

export const email = (emailId) => call("GET", `/api/emails/${id(emailId)}`);
export const failuresPath = (emailId) => `/api/emails/${id(emailId)}/failures`;
export const batchesPath = (emailId) => `/api/emails/${id(emailId)}/batches`;
export const schedule = (order) => call("POST", "/api/schedules", order);
export const cancel = (scheduleId) => call("DELETE", `/api/schedules/${id(scheduleId)}`);
export const letter = ({ topic, partition, offset }) => call("GET", `/api/dlq/${id(topic)}/${partition}/${offset}`);
export const replay = (order) => call("POST", "/api/dlq/replay", order);
/** Whether the API answers and knows us: leads to the login if it does not. */
export const probe = () => list("/api/loops", { limit: 1 }).catch(() => null);
