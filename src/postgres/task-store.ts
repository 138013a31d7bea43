import { PgFlowError } from '../errors.js';
import type { TransactionClient } from '../flow/flow.js';
import { toStorableJson } from '../run/storable.js';
import { type ChangeRow, type Outcome, readOutcome } from './change-rows.js';
import type { Database, Queryable } from './database.js';
import { pause } from './pause.js';
import { quoteIdentifier, RELEASE } from './schema.js';

/** One execution of a task, named by its claim. */
export interface TaskKey {
  readonly runId: string;
  readonly stepIndex: number;
  readonly taskIndex: number;
  readonly claim: number;
}

export interface ClaimedTask extends TaskKey {
  readonly handlerId: number;
  readonly attempt: number;
  readonly startedAt: Date;
  readonly item: unknown;
  readonly rootRunId: string;
  /** With the first task of each run and step in a batch; undefined with the others. */
  readonly input?: unknown;
  readonly deps?: Readonly<Record<string, unknown>>;
  /** Seconds that it was due before it was claimed. */
  readonly waited: number;
  /** Seconds. */
  readonly timeout: number;
}

export interface WorkerRegistration {
  readonly name: string;
  /** Seconds. */
  readonly lease: number;
  readonly handlerIds: readonly number[];
  readonly concurrency: number;
}

export interface TaskEnd extends TaskKey {
  readonly outcome: 'started' | 'completed' | 'failed';
  /** JSON text. */
  readonly output: string | null;
  readonly error: string | null;
  /** Seconds until the next attempt; null: the backoff; -1: never. */
  readonly retryDelay: number | null;
}

/** How often an unanswered question is asked again: about 20 s in all. */
const PATIENCE = 10;

const KEYS = '$1::text[]::uuid[], $2::int[], $3::int[], $4::int[]';
const keysOf = (tasks: readonly TaskKey[]) => [
  tasks.map((task) => task.runId),
  tasks.map((task) => task.stepIndex),
  tasks.map((task) => task.taskIndex),
  tasks.map((task) => task.claim),
];

/** The statements of a worker: one method for each function of SQL. */
export class TaskStore {
  readonly #database: Database;
  readonly #name: string;

  constructor(database: Database, schema: string) {
    this.#database = database;
    this.#name = quoteIdentifier(schema);
  }

  async claimTasks(workerId: number, handlerIds: readonly number[], batch: number): Promise<ClaimedTask[]> {
    const rows = await this.#database.query<ClaimRow>(
      `select * from ${this.#name}.claim_tasks($1, $2::int[], $3)`,
      [workerId, handlerIds, batch],
    );
    return rows.map(readClaim);
  }

  /** Seconds until the next task is due; null when none is queued. */
  async nextDue(handlerIds: readonly number[]): Promise<number | null> {
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select ${this.#name}.next_due($1::int[]) as seconds`,
      [handlerIds],
    );
    return row!.seconds;
  }

  settleTasks(ends: readonly TaskEnd[], on: Queryable = this.#database): Promise<Outcome> {
    return this.#outcome(
      on,
      `select * from ${this.#name}.settle_tasks(${KEYS}, $5::text[], $6::text[]::jsonb[], $7::text[], $8::float8[], false)`,
      [
        ...keysOf(ends),
        ends.map((end) => end.outcome),
        ends.map((end) => end.output),
        ends.map((end) => end.error),
        ends.map((end) => end.retryDelay),
      ],
    );
  }

  /**
   * Runs `fn` in a transaction and completes the task with what it returns, all or nothing. `outcome` is null
   * when the connection was lost at COMMIT and the row says that it was applied.
   */
  async commitTask(
    task: TaskKey,
    fn: (tx: TransactionClient) => unknown,
  ): Promise<{ outcome: Outcome | null; output: string }> {
    let output: string | undefined;
    try {
      return await this.#database.userTransaction(async (client, engine) => {
        const json = toStorableJson(await fn(client), 'output');
        const end: TaskEnd = { ...task, outcome: 'completed', output: json, error: null, retryDelay: null };
        const outcome = await this.settleTasks([end], engine);
        if (outcome.tasks[0]?.status !== 'completed') throw notCommitted(outcome);
        output = json;
        return { outcome, output };
      });
    } catch (error) {
      const lostAtCommit =
        output !== undefined && error instanceof PgFlowError && error.code === 'DATABASE_UNAVAILABLE';
      if (!lostAtCommit || !(await this.#isCompleted(task))) throw error;
      return { outcome: null, output: output! };
    }
  }

  /** Whether this claim completed its task; asks until the database answers. */
  async #isCompleted({ runId, stepIndex, taskIndex, claim }: TaskKey): Promise<boolean> {
    for (let failures = 0; ; failures += 1) {
      try {
        const rows = await this.#database.query(
          `select 1 from ${this.#name}.step_tasks where run_id = $1::uuid and step_index = $2 and task_index = $3
             and claim = $4 and status = 'completed'`,
          [runId, stepIndex, taskIndex, claim],
        );
        return rows.length > 0;
      } catch (error) {
        if (failures === PATIENCE) throw error;
        await pause(failures);
      }
    }
  }

  /** Gives tasks back unexecuted; the attempt does not count. */
  async returnTasks(tasks: readonly TaskKey[]): Promise<void> {
    await this.#database.query(`select ${this.#name}.return_tasks(${KEYS})`, keysOf(tasks));
  }

  async registerWorker({ name, lease, handlerIds, concurrency }: WorkerRegistration): Promise<number> {
    const [row] = await this.#database.query<{ id: number }>(
      `select ${this.#name}.register_worker($1, $2, $3::int[], $4, $5) as id`,
      [name, lease, handlerIds, concurrency, RELEASE.protocol],
    );
    return row!.id;
  }

  async removeWorker(workerId: number): Promise<void> {
    await this.#database.query(`delete from ${this.#name}.workers where worker_id = $1`, [workerId]);
  }

  /** Renews the lease, in seconds; returns the claims that were lost. */
  async heartbeat(workerId: number, lease: number, tasks: readonly TaskKey[]): Promise<TaskKey[]> {
    const rows = await this.#database.query<KeyRow>(
      `select * from ${this.#name}.heartbeat($5, $6, ${KEYS})`,
      [...keysOf(tasks), workerId, lease],
    );
    return rows.map(readKey);
  }

  /** Settles the tasks of workers whose lease has ended. */
  rescueTasks(): Promise<Outcome> {
    return this.#outcome(this.#database, `select * from ${this.#name}.rescue_tasks(false)`, []);
  }

  async #outcome(on: Queryable, sql: string, params: readonly unknown[]): Promise<Outcome> {
    return readOutcome(await on.query<ChangeRow>(sql, params));
  }
}

/** The output may have been refused although the attempt counts: a map needs an array of it. */
function notCommitted(outcome: Outcome): PgFlowError {
  const reason = outcome.tasks[0]?.error ?? 'this attempt no longer counts';
  return new PgFlowError('ABORTED', `Nothing was committed: ${reason}`);
}

interface KeyRow {
  run_id: string;
  step_index: number;
  task_index: number;
  claim: number;
}

interface ClaimRow extends KeyRow {
  handler_id: number;
  attempt: number;
  started_at: string;
  item: unknown;
  root_run_id: string;
  input: unknown;
  deps: Record<string, unknown> | null;
  waited: number;
  timeout: number;
  first: boolean;
}

function readKey(row: KeyRow): TaskKey {
  return { runId: row.run_id, stepIndex: row.step_index, taskIndex: row.task_index, claim: row.claim };
}

function readClaim(row: ClaimRow): ClaimedTask {
  return {
    ...readKey(row),
    handlerId: row.handler_id,
    attempt: row.attempt,
    startedAt: new Date(row.started_at),
    item: row.item,
    rootRunId: row.root_run_id,
    ...(row.first ? { input: row.input, deps: row.deps ?? {} } : {}),
    waited: row.waited,
    timeout: row.timeout,
  };
}
