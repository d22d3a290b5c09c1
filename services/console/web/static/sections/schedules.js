/** Ordered ranges: what runs with its bar, what has ended folded. */
import { cancel } from "../api.js";
import { count, counted, duration, instant } from "../format.js";
import { hasEnded } from "../model.js";
import { html, Pure, remembered } from "../parts/dom.js";
import { State } from "../parts/icon.js";
import { Slices } from "../parts/slices.js";
import { Table } from "../parts/table.js";
import { Time } from "../parts/time.js";
import { ScheduleForm } from "./schedule_form.js";

const SHOWN_ENDED = 3;
const A_PAGE = 20;

export class Schedules extends Pure {
  ordered = remembered((schedules) => {
    const all = [...schedules.values()].sort((one, other) => (other.requested_at ?? other.end).localeCompare(one.requested_at ?? one.end));
    return { active: all.filter((each) => !hasEnded(each)), ended: all.filter(hasEnded) };
  });

  render({ schedules, domains, retentionHours, eventTypes, now, ask, say }) {
    const { active, ended } = this.ordered(schedules);
    const table = (caption, rows, empty) => html`<${Table} caption=${caption} columns=${columns(now, ask)}
      groups=${[{ key: "all", rows }]} keyOf=${(each) => each.id} empty=${empty} />`;
    return html`<section id="schedules" aria-labelledby="schedules-title">
      <h2 id="schedules-title">Schedules</h2>
      <${ScheduleForm} domains=${domains} retentionHours=${retentionHours} eventTypes=${eventTypes} now=${now} say=${say} />
      <h3>Queued and running <span class="muted">${count(active.length)}</span></h3>
      <${Slices} all=${active} size=${A_PAGE} label="schedules">
        ${(rows) => table("Queued and running schedules", rows, "Nothing is queued or running.")}
      </${Slices}>
      <h3>Ended <span class="muted">${count(ended.length)}</span></h3>
      ${table("Schedules that ended", ended.slice(0, SHOWN_ENDED), "None has ended yet.")}
      ${ended.length > SHOWN_ENDED &&
      html`<details>
        <summary>${counted(ended.length - SHOWN_ENDED, "older schedule")}</summary>
        <${Slices} all=${ended.slice(SHOWN_ENDED)} size=${A_PAGE} label="schedules">${(rows) => table("Older schedules", rows, "")}</${Slices}>
      </details>`}
    </section>`;
  }
}

function columns(now, ask) {
  return [
    { head: "Domain", names: true, cell: (each) => html`${each.domain}<small class="muted id">${each.id}</small>
      ${each.event_types && html`<small class="muted types-of">${each.event_types.join(", ")}</small>`}` },
    { head: "Range (UTC)", cell: (each) => html`<span class="range"><${Time} at=${each.begin} now=${now} /> <span class="muted">to</span> <${Time} at=${each.end} now=${now} /></span>` },
    { head: "State", cell: (each) => html`<${State} state=${each.state} />` },
    { head: "Progress", cell: (each) => html`<${Bar} schedule=${each} />` },
    { head: "Events", numeric: true, cell: (each) => count(each.events) },
    { head: "Remaining", numeric: true, cell: (each) => remaining(each) },
    { head: "Action", cell: (each) => html`<${Cancel} schedule=${each} now=${now} ask=${ask} />` },
  ];
}

function remaining({ remaining_seconds: seconds, state }) {
  if (seconds !== null && state === "running") return `about ${duration(Math.max(1, seconds))}`;
  return html`<span class="muted">${state === "running" ? "measuring" : "–"}</span>`;
}

function Bar({ schedule }) {
  const percent = Math.floor(schedule.progress * 100);
  return html`<span class="progress">
    <span class=${`bar bar-${schedule.state}`} role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percent}
      aria-label=${`Fetched of ${schedule.domain}`}><span class="fill" style=${{ width: `${percent}%` }}></span></span>
    <span class="percent">${percent} %</span>
  </span>`;
}

function Cancel({ schedule, now, ask }) {
  if (hasEnded(schedule)) {
    const error = schedule.last_error;
    return error ? html`<span class="bad error">${error}</span>` : html`<span class="muted">–</span>`;
  }
  if (schedule.canceling) return html`<span class="muted">cancelling …</span>`;
  const range = `${instant(schedule.begin, now)} to ${instant(schedule.end, now)}`;
  const question = {
    title: "Cancel this fetch?",
    text: `${schedule.domain}, ${range}. What is fetched already stays.`,
    keep: "Keep it",
    act: "Cancel the fetch",
    run: async () => {
      await cancel(schedule.id);
      return `The fetch of ${schedule.domain} is being cancelled.`;
    },
  };
  return html`<button type="button" aria-label=${`Cancel ${schedule.domain}, ${range}`} onClick=${() => ask(question)}>Cancel</button>`;
}
