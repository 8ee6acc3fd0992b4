/**
 * A parser of `text/event-stream` (WHATWG HTML, section 9.2.6), fed with bytes as they arrive.
 *
 * Chunks may end anywhere: inside a character, between CR and LF, in the middle of an event. An
 * event is handed on at its blank line; what follows the last blank line is never an event.
 */
export class EventStreamParser {
  #decoder = new TextDecoder("utf-8"); // takes a byte order mark off the start, as it should
  #text = "";
  #afterCr = false;
  #data = [];
  #type = "";
  #id = "";
  #onEvent;
  #onRetry;

  /**
   * @param {(event: {type: string, data: string, id: string}) => void} onEvent
   *   gets each event; `type` is "message" where the stream names none, `id` the last one seen.
   * @param {(milliseconds: number) => void} [onRetry] gets each reconnection time.
   */
  constructor(onEvent, onRetry = () => {}) {
    this.#onEvent = onEvent;
    this.#onRetry = onRetry;
  }

  /** @param {Uint8Array} bytes the next piece of the stream */
  feed(bytes) {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    let start = 0;
    for (;;) {
      // An LF right behind a CR belongs to it, even where it came in the next chunk.
      if (this.#afterCr && start < this.#text.length) {
        if (this.#text[start] === "\n") start += 1;
        this.#afterCr = false;
      }
      const end = lineEnd(this.#text, start);
      if (end === -1) break;
      this.#line(this.#text.slice(start, end));
      this.#afterCr = this.#text[end] === "\r";
      start = end + 1;
    }
    this.#text = this.#text.slice(start);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: the heartbeat
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.#onRetry(Number(value));
  }

  #dispatch() {
    const [data, type] = [this.#data, this.#type];
    this.#data = [];
    this.#type = "";
    if (data.length) {
      this.#onEvent({ type: type || "message", data: data.join("\n"), id: this.#id });
    }
  }
}

function lineEnd(text, start) {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === "\n" || text[at] === "\r") return at;
  }
  return -1;
}
