/** Dead letters: why they died, what is in them, and the way back. */
import { letter as askLetter, replay } from "../api.js";
import { count, counted, shortened } from "../format.js";
import { Component, html, Pure } from "../parts/dom.js";
import { Dialog } from "../parts/dialog.js";
import { Unknown } from "../parts/fault.js";
import { State } from "../parts/icon.js";
import { Paged } from "../parts/paged.js";
import { Table } from "../parts/table.js";
import { Time } from "../parts/time.js";

const A_PAGE = 25;
const MOST_SHOWN = 20_000;

/** Whether a replay takes it: not again, and not what was too large to be kept whole. */
const canReplay = (letter) => !letter.replayed_at && letter.size === null;
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

  render({ dlq, fault, reasons, now }, { reason, open, replays }) {
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
      <${Unknown} faults=${[fault]} />
      <${Paged} path="/api/dlq" query=${{ reason }} field="records" limit=${A_PAGE} seconds=${15} fresh=${`${replays} ${topics}`} label="dead letters">
        ${(rows, more) => html`<${Table} caption="Dead letters, newest first" columns=${this.columns(now)} groups=${[{ key: "all", rows }]}
          keyOf=${place} empty=${emptiness(reason, more)} />`}
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
      { head: "Replayed", cell: (letter) => (letter.replayed_at ? html`<${State} state="done" word="replayed" /> <${Time} at=${letter.replayed_at} now=${now} />` : html`<span class="muted">no</span>`) },
      {
        head: "Action",
        cell: (letter) => html`<span class="actions">
          <button type="button" aria-label=${`Look at ${place(letter)}`} onClick=${() => this.setState({ open: letter })}>Look</button>
          <button type="button" aria-label=${`Replay ${place(letter)}`} disabled=${!canReplay(letter)} onClick=${() => this.ask(oneOf(letter))}>Replay</button>
        </span>`,
      },
    ];
  }
}

function emptiness(reason, more) {
  if (more) return "None among those looked at; older ones may be.";
  return reason ? "No dead letter has this reason." : "There are no dead letters.";
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

/** One dead letter, asked for whole: a list cuts what is long. */
class Letter extends Component {
  state = { whole: null, fault: null };

  async componentDidMount() {
    try {
      this.setState({ whole: await askLetter(this.props.letter) });
    } catch (refused) {
      this.setState({ fault: refused.message });
    }
  }

  render({ letter: listed, now, ask, onClose }, { whole, fault }) {
    const letter = whole ?? listed;
    return html`<${Dialog} title=${`Dead letter: ${letter.reason}`} onClose=${onClose}>
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      <dl class="facts">${facts(letter, now).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd key=${`${name}:`}>${value}</dd>`)}</dl>
      ${letter.decoded && html`<${Text} name="What it holds" text=${letter.decoded} />`}
      <${Text} name="Payload" text=${letter.payload ?? "(none)"} />
      ${canReplay(letter) && html`<p class="actions"><button type="button" class="main" onClick=${() => ask(oneOf(letter))}>Replay</button></p>`}
    </${Dialog}>`;
  }
}

function facts(letter, now) {
  return [
    ["Error", letter.error],
    ["Stage", letter.stage],
    ["Time (UTC)", html`<${Time} at=${letter.timestamp} now=${now} />`],
    ["Dead letter at", place(letter)],
    ["Came from", `${letter.original_topic} / ${letter.original_partition} / ${letter.original_offset}`],
    ["Replayed", letter.replayed_at ? html`<${Time} at=${letter.replayed_at} now=${now} />` : "no"],
    ...(letter.size === null ? [] : [["Size", `${count(letter.size)} bytes; only the beginning is kept, so it cannot be replayed`]]),
  ];
}

function Text({ name, text: all }) {
  const { text, left } = shortened(all, MOST_SHOWN);
  return html`<h3>${name}</h3>
    <pre tabindex="0" aria-label=${name}>${text}</pre>
    ${left > 0 && html`<p class="muted">${count(left)} more characters: <code>mailriver dlq show</code> has the whole of it.</p>`}`;
}
