import type { RunFilter, RunPage } from '../run/run-list.js';
import { withDeadline } from './run-reader.js';
import type { ListSource } from './source.js';

/** Lists asked for in one statement at most; more go in several, one after the other. */
const MOST_PAGES = 100;

interface Question {
  readonly filter: RunFilter;
  resolve(page: RunPage): void;
  reject(error: unknown): void;
}

/**
 * Asks for the pages of all lists of a process: questions of the same moment go in one statement.
 *
 * Modes: `idle` → `gathering` (until the end of this turn) → `idle`.
 */
export class PageReader {
  #mode: 'idle' | 'gathering' = 'idle';
  readonly #source: ListSource;
  #questions: Question[] = [];

  constructor(source: ListSource) {
    this.#source = source;
  }

  read(filter: RunFilter): Promise<RunPage> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ filter, resolve, reject });
      if (this.#mode === 'idle') this.#enter('gathering');
    });
  }

  async #ask(questions: readonly Question[]): Promise<void> {
    for (let from = 0; from < questions.length; from += MOST_PAGES) {
      const part = questions.slice(from, from + MOST_PAGES);
      try {
        const pages = await withDeadline(this.#source.readPages(part.map(({ filter }) => filter)));
        for (const [i, { resolve }] of part.entries()) resolve(pages[i]!);
      } catch (error) {
        for (const { reject } of part) reject(error);
      }
    }
  }

  #enter(mode: 'idle' | 'gathering'): void {
    this.#mode = mode;
    if (mode === 'idle') return;
    // Timers of the same millisecond fire one after the other, each with its microtasks: setImmediate comes after all.
    setImmediate(() => {
      const questions = this.#questions;
      this.#questions = [];
      this.#enter('idle');
      void this.#ask(questions);
    });
  }
}
