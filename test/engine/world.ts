import { onTestFinished } from 'vitest';
import type { AnyFlow } from '../../src/flow/flow.js';
import { createPgFlow, type PgFlow, type PgFlowOptions } from '../../src/index.js';
import type { Run } from '../../src/run/run.js';
import { type Clock, createClock } from '../../src/testing/clock.js';
import { type Auditor, installAuditor } from '../harness/auditor.js';
import type { DatabaseKind, TestDatabase } from '../harness/databases.js';
import { giveBack, takeDatabase } from './spare-database.js';
import { WatchedRun } from './watched-run.js';

/** A pgflow on a database of its own, audited; all that it opened is closed, and checked, when the test ends. */
export interface World {
  readonly db: TestDatabase;
  readonly pgflow: PgFlow;
  readonly clock: Clock;
  readonly auditor: Auditor;
  /** Another pgflow on the same database, as another process would have it. Started unless `worker: false`. */
  open(options?: WorldOptions): Promise<PgFlow>;
  /** Starts a run and watches it from its first seq on. */
  start(
    flow: AnyFlow | string,
    input?: unknown,
    options?: Parameters<PgFlow['startFlow']>[2],
  ): Promise<WatchedRun>;
  watch(runId: string, pgflow?: PgFlow): Promise<WatchedRun>;
  getRun(runId: string): Promise<Run>;
  /** The tasks of a run as their rows are, by step and index. */
  tasks(runId: string): Promise<TaskRow[]>;
}

export interface TaskRow {
  run_id: string;
  step_slug: string;
  step_index: number;
  task_index: number;
  status: string;
  attempt: number;
  claim: number;
  item: unknown;
  output: unknown;
  error_message: string | null;
  available_at: Date | null;
  started_at: Date | null;
  ended_at: Date | null;
}

export interface WorldOptions extends Omit<PgFlowOptions, 'schema'> {
  /** Not started yet: the test calls `start()`. */
  readonly paused?: boolean;
}

/** Nothing may depend on a poll, so there is none. */
const WORKER = { pollInterval: 3600 };

export async function createWorld(kind: DatabaseKind, options: WorldOptions = {}): Promise<World> {
  const db = await takeDatabase(kind);
  const opened: PgFlow[] = [];
  const watched: WatchedRun[] = [];
  let auditor: Auditor | undefined;

  onTestFinished(async ({ task }) => {
    let isClean = false;
    try {
      await Promise.all(opened.map((pgflow) => pgflow.stop({ grace: 0 })));
      if (!auditor) return;
      const { snapshots } = await auditor.audit();
      for (const run of watched) run.check(snapshots.get(run.live.runId) ?? new Map());
      isClean = task.result?.state !== 'fail';
    } finally {
      await (isClean ? giveBack(db) : db.close());
    }
  });

  const create = async ({ paused, ...given }: WorldOptions) => {
    const worker = given.worker === false ? false : { ...WORKER, ...given.worker };
    const pgflow = await createPgFlow({ database: db.database, ...given, worker });
    opened.push(pgflow);
    return { pgflow, start: () => (paused || worker === false ? undefined : pgflow.start()) };
  };
  const watch = async (runId: string, by: PgFlow) => {
    const run = await WatchedRun.open(by, runId);
    watched.push(run);
    return run;
  };

  const { pgflow, start } = await create(options);
  auditor = await installAuditor(db);
  await start();

  return {
    db,
    pgflow,
    auditor,
    clock: createClock(db, 'pgflow'),
    async open(more = {}) {
      const another = await create({ ...options, ...more });
      await another.start();
      return another.pgflow;
    },
    async start(flow, input = {}, startOptions) {
      const { runId } = await pgflow.startFlow(flow, input, startOptions);
      return watch(runId, pgflow);
    },
    watch: (runId, by = pgflow) => watch(runId, by),
    async getRun(runId) {
      const run = await pgflow.getRun(runId);
      if (!run) throw new Error(`There is no run ${runId}.`);
      return run;
    },
    tasks: (runId) =>
      db.query<TaskRow>('select * from pgflow.step_tasks where run_id = $1 order by step_index, task_index', [
        runId,
      ]),
  };
}
