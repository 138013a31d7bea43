import { PgFlowError } from '../errors.js';
import type { Change } from '../run/change.js';
import type { RunCursor, RunSource } from './source.js';
import { after } from './timer.js';

/** Runs asked for in one statement at most. */
const MOST_CURSORS = 1_000;
/** Statements under way at most: a run that takes long to read does not hold up all others. */
const MOST_STATEMENTS = 4;
/** Seconds after which a question counts as unanswered, so that a frozen connection stops nobody for good. */
const READ_DEADLINE = 30;

interface Question {
  readonly cursor: RunCursor;
  resolve(change: Change | null): void;
  reject(error: unknown): void;
}

/**
 * Asks the source, for all runs of a process: questions of the same moment go in one statement, and those that come
 * while `MOST_STATEMENTS` are under way in the next one. So thousands of runs that must be read again after a lost
 * connection cost a few, and thousands of pages that come back one by one, too.
 *
 * Modes: `idle` → `gathering` (until the end of this turn) → `idle`, or `full` (until a statement is answered) → `gathering`.
 */
export class RunReader {
  #mode: 'idle' | 'gathering' | 'full' = 'idle';
  readonly #source: RunSource;
  readonly #onAnswer: () => void;
  #questions: Question[] = [];
  #underWay = 0;

  /** `onAnswer` is called whenever the source has answered. */
  constructor(source: RunSource, onAnswer: () => void) {
    this.#source = source;
    this.#onAnswer = onAnswer;
  }

  /** What is new since then; null when nothing is, or the run is not there. It may go further back than asked. */
  read(cursor: RunCursor): Promise<Change | null> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ cursor, resolve, reject });
      if (this.#mode === 'idle') this.#next();
    });
  }

  async readSeqs(runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const seqs = await withDeadline(this.#source.readSeqs(runIds));
    this.#onAnswer();
    return seqs;
  }

  /** One statement for what was asked first, the rest when there is room. */
  async #ask(): Promise<void> {
    const sinces = new Map<string, number>();
    const questions: Question[] = [];
    const later: Question[] = [];
    for (const question of this.#questions) {
      const { runId, since } = question.cursor;
      const known = sinces.get(runId);
      if (known === undefined && sinces.size === MOST_CURSORS) later.push(question);
      else {
        sinces.set(runId, Math.min(since, known ?? since));
        questions.push(question);
      }
    }
    this.#questions = later;
    this.#underWay++;
    this.#enter('idle');
    this.#next();
    await this.#askSource(sinces, questions);
    this.#underWay--;
    this.#next();
  }

  async #askSource(sinces: ReadonlyMap<string, number>, questions: readonly Question[]): Promise<void> {
    try {
      const cursors = [...sinces].map(([runId, since]) => ({ runId, since }));
      const changes = await withDeadline(this.#source.readChanges(cursors));
      this.#onAnswer();
      const byRun = new Map(changes.map((change) => [change.runId, change]));
      for (const { cursor, resolve } of questions) resolve(byRun.get(cursor.runId) ?? null);
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  }

  #next(): void {
    if (this.#questions.length === 0) this.#enter('idle');
    else this.#enter(this.#underWay < MOST_STATEMENTS ? 'gathering' : 'full');
  }

  #enter(mode: 'idle' | 'gathering' | 'full'): void {
    if (mode === this.#mode) return;
    this.#mode = mode;
    if (mode === 'gathering') queueMicrotask(() => void this.#ask());
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
