import { PgFlowError } from '../errors.js';
import type { Change } from '../run/change.js';
import type { RunCursor, RunSource } from './source.js';
import { after } from './timer.js';

/** Runs asked for in one statement at most; more go in several, one after the other. */
const MOST_CURSORS = 1_000;
/** Seconds after which a question counts as unanswered, so that a frozen connection stops nobody for good. */
const READ_DEADLINE = 30;

interface Question {
  readonly cursor: RunCursor;
  resolve(change: Change | null): void;
  reject(error: unknown): void;
}

/**
 * Asks the source, for all runs of a process: questions of the same moment go in one statement, so
 * thousands of runs that must be read again after a lost connection cost a few.
 *
 * Modes: `idle` → `gathering` (until the end of this turn) → `idle`.
 */
export class RunReader {
  #mode: 'idle' | 'gathering' = 'idle';
  readonly #source: RunSource;
  readonly #onAnswer: () => void;
  #questions: Question[] = [];

  /** `onAnswer` is called whenever the source has answered. */
  constructor(source: RunSource, onAnswer: () => void) {
    this.#source = source;
    this.#onAnswer = onAnswer;
  }

  /** What is new since then; null when nothing is, or the run is not there. It may go further back than asked. */
  read(cursor: RunCursor): Promise<Change | null> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ cursor, resolve, reject });
      if (this.#mode === 'idle') this.#enter('gathering');
    });
  }

  async readSeqs(runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const seqs = await withDeadline(this.#source.readSeqs(runIds));
    this.#onAnswer();
    return seqs;
  }

  async #ask(questions: readonly Question[]): Promise<void> {
    const sinces = new Map<string, number>();
    for (const { cursor } of questions) {
      sinces.set(cursor.runId, Math.min(cursor.since, sinces.get(cursor.runId) ?? cursor.since));
    }
    const cursors = [...sinces].map(([runId, since]) => ({ runId, since }));
    for (let from = 0; from < cursors.length; from += MOST_CURSORS) {
      const part = cursors.slice(from, from + MOST_CURSORS);
      const asked = new Set(part.map((cursor) => cursor.runId));
      await this.#askPart(
        part,
        questions.filter((question) => asked.has(question.cursor.runId)),
      );
    }
  }

  async #askPart(cursors: readonly RunCursor[], questions: readonly Question[]): Promise<void> {
    try {
      const changes = await withDeadline(this.#source.readChanges(cursors));
      this.#onAnswer();
      const byRun = new Map(changes.map((change) => [change.runId, change]));
      for (const { cursor, resolve } of questions) resolve(byRun.get(cursor.runId) ?? null);
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  }

  #enter(mode: 'idle' | 'gathering'): void {
    this.#mode = mode;
    if (mode === 'idle') return;
    queueMicrotask(() => {
      const questions = this.#questions;
      this.#questions = [];
      this.#enter('idle');
      void this.#ask(questions);
    });
  }
}

/** Rejects when there is no answer in time. */
export function withDeadline<T>(answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = after(READ_DEADLINE * 1000, () => {
      reject(
        new PgFlowError('DATABASE_UNAVAILABLE', `The database did not answer within ${READ_DEADLINE} s.`),
      );
    });
    answer.then(resolve, reject).finally(stop);
  });
}
