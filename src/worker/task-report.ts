import type { StepProgress } from '../run/run.js';
import { type LogEntry, readEntry, readProgress } from './log-entry.js';

/** One log entry of an attempt. */
export interface LogLine extends LogEntry {
  /** Which of the attempt's it is, from 1. */
  readonly number: number;
  /** By `performance.now()`. */
  readonly saidAt: number;
}

/** What is told of an attempt in one go. */
export interface Said {
  readonly progress: StepProgress | null;
  readonly logs: readonly LogLine[];
}

/** Entries that are kept of one attempt; one more says how many were not. */
const MOST_ENTRIES = 1000;

/** What one attempt said of itself and nobody has told yet: the last progress, and all entries since. */
export class TaskReport {
  #progress: StepProgress | null = null;
  #logs: LogLine[] = [];
  #count = 0;
  #dropped = 0;

  get isEmpty(): boolean {
    return this.#progress === null && this.#logs.length === 0;
  }

  get hasLogs(): boolean {
    return this.#logs.length > 0;
  }

  progress(fraction: unknown, note: unknown): void {
    this.#progress = readProgress(fraction, note);
  }

  log(message: unknown, fields: unknown): void {
    if (this.#count < MOST_ENTRIES) this.#keep(readEntry(message, fields));
    else {
      readEntry(message, undefined);
      this.#dropped += 1;
    }
  }

  /** The attempt has ended: how far it was is past, and what was dropped is counted. */
  end(): void {
    this.#progress = null;
    if (this.#dropped === 0) return;
    const entries = this.#dropped === 1 ? '1 more entry was' : `${this.#dropped} more entries were`;
    this.#dropped = 0;
    this.#keep({ message: `${entries} dropped: ${MOST_ENTRIES} are kept of one attempt.`, fields: null });
  }

  /** Takes out the progress and the first so many entries. */
  take(most: number): Said {
    const said = { progress: this.#progress, logs: this.#logs.splice(0, most) };
    this.#progress = null;
    return said;
  }

  #keep(entry: LogEntry): void {
    this.#count += 1;
    this.#logs.push({ ...entry, number: this.#count, saidAt: performance.now() });
  }
}
