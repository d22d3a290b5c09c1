/** A list that is here already, shown a page at a time, so that ten thousand entries stay quick. */
import { count } from "../format.js";
import { Component, html } from "./dom.js";

export class Slices extends Component {
  state = { at: 0 };

  render({ all, size, label, children }, { at }) {
    const last = Math.max(0, Math.ceil(all.length / size) - 1);
    const here = Math.min(at, last);
    return html`${children(all.slice(here * size, (here + 1) * size))}
      ${last > 0 &&
      html`<nav class="pages" aria-label=${`Pages of ${label}`}>
        <button type="button" disabled=${here === 0} onClick=${() => this.setState({ at: here - 1 })}>Previous</button>
        <span>Page ${count(here + 1)} of ${count(last + 1)} <span class="muted">(${count(all.length)} ${label})</span></span>
        <button type="button" disabled=${here === last} onClick=${() => this.setState({ at: here + 1 })}>Next</button>
      </nav>`}`;
  }
}
