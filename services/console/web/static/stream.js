/** The live stream: opened, watched, and opened again when it is lost. */

const EVENTS = ["hello", "loops", "emails", "consumers", "services", "dlq", "ping"];
/** The server pings every 5 s. */
const SILENCE_MILLIS = 12_000;
const RETRY_MILLIS = 2_000;

export class Stream {
  #source = null;
  #timer = null;

  /**
   * @param {string} path
   * @param {{took: (type: string, data: any) => void, lost: () => void}} told `lost` before each new try
   */
  constructor(path, told) {
    this.path = path;
    this.told = told;
  }

  /** Open it, and keep it open. */
  open() {
    this.#source = new EventSource(this.path);
    for (const type of EVENTS) {
      this.#source.addEventListener(type, (event) => {
        this.#wait(SILENCE_MILLIS, () => this.#lose());
        this.told.took(type, type === "ping" ? null : JSON.parse(event.data));
      });
    }
    this.#source.addEventListener("error", () => this.#lose());
    this.#wait(SILENCE_MILLIS, () => this.#lose());
  }

  #lose() {
    this.#source.close();
    this.told.lost();
    this.#wait(RETRY_MILLIS, () => this.open());
  }

  #wait(millis, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, millis);
  }
}
