/** The emails, newest first, with what became of them. */
import { count } from "../format.js";
import { html, Pure } from "../parts/dom.js";
import { Unknown } from "../parts/fault.js";
import { Paged } from "../parts/paged.js";
import { Table } from "../parts/table.js";
import { Share, Time } from "../parts/time.js";

const A_PAGE = 50;
const NO_QUERY = {};

/** The hash of an email's own view. */
export const emailHash = (id) => `#emails/${encodeURIComponent(id)}`;

export class Emails extends Pure {
  render({ emails, fault, now }) {
    return html`<section id="emails" aria-labelledby="emails-title">
      <h2 id="emails-title">Emails</h2>
      <${Unknown} faults=${[fault]} />
      <${Paged} path="/api/emails" query=${NO_QUERY} field="emails" limit=${A_PAGE} seconds=${15} live=${emails} label="emails">
        ${(rows) => html`<${Table} caption="Emails, newest first" columns=${columns(now)} groups=${[{ key: "all", rows }]}
          keyOf=${(email) => email.id} empty="No email has been submitted yet." />`}
      </${Paged}>
    </section>`;
  }
}

function columns(now) {
  const share = (head, field) => ({
    head,
    numeric: true,
    cell: (email) => html`<${Share} part=${email[field]} whole=${email.recipients} />`,
  });
  return [
    { head: "Subject", names: true, cell: (email) => html`<a href=${emailHash(email.id)}>${email.subject || "(no subject)"}</a>` },
    { head: "Submitted", cell: (email) => html`<${Time} at=${email.submitted_at} now=${now} />` },
    { head: "Sent", numeric: true, cell: (email) => count(email.recipients) },
    share("Delivered", "delivered"),
    share("Opened", "opened"),
    share("Clicked", "clicked"),
    share("Failed", "failed"),
  ];
}
