import { callWatcher } from '../run/call-watcher.js';
import { after, nothing } from './timer.js';

/**
 * One subscription to a topic, on a bus that may refuse, or take its time.
 *
 * Modes: `closed → asking → open → closed`; refused: `asking → closed`.
 */
export class TopicSubscription {
  #mode: 'closed' | 'asking' | 'open' = 'closed';
  readonly #subscribe: () => Promise<() => void>;
  readonly #onOpen: () => void;
  #stop: () => void = nothing;
  #asked: Promise<void> = Promise.resolve();
  #turn = 0;

  constructor(subscribe: () => Promise<() => void>, onOpen: () => void) {
    this.#subscribe = subscribe;
    this.#onOpen = onOpen;
  }

  get isOpen(): boolean {
    return this.#mode === 'open';
  }

  /** Resolves when the bus has answered, whatever it said. Asks again only if it is closed. */
  open(): Promise<void> {
    if (this.#mode === 'closed') this.#enter('asking');
    return this.#asked;
  }

  /** As `open`, but waits so many milliseconds at most. */
  openWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = after(ms, resolve);
      void this.open().then(() => {
        stop();
        resolve();
      });
    });
  }

  close(): void {
    if (this.#mode !== 'closed') this.#enter('closed');
  }

  async #ask(turn: number): Promise<void> {
    try {
      const stop = await this.#subscribe();
      if (turn !== this.#turn) return callWatcher(stop);
      this.#stop = stop;
      this.#enter('open');
      this.#onOpen();
    } catch {
      if (turn === this.#turn) this.#enter('closed');
    }
  }

  #enter(mode: 'closed' | 'asking' | 'open'): void {
    this.#mode = mode;
    if (mode === 'asking') this.#asked = this.#ask(++this.#turn);
    if (mode !== 'closed') return;
    this.#turn++;
    const stop = this.#stop;
    this.#stop = nothing;
    callWatcher(stop);
  }
}
