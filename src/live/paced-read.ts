import { after, retryPause } from './timer.js';

const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
/** A read that took long is followed by a pause of nine times that: it never has more than a tenth of the time. */
const PAUSE_PER_READ = 9;

/**
 * When something is read again: at once the first time, then at most once a second, one read at a time, and less
 * often when reads are slow or fail. What fails is read again without being asked for.
 *
 * Modes: `resting → reading → pausing → resting | reading`; any → `closed`.
 */
export class PacedRead {
  #mode: 'resting' | 'reading' | 'pausing' | 'closed' = 'resting';
  readonly #read: () => Promise<void>;
  /** Asked for since the last read began, or failed then. */
  #isDue = false;
  #failures = 0;
  #stopTimer: () => void = () => {};

  /** `read` rejects when it failed. */
  constructor(read: () => Promise<void>) {
    this.#read = read;
  }

  /** Something may have changed. */
  ask(): void {
    if (this.#mode === 'resting') void this.#run();
    else this.#isDue = true;
  }

  close(): void {
    this.#enter('closed');
  }

  async #run(): Promise<void> {
    this.#isDue = false;
    this.#enter('reading');
    const began = performance.now();
    try {
      await this.#read();
      this.#failures = 0;
      this.#enter('pausing', Math.max(SHORTEST_PAUSE_MS, (performance.now() - began) * PAUSE_PER_READ));
    } catch {
      this.#isDue = true;
      this.#failures++;
      this.#enter('pausing', retryPause(SHORTEST_PAUSE_MS, LONGEST_RETRY_MS, this.#failures));
    }
  }

  #enter(mode: 'resting' | 'reading' | 'pausing' | 'closed', pause = 0): void {
    if (this.#mode === 'closed') return;
    this.#mode = mode;
    this.#stopTimer();
    this.#stopTimer = mode === 'pausing' ? after(pause, () => this.#goOn()) : () => {};
  }

  #goOn(): void {
    if (this.#isDue) void this.#run();
    else this.#enter('resting');
  }
}
