import type { AnyFlow } from '../flow/flow.js';
import { createPgFlow, type PgFlow, type PgFlowOptions } from '../index.js';
import type { Run, RunStatus } from '../run/run.js';
import { createTestDatabase, type TestDatabase, type TestDatabaseOptions, TIMEOUT } from './test-database.js';
import { until } from './until.js';

/** Those of `createPgFlow`, but for its database, which is made for the test. */
export interface TestPgFlowOptions extends Omit<PgFlowOptions, 'database' | 'migrate'>, TestDatabaseOptions {
  readonly schema?: string;
}

/** A pgflow at work on a database of its own, and what its tests need. */
export interface TestPgFlow extends TestDatabase {
  /** Started, unless `worker: false`. */
  readonly pgflow: PgFlow;
  /**
   * The run as soon as it has that status, or as soon as `holds` is true of it, if it is not already.
   *
   * @param options `timeout`: seconds; default that of the test pgflow.
   * @throws {PgFlowError} `RUN_UNREACHABLE` when it ended otherwise, `TIMEOUT`, both saying how its steps are;
   *   `RUN_NOT_FOUND`, `INVALID_RUN_ID`.
   * @example
   * await t.waitFor(run, (now) => now.step('charge').status === 'started');
   */
  waitFor<F extends AnyFlow = any>(
    run: Run<F> | string,
    holds: RunStatus | ((run: Run<F>) => boolean),
    options?: { readonly timeout?: number },
  ): Promise<Run<F>>;
  /** Stops the pgflow, without waiting for its handlers, and deletes the database. Idempotent. */
  close(): Promise<void>;
}

/**
 * A pgflow for one test: on an empty database of its own, started, with a clock that the test moves.
 *
 * @throws {PgFlowError} as `createTestDatabase` and `createPgFlow` do; nothing is left behind then.
 * @example
 * await using t = await createTestPgFlow({ jobs: [remind] });
 * const { runId } = await t.pgflow.enqueue(remind, { to: 'ada' }, { delay: 3600 });
 * await t.clock.advance('1h');
 * await t.drain();
 * expect((await t.pgflow.getRun(runId))?.status).toBe('completed');
 */
export async function createTestPgFlow(options: TestPgFlowOptions = {}): Promise<TestPgFlow> {
  const { timeout: patience = TIMEOUT, ...given } = options;
  const db = await createTestDatabase({ ...given, timeout: patience });
  let closing: Promise<void> | undefined;
  try {
    const pgflow = await createPgFlow({ ...given, database: db.database });
    const close = () => {
      closing ??= pgflow.stop({ grace: 0 }).finally(() => db.close());
      return closing;
    };
    await pgflow.start().catch((error) => close().then(() => Promise.reject(error)));
    return {
      pgflow,
      database: db.database,
      clock: db.clock,
      drain: db.drain,
      async waitFor<F extends AnyFlow>(
        run: Run<F> | string,
        holds: RunStatus | ((run: Run<F>) => boolean),
        { timeout = patience }: { timeout?: number } = {},
      ) {
        const live = await pgflow.track<F>(typeof run === 'string' ? run : run.runId);
        const fits = typeof holds === 'string' ? (now: Run<F>) => now.status === holds : holds;
        return until(live, fits, timeout).finally(() => live.close());
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}
