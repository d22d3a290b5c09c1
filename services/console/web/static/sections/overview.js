/** What matters at one look: which services live, how far behind they are, what waits for a hand. */
import { count, duration } from "../format.js";
import { byGroup, hasEnded, isInTrouble, lagSeconds } from "../model.js";
import { html } from "../parts/dom.js";
import { Unknown } from "../parts/fault.js";
import { Icon } from "../parts/icon.js";

export function Overview({ known, now }) {
  const dead = (known.services ?? []).filter((service) => service.state === "down");
  return html`<section id="overview" aria-labelledby="overview-title">
    <h2 id="overview-title">Overview</h2>
    <div aria-live="polite">
      ${dead.length > 0 &&
      html`<p class="alarm"><${Icon} name="down" /><span><strong>${dead.map((service) => service.service).join(" and ")}
        ${dead.length === 1 ? " is dead" : " are dead"}</strong>: nothing answers there. What comes in waits in Kafka; nothing is lost while it does not
        stand still beyond the topics' retention.</span></p>`}
    </div>
    <ul class="services" aria-label="Services">
      ${(known.services ?? []).map(
        (service) => html`<li key=${service.service} class=${`service service-${service.state}`}>
          <${Icon} name=${service.state} /><strong>${service.service}</strong>
          <span>${service.state === "down" ? "dead" : members(service)}</span>
        </li>`,
      )}
    </ul>
    <${Unknown} faults=${[known.faults.services]} />
    <dl class="figures">
      ${figures(known, now).map(
        ([name, value, note, isBad]) => html`<div key=${name} class=${isBad ? "figure bad" : "figure"}>
          <dt>${name}</dt>
          <dd>${value}</dd>
          <dd class="muted note">${note}</dd>
        </div>`,
      )}
    </dl>
  </section>`;
}

function members(service) {
  return service.members > 1 ? `up, ${service.members} members` : "up";
}

function figures(known, now) {
  const loops = [...known.loops.values()];
  const trouble = loops.filter((loop) => isInTrouble(loop, now)).length;
  const lags = loops.filter((loop) => loop.loop !== "missing").map((loop) => lagSeconds(loop, now) ?? 0);
  const active = [...known.schedules.values()].filter((schedule) => !hasEnded(schedule)).length;
  const groups = byGroup(known.consumers ?? []);
  const waiting = groups.reduce((sum, group) => sum + group.messages, 0);
  const oldest = groups.reduce((most, group) => Math.max(most, group.seconds ?? 0), 0);
  const letters = Object.values(known.dlq.records).reduce((sum, number) => sum + number, 0);
  const events = loops.reduce((sum, loop) => sum + (loop.events_total ?? 0), 0);
  return [
    ["Events fetched", count(events), "by all loops", false],
    ["Loops", count(loops.length), trouble ? `${count(trouble)} in trouble` : "all well", trouble > 0],
    ["Behind Mailgun", loops.length ? duration(lags.reduce((most, lag) => Math.max(most, lag), 0)) : "–", "the latest loops, at most", false],
    ["Schedules", count(active), "queued or running", false],
    ["Consumer lag", count(waiting), waiting ? `events, ${duration(oldest)} at most` : "events waiting", false],
    ["Dead letters", count(letters), "at most, replayed ones too", false],
  ];
}
