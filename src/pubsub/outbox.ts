/** What one notification may have. */
export const MOST_BYTES = 7999;
/** For the envelope around the entries of a notification. */
const ENVELOPE_BYTES = 125;
/** Milliseconds between two sends. */
const COALESCE = 10;
/** Milliseconds that a send may hold up the next: a dead connection is found dead later than that. */
const PATIENCE = 1000;

/** How many bytes one entry may have. */
export const MOST_ENTRY_BYTES = MOST_BYTES - ENVELOPE_BYTES;

/**
 * Gathers entries and sends them together: the first at once, then at most every 10 ms, as few payloads
 * as hold them, and not before the send before is through: it takes one connection at a time. Equal entries that
 * wait together are sent once.
 */
export class Outbox {
  readonly #envelope: string;
  readonly #notify: (payloads: readonly string[]) => Promise<void>;
  readonly #waiting = new Set<string>();
  /** Of the batch that still takes entries. */
  #batch: Promise<void> | undefined;
  #ready: Promise<unknown> = Promise.resolve();

  /**
   * @param envelope how each payload begins, up to the first entry; `]}` ends it.
   */
  constructor(envelope: string, notify: (payloads: readonly string[]) => Promise<void>) {
    this.#envelope = envelope;
    this.#notify = notify;
  }

  /** Resolves when the entry was sent, rejects when it was not. */
  add(entry: string): Promise<void> {
    this.#waiting.add(entry);
    this.#batch ??= this.#sendNext();
    return this.#batch;
  }

  /** Resolves when nothing waits any more. */
  async flush(): Promise<void> {
    while (this.#batch) await this.#batch.catch(() => {});
  }

  async #sendNext(): Promise<void> {
    await this.#ready;
    // What is published in the same turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve));
    const entries = [...this.#waiting];
    this.#waiting.clear();
    this.#batch = undefined;
    const sent = this.#notify(this.#pack(entries));
    this.#ready = Promise.all([pause(COALESCE), endOf(sent)]);
    await sent;
  }

  #pack(entries: readonly string[]): string[] {
    const payloads: string[] = [];
    let current: string[] = [];
    let bytes = ENVELOPE_BYTES;
    const close = () => {
      if (current.length > 0) payloads.push(`${this.#envelope}${current.join(',')}]}`);
      current = [];
      bytes = ENVELOPE_BYTES;
    };
    for (const entry of entries) {
      const size = Buffer.byteLength(entry) + 1;
      if (bytes + size > MOST_BYTES) close();
      current.push(entry);
      bytes += size;
    }
    close();
    return payloads;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Resolves when it has settled, or taken too long. */
function endOf(sent: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    sent.then(end, end);
  });
}
