/** Small pictures beside words; never instead of them. */
import { html } from "./dom.js";

const PATHS = {
  idle: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Zm0 2.5v3.2l2.2 1.6",
  running: "M5 3.2v9.6l7.5-4.8L5 3.2Z",
  backing_off: "M8 2.2 14.2 13H1.8L8 2.2Zm0 4v3.2m0 1.6v.6",
  failed: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM5.8 5.8l4.4 4.4m0-4.4-4.4 4.4",
  queued: "M3 4.5h10M3 8h10M3 11.5h6",
  done: "m3 8.4 3.3 3.3L13 5",
  canceled: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM4.2 11.8l7.6-7.6",
  close: "m4 4 8 8m0-8-8 8",
};
const SAME = { up: "done", down: "failed", warning: "backing_off" };

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d=${PATHS[SAME[name] ?? name] ?? PATHS.idle} />
  </svg>`;
}

/** A state as word, colour and picture. */
export function State({ state, word }) {
  return html`<span class=${`state state-${state}`}><${Icon} name=${state} />${word ?? state.replace("_", " ")}</span>`;
}
