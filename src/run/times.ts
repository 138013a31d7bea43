import { readText, refuse } from './wire.js';

/**
 * The times of one message. Equal ones are one Date, as each is 96 bytes (V8): most steps of a run were created at its
 * start, and what ends a run ends its last step.
 */
export class Times {
  readonly #read = new Map<string, Date>();

  /** `known` is the Date that the run has in that place: it stays, if it is equal. */
  read(value: unknown, known?: Date): Date {
    const text = readText(value, 40);
    const same = this.#read.get(text);
    if (same !== undefined) return same;
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) refuse();
    const time = known?.getTime() === ms ? known : new Date(ms);
    this.#read.set(text, time);
    return time;
  }

  /** Absent is null. */
  readOrNull(value: unknown): Date | null {
    return value === undefined || value === null ? null : this.read(value);
  }
}
