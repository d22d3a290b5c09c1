/** Instants and numbers in cells. */
import { count, instant, rate } from "../format.js";
import { html } from "./dom.js";

/** An instant of the API, to the millisecond; the whole of it as its title. */
export function Time({ at, now }) {
  return at ? html`<time datetime=${at} title=${at}>${instant(at, now)}</time>` : html`<span class="muted">–</span>`;
}

/** A count, and its share of a whole. */
export function Share({ part, whole }) {
  return html`<span>${count(part)} <small class="muted">${rate(part, whole)}</small></span>`;
}
