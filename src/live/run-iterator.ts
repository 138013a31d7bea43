import { isTerminalRun, type Run } from '../run/run.js';
import type { Watchable } from './wait-for.js';

type Result = IteratorResult<Run, undefined>;

const DONE: Result = { done: true, value: undefined };

/**
 * Gives the current run first, then the newest each time it is asked: what came and went between two
 * questions is left out. Ends after a terminal run, and when the live run is closed or gone; a run that had ended before
 * that is given first.
 *
 * Modes: `fresh` (nothing subscribed yet) → `open` → `done`.
 */
export class RunIterator implements AsyncIterableIterator<Run, undefined> {
  #mode: 'fresh' | 'open' | 'done' = 'fresh';
  readonly #live: Watchable;
  #given: Run | null = null;
  readonly #asking: ((result: Result) => void)[] = [];
  #stops: (() => void)[] = [];

  constructor(live: Watchable) {
    this.#live = live;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      if (this.#mode === 'fresh') this.#enter('open');
      this.#answer();
    });
  }

  async return(): Promise<Result> {
    this.#enter('done');
    return DONE;
  }

  #answer(): void {
    if (this.#mode === 'open' && this.#asking.length > 0) this.#giveNews();
    if (this.#mode === 'done') for (const resolve of this.#asking.splice(0)) resolve(DONE);
  }

  #giveNews(): void {
    const run = this.#live.getSnapshot();
    const isFinal = isTerminalRun(run.status);
    const isOver = isFinal || this.#live.ended !== null;
    // What has ended stays as it is; of anything else a closed handle does not know any more.
    if (run !== this.#given && (isFinal || !isOver)) {
      this.#given = run;
      this.#asking.shift()!({ done: false, value: run });
    }
    if (isOver) this.#enter('done');
  }

  #enter(mode: 'open' | 'done'): void {
    if (this.#mode === 'done') return;
    this.#mode = mode;
    if (mode === 'open') {
      this.#stops = [this.#live.subscribe(() => this.#answer()), this.#live.onEnd(() => this.#answer())];
      return;
    }
    for (const stop of this.#stops.splice(0)) stop();
    this.#answer();
  }
}
