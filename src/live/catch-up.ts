import { after, nothing, retryPause } from './timer.js';

const SHORTEST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;

/**
 * When one run is read again: one read at a time, and with growing pauses while it fails.
 *
 * Modes: `resting → waiting → reading → resting`.
 */
export class CatchUp {
  #mode: 'resting' | 'waiting' | 'reading' = 'resting';
  readonly #read: () => Promise<void>;
  readonly #onRest: () => void;
  #failures = 0;
  #stopTimer: () => void = nothing;

  /** `read` rejects when it failed. `onRest` is called after each read, to say whether another is due. */
  constructor(read: () => Promise<void>, onRest: () => void) {
    this.#read = read;
    this.#onRest = onRest;
  }

  get isReading(): boolean {
    return this.#mode === 'reading';
  }

  /** A read is due, in so many milliseconds; sooner than one that waits already, never sooner than a retry. */
  ask(patience: number): void {
    if (this.#mode === 'reading') return;
    const isRetry = this.#failures > 0;
    if (this.#mode === 'waiting' && (isRetry || patience > 0)) return;
    const pause = isRetry ? retryPause(SHORTEST_RETRY_MS, LONGEST_RETRY_MS, this.#failures) : patience;
    if (pause === 0) void this.#run();
    else this.#enter('waiting', pause);
  }

  /** None is due any more: the news came another way, so the next read does not wait as a retry would. */
  cancel(): void {
    if (this.#mode === 'reading') return;
    this.#failures = 0;
    if (this.#mode === 'waiting') this.#enter('resting');
  }

  async #run(): Promise<void> {
    this.#enter('reading');
    try {
      await this.#read();
      this.#failures = 0;
    } catch {
      this.#failures++;
    }
    this.#enter('resting');
    this.#onRest();
  }

  #enter(mode: 'resting' | 'waiting' | 'reading', pause = 0): void {
    this.#mode = mode;
    this.#stopTimer();
    this.#stopTimer = mode === 'waiting' ? after(pause, () => void this.#run()) : nothing;
  }
}
