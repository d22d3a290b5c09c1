/** Dead letters: why they died, what is in them, and the way back. */
import { replay } from "../api.js";
import { count, counted, shortened } from "../format.js";
import { html, Pure } from "../parts/dom.js";
import { Dialog } from "../parts/dialog.js";
import { State } from "../parts/icon.js";
import { Paged } from "../parts/paged.js";
import { Table } from "../parts/table.js";
import { Time } from "../parts/time.js";

const A_PAGE = 25;
const MOST_SHOWN = 20_000;

const place = (letter) => `${letter.topic} / ${letter.partition} / ${letter.offset}`;

export class Letters extends Pure {
  state = { reason: "", open: null, replays: 0 };

  /** Ask, replay, and look again. */
  ask(question) {
    this.props.ask({
      ...question,
      run: async () => {
        const said = await question.run();
        this.setState({ replays: this.state.replays + 1, open: null });
        return said;
      },
    });
  }

  render({ dlq, reasons, now }, { reason, open, replays }) {
    const topics = Object.entries(dlq.records);
    return html`<section id="letters" aria-labelledby="letters-title">
      <div class="head">
        <h2 id="letters-title">Dead letters</h2>
        <div class="tools">
          <label>Reason <select value=${reason} onChange=${(event) => this.setState({ reason: event.target.value })}>
            <option value="">all</option>
            ${reasons.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
          </select></label>
          <button type="button" disabled=${!reason} onClick=${() => this.ask(allOf(reason, topics.map(([topic]) => topic)))}>Replay all of this reason</button>
          <span class="muted">${topics.map(([topic, records]) => `${topic}: ${count(records)}`).join(", ")}</span>
        </div>
      </div>
      <${Paged} path="/api/dlq" query=${{ reason }} field="records" limit=${A_PAGE} seconds=${15} fresh=${`${replays} ${topics}`} label="dead letters">
        ${(rows) => html`<${Table} caption="Dead letters, newest first" columns=${this.columns(now)} groups=${[{ key: "all", rows }]}
          keyOf=${place} empty=${reason ? "No dead letter has this reason." : "There are no dead letters."} />`}
      </${Paged}>
      ${open && html`<${Letter} letter=${open} now=${now} ask=${(question) => this.ask(question)} onClose=${() => this.setState({ open: null })} />`}
    </section>`;
  }

  columns(now) {
    return [
      { head: "Reason", names: true, cell: (letter) => letter.reason },
      { head: "Error", cell: (letter) => html`<span class="message">${letter.error}</span>` },
      { head: "Stage", cell: (letter) => letter.stage },
      { head: "Time (UTC)", cell: (letter) => html`<${Time} at=${letter.timestamp} now=${now} />` },
      { head: "Topic / partition / offset", cell: (letter) => html`<span class="id">${place(letter)}</span>` },
      { head: "Replayed", cell: (letter) => (letter.replayed_at ? html`<${State} state="done" /> <${Time} at=${letter.replayed_at} now=${now} />` : html`<span class="muted">no</span>`) },
      {
        head: "Action",
        cell: (letter) => html`<span class="actions">
          <button type="button" aria-label=${`Look at ${place(letter)}`} onClick=${() => this.setState({ open: letter })}>Look</button>
          <button type="button" aria-label=${`Replay ${place(letter)}`} disabled=${Boolean(letter.replayed_at)} onClick=${() => this.ask(oneOf(letter))}>Replay</button>
        </span>`,
      },
    ];
  }
}

function oneOf(letter) {
  return {
    title: "Replay this dead letter?",
    text: `${place(letter)} goes back to ${letter.original_topic}, bytes unchanged. If its cause is still there, it comes back as another dead letter.`,
    keep: "Leave it",
    act: "Replay it",
    run: async () => {
      const order = { topic: letter.topic, offsets: [{ partition: letter.partition, offset: letter.offset }] };
      return `${counted((await replay(order)).replayed, "dead letter")} replayed.`;
    },
  };
}

function allOf(reason, topics) {
  return {
    title: `Replay all dead letters of reason ${reason}?`,
    text: `All of ${topics.join(" and ")} that were not replayed yet go back to where they came from.`,
    keep: "Leave them",
    act: "Replay all",
    run: async () => {
      const answers = [];
      for (const topic of topics) answers.push(await replay({ topic, reason }));
      return `${counted(answers.reduce((sum, answer) => sum + answer.replayed, 0), "dead letter")} replayed.`;
    },
  };
}

function Letter({ letter, now, ask, onClose }) {
  const { text, left } = shortened(letter.payload ?? "", MOST_SHOWN);
  const facts = [
    ["Error", letter.error],
    ["Stage", letter.stage],
    ["Time (UTC)", html`<${Time} at=${letter.timestamp} now=${now} />`],
    ["Dead letter at", place(letter)],
    ["Came from", `${letter.original_topic} / ${letter.original_partition} / ${letter.original_offset}`],
    ["Replayed", letter.replayed_at ? html`<${Time} at=${letter.replayed_at} now=${now} />` : "no"],
  ];
  return html`<${Dialog} title=${`Dead letter: ${letter.reason}`} onClose=${onClose}>
    <dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd key=${`${name}:`}>${value}</dd>`)}</dl>
    <h3>Payload</h3>
    <pre tabindex="0" aria-label="Payload">${text}</pre>
    ${left > 0 && html`<p class="muted">${count(left)} more characters: \`mailriver dlq show\` has the whole of it.</p>`}
    ${!letter.replayed_at && html`<p class="actions"><button type="button" class="main" onClick=${() => ask(oneOf(letter))}>Replay</button></p>`}
  </${Dialog}>`;
}
