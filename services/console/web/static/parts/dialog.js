/** Dialogs on the browser's own element: it keeps the focus inside, closes with Escape and gives the focus back. */
import { Component, html } from "./dom.js";
import { Icon } from "./icon.js";

export class Dialog extends Component {
  take = (element) => {
    this.element = element ?? this.element;
  };

  componentDidMount() {
    this.element.showModal();
  }

  componentWillUnmount() {
    this.gone = true;
    this.element.close();
  }

  render({ title, kind, onClose, children }) {
    const close = () => this.element.close();
    return html`<dialog
      ref=${this.take}
      class=${kind ?? "wide"}
      aria-label=${title}
      onClose=${() => this.gone || onClose()}
      onClick=${(event) => event.target === this.element && close()}
    >
      <div class="dialog-inside">
        <header class="dialog-head">
          <h2>${title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick=${close}><${Icon} name="close" /></button>
        </header>
        ${children}
      </div>
    </dialog>`;
  }
}

/**
 * Asks before something is done, does it, and says what came of it.
 * `question`: {title, text, keep, act, run}: `run` does it and resolves to what is said then.
 */
export class Confirmation extends Component {
  state = { busy: false, fault: null };

  async act() {
    this.setState({ busy: true, fault: null });
    try {
      this.props.onDone(await this.props.question.run());
    } catch (refused) {
      this.setState({ busy: false, fault: refused.message });
    }
  }

  render({ question, onClose }, { busy, fault }) {
    return html`<${Dialog} title=${question.title} kind="narrow" onClose=${onClose}>
      <p>${question.text}</p>
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
      <p class="actions">
        <button type="button" autofocus onClick=${onClose}>${question.keep}</button>
        <button type="button" class="danger" disabled=${busy} onClick=${() => this.act()}>${question.act}</button>
      </p>
    </${Dialog}>`;
  }
}
