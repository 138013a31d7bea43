/** Milliseconds between two words. */
const PAUSE = 1_000;

export interface ListMessage {
  /** Who says it: its own lists have heard it already. */
  readonly from: string;
}

/**
 * Tells other processes that runs were started, changed or deleted, for their lists of runs: the first time at once,
 * then at most once a second, whatever the number of changes. A change costs one look at the mode.
 *
 * Modes: `quiet → pausing → due → pausing …`, `pausing → quiet`; any → `closed`.
 */
export class ListSignal {
  #mode: 'quiet' | 'pausing' | 'due' | 'closed' = 'quiet';
  readonly #message: ListMessage = { from: crypto.randomUUID() };
  readonly #publish: (message: ListMessage) => void;
  #timer: NodeJS.Timeout | undefined;

  /** `publish` may not throw. */
  constructor(publish: (message: ListMessage) => void) {
    this.#publish = publish;
  }

  tell(): void {
    if (this.#mode === 'quiet') this.#send();
    else if (this.#mode === 'pausing') this.#enter('due');
  }

  isOwn(message: unknown): boolean {
    return (message as Partial<ListMessage> | null)?.from === this.#message.from;
  }

  /** What is due is said at once. */
  close(): void {
    if (this.#mode === 'due') this.#publish(this.#message);
    this.#enter('closed');
  }

  #send(): void {
    this.#enter('pausing');
    this.#publish(this.#message);
  }

  #enter(mode: 'quiet' | 'pausing' | 'due' | 'closed'): void {
    this.#mode = mode;
    if (mode === 'closed') clearTimeout(this.#timer);
    if (mode !== 'pausing') return;
    this.#timer = setTimeout(() => (this.#mode === 'due' ? this.#send() : this.#enter('quiet')), PAUSE);
    this.#timer.unref();
  }
}
