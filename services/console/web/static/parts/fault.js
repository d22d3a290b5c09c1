/** What cannot be told at present, and why. */
import { html } from "./dom.js";
import { Icon } from "./icon.js";

export function Unknown({ faults }) {
  const reasons = faults.filter(Boolean);
  return reasons.map((reason) => html`<p key=${reason} class="fault"><${Icon} name="warning" /> Not known at present: ${reason}</p>`);
}
