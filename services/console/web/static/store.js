/** The one place where what the page knows changes. */
import { NOTHING, after } from "./model.js";

/** Holds what is known and tells who listens of every change. */
export class Store {
  known = NOTHING;
  #listeners = new Set();

  /** Take in an event of the stream, or `lost`. */
  take(type, data) {
    this.known = after(this.known, type, data, Date.now());
    for (const listener of this.#listeners) listener(this.known);
  }

  /** Be told of every change. */
  listen(listener) {
    this.#listeners.add(listener);
  }
}
