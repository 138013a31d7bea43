import { hostname } from 'node:os';
import { readDuration } from '../flow/duration.js';
import type { Queryable } from '../postgres/database.js';
import { moveClock, readWorkerNames } from '../postgres/move-clock.js';

/**
 * The database's clock, for tests to move. It goes on by itself as ever; `advance` adds to it.
 *
 * What comes due by it is done at once: delayed starts, retries, and the rescue of tasks whose worker's
 * process is gone. The workers of living processes keep their leases, as their heartbeats would have renewed
 * them. The timeout of an attempt is counted by the worker that runs it, in real seconds.
 *
 * @example
 * const run = await pgflow.startFlow(remind, {}, { delay: 3600 });
 * await clock.advance('1h');
 */
export interface Clock {
  /**
   * Moves the clock on, and resolves when the workers have been told.
   *
   * @param by seconds, or a text of a number and `ms`, `s`, `m`, `h` or `d`; 0 or more.
   * @throws {PgFlowError} `INVALID_INPUT`
   */
  advance(by: number | string): Promise<void>;
  /** Milliseconds that it is ahead of the real clock. */
  readonly offset: number;
}

/**
 * The clock of one schema. Make one only: a second one would begin at the real time again.
 *
 * @param onMoved is called after each move, for what in this process goes by that clock.
 */
export function createClock(database: Queryable, schema: string, onMoved: () => void = () => {}): Clock {
  let offset = 0;
  let moving: Promise<void> = Promise.resolve();

  async function move(milliseconds: number): Promise<void> {
    const dead = (await readWorkerNames(database, schema)).filter((name) => !isAlive(name));
    await moveClock(database, schema, { offset: offset + milliseconds, moved: milliseconds, dead });
    offset += milliseconds;
    onMoved();
  }

  return {
    get offset() {
      return offset;
    },
    advance(by) {
      const milliseconds = readDuration(by, 'clock.advance', 'by');
      const moved = moving.then(() => move(milliseconds));
      moving = moved.catch(() => {});
      return moved;
    },
  };
}

/** A worker's name is its host and its process id. Of other hosts nobody can tell. */
function isAlive(worker: string): boolean {
  const at = worker.lastIndexOf(':');
  if (worker.slice(0, at) !== hostname()) return true;
  try {
    process.kill(Number(worker.slice(at + 1)), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
