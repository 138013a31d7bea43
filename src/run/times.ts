import { readText, refuse } from './wire.js';

/** As many as are compared with: a run's own, which are read first, and those of a few steps. */
const MOST_KEPT = 8;

/**
 * The times of one message. Equal ones are one Date, as each is 96 bytes (V8): most steps of a run were created at its
 * start, and what ends a run ends its last step.
 */
export class Times {
  readonly #texts: string[] = [];
  readonly #dates: Date[] = [];

  /** `known` is the Date that the run has in that place: it stays, if it is equal. */
  read(value: unknown, known?: Date): Date {
    const text = readText(value, 40);
    const same = this.#texts.indexOf(text);
    if (same !== -1) return this.#dates[same]!;
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) refuse();
    const time = known?.getTime() === ms ? known : new Date(ms);
    if (this.#texts.length < MOST_KEPT) {
      this.#texts.push(text);
      this.#dates.push(time);
    }
    return time;
  }

  /** Absent is null. */
  readOrNull(value: unknown): Date | null {
    return value === undefined || value === null ? null : this.read(value);
  }
}
