/** The page: what the stream tells, drawn; one clock for all that ticks. */
import { probe } from "./api.js";
import { timeOfDay } from "./format.js";
import { Component, html, render } from "./parts/dom.js";
import { Confirmation } from "./parts/dialog.js";
import { Icon } from "./parts/icon.js";
import { Consumers } from "./sections/consumers.js";
import { EmailDetails } from "./sections/email_details.js";
import { Emails } from "./sections/emails.js";
import { Letters } from "./sections/letters.js";
import { Loops } from "./sections/loops.js";
import { Overview } from "./sections/overview.js";
import { Schedules } from "./sections/schedules.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";

const SECTIONS = [
  ["overview", "Overview"],
  ["loops", "Loops"],
  ["schedules", "Schedules"],
  ["emails", "Emails"],
  ["letters", "Dead letters"],
  ["consumers", "Consumers"],
];
const SAID_SECONDS = 12;

/** `#emails/<id>` opens an email. */
function emailOf(hash) {
  return hash.startsWith("#emails/") ? decodeURIComponent(hash.slice("#emails/".length)) : null;
}

class App extends Component {
  state = { known: this.props.store.known, tick: Date.now(), email: emailOf(location.hash), question: null, said: null };
  ask = (question) => this.setState({ question });
  say = (text) => this.setState({ said: { text, until: Date.now() + SAID_SECONDS * 1000 } });

  componentDidMount() {
    this.props.store.listen((known) => this.setState({ known, tick: Date.now() }));
    setInterval(() => this.setState({ tick: Date.now() }), 1000);
    addEventListener("hashchange", () => this.setState({ email: emailOf(location.hash) }));
  }

  render({ store, eventTypes, reasons }, { known, tick, email, question, said }) {
    const now = tick + known.offset;
    const day = now - (now % 86_400_000);
    const isSaid = said && said.until > tick;
    return html`<${Header} known=${known} now=${now} />
      <main id="main" tabindex="-1" class=${known.connected || !known.everConnected ? "" : "stale"}>
        <${Overview} known=${known} now=${now} />
        <${Loops} loops=${known.loops} now=${now} />
        <${Schedules} schedules=${known.schedules} domains=${known.domains} retentionHours=${known.retentionHours}
          eventTypes=${eventTypes} now=${now} ask=${this.ask} say=${this.say} />
        <${Emails} emails=${known.emails} fault=${known.faults.emails} now=${day} />
        <${Letters} dlq=${known.dlq} fault=${known.faults.dlq} reasons=${reasons} now=${day} ask=${this.ask} />
        <${Consumers} consumers=${known.consumers} fault=${known.faults.consumers} />
      </main>
      <p class=${isSaid ? "said" : "said hidden"} role="status">${isSaid && said.text}</p>
      ${email !== null &&
      html`<${EmailDetails} key=${email} id=${email} now=${day} live=${known.emails?.find((each) => each.id === email)} onClose=${() => location.assign("#emails")} />`}
      ${question &&
      html`<${Confirmation} question=${question} onClose=${() => this.setState({ question: null })}
        onDone=${(text) => this.setState({ question: null }, () => this.say(text))} />`}`;
  }
}

function Header({ known, now }) {
  return html`<header class="top">
    <a class="skip" href="#main">Skip to the content</a>
    <h1><img src="/static/favicon.svg" alt="" width="22" height="22" /> Mailriver <small class="muted">${known.version}</small></h1>
    <nav aria-label="Sections"><ul>
      ${SECTIONS.map(([id, name]) => html`<li key=${id}><a href=${`#${id}`}>${name}</a></li>`)}
    </ul></nav>
    <p class=${known.connected ? "live" : "live off"}><span class="dot" aria-hidden="true"></span>${known.connected ? "Live" : "Not live"}
      <time>${timeOfDay(now)} UTC</time></p>
    <div class="lost" aria-live="polite"><${Lost} known=${known} /></div>
  </header>`;
}

function Lost({ known }) {
  if (known.connected || !known.everConnected) return null;
  const at = timeOfDay(known.heardAt + known.offset);
  return html`<p class="banner"><${Icon} name="warning" /><span><strong>Connection lost</strong>, data of ${at} UTC, retrying.</span></p>`;
}

const root = document.getElementById("app");
const store = new Store();
const words = (name) => root.dataset[name].split(" ");
render(html`<${App} store=${store} eventTypes=${words("eventTypes")} reasons=${words("reasons")} />`, root);
new Stream("/api/stream", {
  took: (type, data) => store.take(type, data),
  lost: () => {
    store.take("lost");
    probe();
  },
}).open();
// The sections are drawn now: go to the one that the address names.
if (location.hash && emailOf(location.hash) === null) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.scrollIntoView();
