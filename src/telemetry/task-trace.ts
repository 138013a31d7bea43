import { tell } from './channels.js';
import type { TaskError, TaskStart, TaskStop } from './events.js';

/** How an attempt ended, as it is told. */
export type TaskEnding =
  | { readonly name: 'pgflow:task:stop'; readonly event: TaskStop }
  | { readonly name: 'pgflow:task:error'; readonly event: TaskError };

/**
 * One attempt that somebody hears of: its begin, and once its end, whichever of those who may end it comes first.
 *
 * Modes: `executing → ended` (the clock stands) `→ told`; a commit ends and tells it at once.
 */
export class TaskTrace {
  #mode: 'executing' | 'ended' | 'told' = 'executing';
  readonly #start: TaskStart;
  readonly #began = performance.now();
  #duration = 0;
  #isBeginTold = false;

  constructor(start: TaskStart) {
    this.#start = start;
    // A task may be claimed with the very statement that started its run or completed what it waited for: by the next
    // tick that has been told.
    process.nextTick(() => this.#tellBegin());
  }

  /** The handler has ended, or is not waited for any more. */
  end(): void {
    this.#enter('ended');
  }

  /** What to tell; null when it was told. */
  stopped(outcome: TaskStop['outcome']): TaskEnding | null {
    if (!this.#enter('told')) return null;
    return { name: 'pgflow:task:stop', event: { ...this.#start, outcome, duration: this.#duration } };
  }

  /** What to tell; null when it was told. */
  failed(error: string, retryAt: Date | null): TaskEnding | null {
    if (!this.#enter('told')) return null;
    const willRetry = retryAt !== null;
    const event = { ...this.#start, duration: this.#duration, error, willRetry, retryAt };
    return { name: 'pgflow:task:error', event };
  }

  #tellBegin(): void {
    if (this.#isBeginTold) return;
    this.#isBeginTold = true;
    tell('pgflow:task:start', this.#start);
  }

  #enter(mode: 'ended' | 'told'): boolean {
    if (this.#mode === 'told') return false;
    if (mode === 'told') this.#tellBegin();
    if (this.#mode === 'executing') this.#duration = performance.now() - this.#began;
    this.#mode = mode;
    return true;
  }
}

/** Nothing, for an attempt that nobody hears of or whose end was told. */
export function tellEnding(ending: TaskEnding | null | undefined): void {
  if (ending?.name === 'pgflow:task:stop') tell(ending.name, ending.event);
  else if (ending) tell(ending.name, ending.event);
}
