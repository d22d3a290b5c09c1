/** Tables that turn into cards on a phone. The roles are written out since browsers forget them when cells are no cells any more. */
import { html } from "./dom.js";

/**
 * @param {{caption: string, columns: {head: string, cell: (row: any) => any, numeric?: boolean, names?: boolean}[],
 *   groups: {key: string, title?: string, rows: any[]}[], keyOf: (row: any) => string, empty: string}} properties
 *   `names`: the column whose cell is the heading of its row
 */
export function Table({ caption, columns, groups, keyOf, empty }) {
  if (groups.every((group) => group.rows.length === 0)) return html`<p class="empty">${empty}</p>`;
  return html`<div class="table" role="region" aria-label=${caption} tabindex="0">
    <table role="table">
      <caption class="hidden">${caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          ${columns.map(({ head, numeric }) => html`<th key=${head} role="columnheader" scope="col" class=${numeric && "number"}>${head}</th>`)}
        </tr>
      </thead>
      ${groups.map(
        (group) => html`<tbody role="rowgroup" key=${group.key}>
          ${group.title &&
          html`<tr role="row" class="group"><th role="rowheader" scope="rowgroup" colspan=${columns.length}>${group.title}</th></tr>`}
          ${group.rows.map((row) => html`<${Row} key=${keyOf(row)} row=${row} columns=${columns} />`)}
        </tbody>`,
      )}
    </table>
  </div>`;
}

function Row({ row, columns }) {
  return html`<tr role="row">
    ${columns.map(({ head, cell, numeric, names }) =>
      names
        ? html`<th key=${head} role="rowheader" scope="row" data-label=${head}>${cell(row)}</th>`
        : html`<td key=${head} role="cell" class=${numeric && "number"} data-label=${head}>${cell(row)}</td>`,
    )}
  </tr>`;
}
