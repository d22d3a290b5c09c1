/** How far behind each consumer group is. */
import { count, counted, duration } from "../format.js";
import { byGroup } from "../model.js";
import { html, Pure } from "../parts/dom.js";
import { Unknown } from "../parts/fault.js";
import { Table } from "../parts/table.js";

const COLUMNS = [
  { head: "Topic", names: true, cell: (each) => each.topic },
  { head: "Partition", numeric: true, cell: (each) => each.partition },
  { head: "Lag in events", numeric: true, cell: (each) => count(each.lag_messages) },
  { head: "Lag in time", numeric: true, cell: (each) => seconds(each.lag_seconds) },
];

const seconds = (lag) => (lag === null ? "–" : duration(lag));

export class Consumers extends Pure {
  render({ consumers, fault }) {
    const groups = byGroup(consumers ?? []);
    return html`<section id="consumers" aria-labelledby="consumers-title">
      <h2 id="consumers-title">Consumers</h2>
      <${Unknown} faults=${[fault]} />
      ${groups.length === 0 && !fault && html`<p class="empty">${consumers ? "No consumer group reads here yet." : "Loading …"}</p>`}
      ${groups.map(
        (group) => html`<details key=${group.group} class="group-fold">
          <summary><strong>${group.group}</strong> <span class="lag">${counted(group.messages, "event")} behind, ${seconds(group.seconds)}</span>
            <span class="muted">${counted(group.partitions.length, "partition")}</span></summary>
          <${Table} caption=${`Lag of ${group.group}`} columns=${COLUMNS} groups=${[{ key: "all", rows: group.partitions }]}
            keyOf=${(each) => `${each.topic}/${each.partition}`} empty="" />
        </details>`,
      )}
    </section>`;
  }
}
