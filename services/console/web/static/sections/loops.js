/** The loops of every domain, and how each stands. */
import { count, counted, duration } from "../format.js";
import { byDomain, isFarBehind, isInTrouble, lagSeconds } from "../model.js";
import { Component, html, remembered } from "../parts/dom.js";
import { Icon, State } from "../parts/icon.js";
import { Slices } from "../parts/slices.js";
import { Table } from "../parts/table.js";
import { Time } from "../parts/time.js";

const DOMAINS_A_PAGE = 20;

export class Loops extends Component {
  state = { filter: "", troubled: false };
  domains = remembered(byDomain);

  render({ loops, now }, { filter, troubled }) {
    const all = this.domains(loops, filter);
    const shown = troubled ? onlyTroubled(all, now) : all;
    const number = shown.reduce((sum, domain) => sum + domain.loops.length, 0);
    return html`<section id="loops" aria-labelledby="loops-title">
      <div class="head">
        <h2 id="loops-title">Loops</h2>
        <div class="tools">
          <label>Filter <input type="search" placeholder="domain, loop, state, error" value=${filter}
            onInput=${(event) => this.setState({ filter: event.target.value })} /></label>
          <label class="check"><input type="checkbox" checked=${troubled}
            onChange=${(event) => this.setState({ troubled: event.target.checked })} /> Only in trouble</label>
          <span class="muted">${counted(number, "loop")}</span>
        </div>
      </div>
      <${Slices} all=${shown} size=${DOMAINS_A_PAGE} label="domains">
        ${(domains) => html`<${Table} caption="Loops by domain" columns=${columns(now)} keyOf=${(loop) => loop.loop}
          groups=${domains.map(({ domain, loops: rows }) => ({ key: domain, title: domain, rows }))}
          empty=${loops.size ? "No loop is like that." : "No loop has told its state yet. They do when a fetcher runs."} />`}
      </${Slices}>
    </section>`;
  }
}

function onlyTroubled(domains, now) {
  return domains
    .map(({ domain, loops }) => ({ domain, loops: loops.filter((loop) => isInTrouble(loop, now)) }))
    .filter(({ loops }) => loops.length > 0);
}

function columns(now) {
  const time = (head, field) => ({ head, cell: (loop) => html`<${Time} at=${loop[field]} now=${now} />` });
  return [
    { head: "Loop", names: true, cell: (loop) => loop.loop },
    { head: "State", cell: (loop) => html`<${State} state=${loop.state} />` },
    { head: "Lag", numeric: true, cell: (loop) => html`<${Lag} loop=${loop} now=${now} />` },
    { head: "Events", numeric: true, cell: (loop) => count(loop.events_total) },
    time("Last event", "last_event_timestamp"),
    time("Fetched through", "fetched_through"),
    time("Last start", "last_started"),
    time("Last begin", "last_begin"),
    { head: "Last error", cell: (loop) => (loop.last_error ? html`<span class="bad error">${loop.last_error}</span>` : html`<span class="muted">–</span>`) },
  ];
}

function Lag({ loop, now }) {
  const lag = lagSeconds(loop, now);
  if (lag === null) return html`<span class="muted">–</span>`;
  if (!isFarBehind(loop, now)) return duration(lag);
  return html`<span class="bad warned"><${Icon} name="warning" />${duration(lag)}<span class="hidden"> (far behind)</span></span>`;
}
