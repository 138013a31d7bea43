import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';

/** How the worker of a process works. */
export interface WorkerOptions {
  /** How many handlers run at once. Default 10. */
  readonly concurrency?: number;
  /** Seconds after which the tasks of a worker that stopped answering go to others. Default 30. */
  readonly lease?: number;
  /** Seconds between looks at the queue when nothing wakes the worker. Default 5. */
  readonly pollInterval?: number;
}

/** What a timer takes. */
const MOST_SECONDS = 2_147_483;

/**
 * The options with their defaults.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for one out of range.
 */
export function checkWorkerOptions(options: WorkerOptions): Required<WorkerOptions> {
  const { concurrency = 10, lease = 30, pollInterval = 5 } = options;
  const wrong =
    (typeof options !== 'object' &&
      'worker must be false, or an object: { concurrency, lease, pollInterval }') ||
    (!(Number.isInteger(concurrency) && concurrency >= 1) &&
      'concurrency must be a whole number, 1 or more') ||
    (!(lease > 0 && lease <= MOST_SECONDS) &&
      `lease must be a number of seconds, more than 0, at most ${MOST_SECONDS}`) ||
    (!(pollInterval > 0 && pollInterval <= MOST_SECONDS) &&
      `pollInterval must be a number of seconds, more than 0, at most ${MOST_SECONDS}`);
  if (!wrong) return { concurrency, lease, pollInterval };
  throw new PgFlowError('INVALID_INPUT', `createPgFlow({ worker }): ${wrong}.`, {
    data: { issues: [{ path: 'worker', message: wrong }] },
  });
}

/**
 * How long stopping waits for handlers: seconds, Infinity too.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for what is none.
 */
export function checkGrace(grace: number | undefined = 10): number {
  if (typeof grace === 'number' && grace >= 0) return grace;
  const message = `takes a number of seconds, 0 or more, or Infinity, not ${quoted(grace)}`;
  throw new PgFlowError('INVALID_INPUT', `stop({ grace }) ${message}. Nothing was stopped.`, {
    data: { issues: [{ path: 'grace', message }] },
  });
}
