/** One email: its counts, its failures, its batches. */
import { batchesPath, email as askEmail, failuresPath } from "../api.js";
import { count } from "../format.js";
import { Component, html } from "../parts/dom.js";
import { Dialog } from "../parts/dialog.js";
import { Paged } from "../parts/paged.js";
import { Table } from "../parts/table.js";
import { Share, Time } from "../parts/time.js";

const TABS = [
  ["permanent", "Permanent failures"],
  ["temporary", "Temporary failures"],
  ["batches", "Batches"],
];
const LOOK_SECONDS = 5;
const QUERIES = { permanent: { severity: "permanent" }, temporary: { severity: "temporary" }, batches: {} };

export class EmailDetails extends Component {
  state = { tab: "permanent", email: null, fault: null };

  componentDidMount() {
    this.timer = setInterval(() => this.look(), LOOK_SECONDS * 1000);
    this.look();
  }

  componentWillUnmount() {
    clearInterval(this.timer);
  }

  async look() {
    try {
      this.setState({ email: await askEmail(this.props.id), fault: null });
    } catch (refused) {
      this.setState({ fault: refused.status === 404 ? "There is no such email." : refused.message });
    }
  }

  /** The keys that the pattern of tabs asks for: arrows, Home and End. */
  move(event) {
    const at = TABS.findIndex(([name]) => name === this.state.tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + TABS.length, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tabs = event.currentTarget;
    this.setState({ tab: TABS[to % TABS.length][0] }, () => tabs.querySelector('[aria-selected="true"]').focus());
  }

  render({ live, now, onClose }, { tab, email, fault }) {
    const shown = live ?? email;
    return html`<${Dialog} title=${shown?.subject || "Email"} onClose=${onClose}>
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      ${shown && html`<${Counts} email=${shown} now=${now} />`}
      <div role="tablist" aria-label="Of this email" class="tabs" onKeyDown=${(event) => this.move(event)}>
        ${TABS.map(
          ([name, label]) => html`<button key=${name} type="button" role="tab" id=${`tab-${name}`} aria-controls="tab-panel"
            aria-selected=${tab === name ? "true" : "false"} tabindex=${tab === name ? "0" : "-1"} onClick=${() => this.setState({ tab: name })}>${label}</button>`,
        )}
      </div>
      <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}>
        ${shown && (tab === "batches" ? this.batches(shown.id) : this.failures(shown.id, tab, now))}
      </div>
    </${Dialog}>`;
  }

  failures(id, severity, now) {
    return html`<${Paged} key=${severity} path=${failuresPath(id)} query=${QUERIES[severity]} field="failures" limit=${50} seconds=${LOOK_SECONDS} label="failures">
      ${(rows) => html`<${Table} caption=${`${severity} failures`} columns=${failureColumns(now)} groups=${[{ key: "all", rows }]}
        keyOf=${(failure) => failure.recipient_id} empty=${`No ${severity} failure.`} />`}
    </${Paged}>`;
  }

  batches(id) {
    return html`<${Paged} key="batches" path=${batchesPath(id)} query=${QUERIES.batches} field="batches" limit=${50} seconds=${LOOK_SECONDS} label="batches">
      ${(rows) => html`<${Table} caption="Batches" columns=${BATCH_COLUMNS} groups=${[{ key: "all", rows }]} keyOf=${(batch) => String(batch.id)} empty="It has no batches." />`}
    </${Paged}>`;
  }
}

function Counts({ email, now }) {
  const share = (name, part) => html`<div class="figure"><dt>${name}</dt><dd><${Share} part=${part} whole=${email.recipients} /></dd></div>`;
  return html`<p class="muted">Submitted <${Time} at=${email.submitted_at} now=${now} /> UTC, id <code>${email.id}</code></p>
    <dl class="figures">
      <div class="figure"><dt>Sent</dt><dd>${count(email.recipients)}</dd></div>
      ${share("Delivered", email.delivered)} ${share("Opened", email.opened)} ${share("Clicked", email.clicked)} ${share("Failed", email.failed)}
    </dl>`;
}

function failureColumns(now) {
  return [
    { head: "Recipient", names: true, cell: (failure) => failure.email },
    { head: "Code", numeric: true, cell: (failure) => failure.code ?? "–" },
    { head: "Enhanced code", cell: (failure) => failure.enhanced_code || "–" },
    { head: "Message", cell: (failure) => html`<span class="message">${failure.message}</span>` },
    { head: "Time (UTC)", cell: (failure) => html`<${Time} at=${failure.failed_at} now=${now} />` },
  ];
}

const BATCH_COLUMNS = [
  { head: "Batch", names: true, cell: (batch) => (batch.id === null ? "In no batch" : html`${batch.id}<small class="muted id">${batch.provider_id ?? "no message id yet"}</small>`) },
  { head: "Sent", numeric: true, cell: (batch) => count(batch.recipients) },
  ...["Delivered", "Opened", "Clicked", "Failed"].map((head) => ({
    head,
    numeric: true,
    cell: (batch) => html`<${Share} part=${batch[head.toLowerCase()]} whole=${batch.recipients} />`,
  })),
];
