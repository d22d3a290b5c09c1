/** A list of the API, page by page, asked again every so often while it is looked at. */
import { list } from "../api.js";
import { timeOfDay } from "../format.js";
import { Component, html } from "./dom.js";

/**
 * @property {string} path of the list
 * @property {Object} query besides `after` and `limit`
 * @property {string} field of the answer that holds the entries
 * @property {number} limit entries of a page
 * @property {number} seconds between two looks
 * @property {any} fresh when it changes, the page is asked for at once
 * @property {any[]|null} live the newest entries, where the stream brings them: shown as the first page
 * @property {string} label what the list is of
 * @property {(rows: any[], more: boolean) => any} children  `more`: there are further pages
 */
export class Paged extends Component {
  state = { rows: null, next: null, pages: [null], fault: null, at: null };

  componentDidMount() {
    this.timer = setInterval(() => this.load(), this.props.seconds * 1000);
    this.load();
  }

  componentWillUnmount() {
    clearInterval(this.timer);
    this.asked = null;
  }

  componentDidUpdate(before) {
    const { path, query, fresh } = this.props;
    if (before.path !== path || JSON.stringify(before.query) !== JSON.stringify(query)) this.load([null]);
    else if (before.fresh !== fresh) this.load();
  }

  /** Ask for the last of `pages` (cursors from the first page on). An answer that is not wanted any more is dropped. */
  async load(pages = this.state.pages) {
    const { path, query, field, limit } = this.props;
    const asked = (this.asked = {});
    try {
      const answer = await list(path, { ...query, limit, after: pages.at(-1) });
      if (this.asked !== asked) return;
      this.setState({ rows: answer[field], next: answer.next, pages, fault: null, at: Date.now() });
    } catch (refused) {
      if (this.asked === asked) this.setState({ fault: refused.message });
    }
  }

  async older() {
    await this.load();
    if (this.state.next) await this.load([...this.state.pages, this.state.next]);
  }

  render({ live, label, children, limit }, { rows, next, pages, fault, at }) {
    const isFirst = pages.length === 1;
    const shown = isFirst && live ? live : rows;
    return html`<div class="paged">
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      ${shown === null ? !fault && html`<p class="empty">Loading …</p>` : children(shown, Boolean(next))}
      ${(!isFirst || next) &&
      html`<nav class="pages" aria-label=${`Pages of ${label}`}>
        <button type="button" disabled=${isFirst} onClick=${() => this.load(pages.slice(0, -1))}>Newer</button>
        <span>Page ${pages.length} <span class="muted">of ${limit} each${at && !isFirst ? `, as of ${timeOfDay(at)}` : ""}</span></span>
        <button type="button" disabled=${!next} onClick=${() => this.older()}>Older</button>
      </nav>`}
    </div>`;
  }
}
