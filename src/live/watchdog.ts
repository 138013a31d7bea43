import { after, retryPause } from './timer.js';

/** Seconds between two questions at most, while they go unanswered. */
const LONGEST_PAUSE = 30;

/**
 * Asks a question again and again, while there is anything to ask about: no two at once, and less
 * often while it fails.
 *
 * Modes: `idle ⇄ waiting → asking → waiting | idle`; any → `closed`.
 */
export class Watchdog {
  #mode: 'idle' | 'waiting' | 'asking' | 'closed' = 'idle';
  readonly #interval: number;
  readonly #isNeeded: () => boolean;
  readonly #ask: () => Promise<void>;
  #failures = 0;
  #stopTimer: () => void = () => {};

  /** `interval` in seconds. `ask` may reject. */
  constructor(interval: number, isNeeded: () => boolean, ask: () => Promise<void>) {
    this.#interval = interval;
    this.#isNeeded = isNeeded;
    this.#ask = ask;
  }

  /** What it is asked about came or went. */
  adjust(): void {
    if (this.#mode === 'idle' || this.#mode === 'waiting') this.#rest();
  }

  close(): void {
    this.#enter('closed');
  }

  async #run(): Promise<void> {
    this.#enter('asking');
    try {
      await this.#ask();
      this.#failures = 0;
    } catch {
      this.#failures++;
    }
    this.#rest();
  }

  #rest(): void {
    const mode = this.#isNeeded() ? 'waiting' : 'idle';
    if (mode !== this.#mode) this.#enter(mode);
  }

  #enter(mode: 'idle' | 'waiting' | 'asking' | 'closed'): void {
    if (this.#mode === 'closed') return;
    this.#mode = mode;
    this.#stopTimer();
    this.#stopTimer = mode === 'waiting' ? after(this.#pause() * 1000, () => void this.#run()) : () => {};
  }

  #pause(): number {
    if (this.#failures === 0) return this.#interval;
    return retryPause(this.#interval, Math.max(LONGEST_PAUSE, this.#interval), this.#failures);
  }
}
