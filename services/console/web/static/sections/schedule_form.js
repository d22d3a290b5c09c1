/** Orders a range to be fetched again; says before what it means, and after what was wrong with it. */
import { schedule } from "../api.js";
import { Component, html } from "../parts/dom.js";
import { Icon } from "../parts/icon.js";
import { CHOICES, fromField, places, preview, toField } from "../ranges.js";

const FIELDS = ["domain", "begin", "end", "event_types"];
/** More domains than that are typed, with suggestions, not picked. */
const MOST_PICKED = 50;

export class ScheduleForm extends Component {
  state = { domain: "", begin: "", end: "", types: [], busy: false, faults: {}, fault: null, note: null };

  change(changed) {
    this.setState({ ...changed, faults: {}, fault: null, note: null });
  }

  choose(rangeOf) {
    const [begin, end] = rangeOf(Math.floor(this.props.now / 1000) * 1000);
    this.change({ begin: toField(begin), end: toField(end) });
  }

  async submit(event) {
    event.preventDefault();
    const { begin, end, types } = this.state;
    const domain = this.domain();
    const faults = faultsOf(domain, begin, end, this.props.now);
    if (Object.keys(faults).length > 0) return this.refuse(faults, null);
    this.setState({ busy: true });
    const order = { domain, begin: `${begin.padEnd(19, ":00")}.000Z`, end: `${end.padEnd(19, ":00")}.000Z` };
    try {
      const { id, warning } = await schedule(types.length > 0 ? { ...order, event_types: types } : order);
      const note = `Scheduled as ${id}.${warning ? ` ${warning}` : ""}`;
      this.setState({ busy: false, faults: {}, fault: null, note });
      this.props.say(note);
    } catch (refused) {
      const field = FIELDS.find((name) => refused.message.startsWith(name));
      this.refuse(field ? { [field]: refused.message } : {}, field ? null : refused.message);
    }
  }

  refuse(faults, fault) {
    this.setState({ busy: false, faults, fault, note: null });
    const first = FIELDS.find((name) => faults[name]);
    if (first) document.getElementById(`schedule-${first}`)?.focus();
  }

  domain() {
    return this.state.domain || (this.props.domains[0] ?? "");
  }

  render({ domains, retentionHours, eventTypes, now }, { begin, end, types, busy, faults, fault, note }) {
    const asked = { begin: fromField(begin), end: fromField(end), now, retentionHours };
    const told = preview(asked);
    const wrong = { ...told.faults, ...faults };
    return html`<form class="schedule" novalidate aria-labelledby="schedule-title" onSubmit=${(event) => this.submit(event)}>
      <h3 id="schedule-title">Schedule a fetch</h3>
      <p class="muted">Fetches a range once more. All times are UTC.
        ${retentionHours && html` Mailgun keeps events for <strong>${retentionHours} h</strong>.`}</p>
      <div class="fields">
        <${Field} name="domain" label="Domain" fault=${wrong.domain}>
          ${(its) => html`<${Domains} domains=${domains} its=${its} value=${this.domain()} onChange=${(domain) => this.change({ domain })} />`}
        </${Field}>
        <${Field} name="begin" label="Begin (UTC)" fault=${wrong.begin}>
          ${(its) => html`<input type="datetime-local" step="1" ...${its} value=${begin} onInput=${(event) => this.change({ begin: event.target.value })} />`}
        </${Field}>
        <${Field} name="end" label="End (UTC, not included)" fault=${wrong.end}>
          ${(its) => html`<input type="datetime-local" step="1" ...${its} value=${end} onInput=${(event) => this.change({ end: event.target.value })} />`}
        </${Field}>
      </div>
      <div class="choices" role="group" aria-label="Quick choices of a range">
        ${CHOICES.map(([name, rangeOf]) => html`<button key=${name} type="button" class="quiet" onClick=${() => this.choose(rangeOf)}>${name}</button>`)}
      </div>
      <details>
        <summary>Event types: ${types.length > 0 ? types.join(", ") : "all"}</summary>
        <${Types} all=${eventTypes} chosen=${types} fault=${wrong.event_types} onChange=${(chosen) => this.change({ types: chosen })} />
      </details>
      <div class="preview" aria-live="polite">
        ${told.lines.map((line) => html`<p key=${line}>${line}</p>`)}
        ${told.warning && html`<p class="warned"><${Icon} name="warning" />${told.warning}</p>`}
      </div>
      ${told.lines.length > 0 && html`<${Track} ...${places(asked)} />`}
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      ${note && html`<p class="note-done"><${Icon} name="done" />${note}</p>`}
      <p class="actions"><button type="submit" class="main" disabled=${busy}>Schedule the fetch</button></p>
    </form>`;
  }
}

function faultsOf(domain, begin, end, now) {
  const faults = preview({ begin: fromField(begin), end: fromField(end), now, retentionHours: null }).faults;
  if (!domain) faults.domain = "Choose a domain.";
  if (fromField(begin) === null) faults.begin = "Give a date and a time.";
  if (fromField(end) === null) faults.end = "Give a date and a time.";
  return faults;
}

function Field({ name, label, fault, children }) {
  const id = `schedule-${name}`;
  const its = { id, name, "aria-invalid": fault ? "true" : "false", "aria-describedby": `${id}-fault` };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children(its)}
    <p class="fault" id=${`${id}-fault`} aria-live="polite">${fault}</p>
  </div>`;
}

function Domains({ domains, its, value, onChange }) {
  const change = (event) => onChange(event.target.value);
  if (domains.length <= MOST_PICKED) {
    return html`<select ...${its} value=${value} onChange=${change}>
      ${domains.map((domain) => html`<option key=${domain} value=${domain}>${domain}</option>`)}
    </select>`;
  }
  return html`<input ...${its} list="schedule-domains" autocomplete="off" value=${value} onInput=${change} />
    <datalist id="schedule-domains">${domains.map((domain) => html`<option key=${domain} value=${domain} />`)}</datalist>`;
}

function Types({ all, chosen, fault, onChange }) {
  const toggle = (type, isWanted) => onChange(all.filter((each) => (each === type ? isWanted : chosen.includes(each))));
  return html`<fieldset class="types">
    <legend>Only these event types (none chosen: all)</legend>
    ${all.map(
      (type) => html`<label key=${type} class="check"><input type="checkbox" name="event_types" checked=${chosen.includes(type)}
        onChange=${(event) => toggle(type, event.target.checked)} /> ${type}</label>`,
    )}
    ${fault && html`<p class="fault" role="alert">${fault}</p>`}
  </fieldset>`;
}

/** The range on a line to now, over what Mailgun still keeps. The same is said in words beside it. */
function Track({ kept, from, to }) {
  const part = (start, stop) => ({ left: `${start * 100}%`, width: `${Math.max(0.4, (stop - start) * 100)}%` });
  return html`<div class="track" aria-hidden="true">
    <span class="kept" style=${part(kept, 1)}></span><span class="wanted" style=${part(from, to)}></span>
    <span class="legend"><i class="swatch wanted-swatch"></i>this range <i class="swatch kept-swatch"></i>kept by Mailgun <b>now</b></span>
  </div>`;
}
