import { PgFlowError } from '../errors.js';
import type { StepDefinition, TransactionClient } from '../flow/flow.js';
import type { StepProgress } from '../run/run.js';
import { toStorableJson } from '../run/storable.js';
import {
  type ChangeRow,
  CLAIM_COLUMNS,
  type ClaimedTask,
  type Outcome,
  readClaim,
  readKey,
  readOutcome,
  type StepKey,
  type TaskKey,
} from './change-rows.js';
import type { Database, Queryable, QueryOptions } from './database.js';
import { pause } from './pause.js';
import { quoteIdentifier, RELEASE } from './schema.js';

export type { ClaimedTask, StepKey, TaskKey };

/** What a worker can take on while it settles or starts: `slots` tasks of these handlers. */
export interface Capacity {
  readonly workerId: number;
  readonly handlerIds: readonly number[];
  readonly slots: number;
}

/** How many tasks these steps have when they become ready: a map's are not known, so it may be all there is room for. */
export function countTasks(steps: readonly Pick<StepDefinition, 'kind'>[]): number {
  return steps.some((step) => step.kind === 'map') ? MOST_SLOTS : steps.length;
}

/** More than any worker has. */
const MOST_SLOTS = 1_000_000;

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

/** What an execution says of itself while it works. */
export interface TaskTell extends TaskKey {
  readonly progress: StepProgress | null;
  readonly logs: readonly {
    /** Which of the execution's entries it is: one that is told twice is stored once. */
    readonly number: number;
    /** Milliseconds since it was logged. */
    readonly age: number;
    readonly message: string;
    /** JSON text. */
    readonly fields: string | null;
  }[];
}

/** Who hears in this process of what it writes. */
export interface Audience {
  /** Which tracker is this process' own, among those of all. */
  readonly trackerId: number;
  /** Whether changes of runs that nobody tracks are wanted, too. */
  readonly hearsUntracked: boolean;
  /**
   * Executes a statement that may change the runs of these tasks, with those that are tracked here. Whoever tracks one
   * of the others before it has ended reads that again: the statement may not have told of it.
   */
  during<T>(tasks: readonly TaskKey[], statement: (watched: readonly string[]) => Promise<T>): Promise<T>;
}

/** How often an unanswered question is asked again: about 20 s in all. */
const PATIENCE = 10;

const KEYS = '$1::uuid[], $2::int[], $3::int[], $4::int[]';
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
  readonly #audience: Audience;

  constructor(database: Database, schema: string, audience: Audience) {
    this.#database = database;
    this.#name = quoteIdentifier(schema);
    this.#audience = audience;
  }

  /** `known`: the steps of which the caller has the input and the outputs that they depend on. */
  async claimTasks(
    workerId: number,
    handlerIds: readonly number[],
    batch: number,
    known: readonly StepKey[],
  ): Promise<ClaimedTask[]> {
    const rows = await this.#database.query<ChangeRow>(
      `select ${CLAIM_COLUMNS} from ${this.#name}.claim_tasks($1, $2::int[], $3, $4::uuid[], $5::int[])`,
      [workerId, handlerIds, batch, known.map(({ runId }) => runId), known.map(({ stepIndex }) => stepIndex)],
      { prepare: true },
    );
    return rows.map(readClaim);
  }

  /** Seconds until the next task is due; null when none is queued. */
  async nextDue(handlerIds: readonly number[]): Promise<number | null> {
    const [row] = await this.#database.query<{ seconds: number | null }>(
      `select ${this.#name}.next_due($1::int[]) as seconds`,
      [handlerIds],
      { prepare: true },
    );
    return row!.seconds;
  }

  /** What becomes ready is claimed at once, as far as `capacity` allows. */
  settleTasks(ends: readonly TaskEnd[], capacity?: Capacity): Promise<Outcome> {
    return this.#audience.during(ends, (watched) => this.#settle(this.#database, ends, watched, capacity));
  }

  #settle(
    on: Queryable,
    ends: readonly TaskEnd[],
    watched: readonly string[],
    capacity?: Capacity,
  ): Promise<Outcome> {
    return this.#outcome(
      on,
      `select * from ${this.#name}.settle_tasks(${KEYS}, $5::text[], $6::jsonb[], $7::text[], $8::float8[], false,
         $9, $10::int[], $11, $12, $13, $14::uuid[])`,
      [
        ...keysOf(ends),
        ends.map((end) => end.outcome),
        ends.map((end) => end.output),
        ends.map((end) => end.error),
        ends.map((end) => end.retryDelay),
        capacity?.workerId ?? null,
        capacity?.handlerIds ?? [],
        capacity?.slots ?? 0,
        this.#audience.hearsUntracked,
        this.#audience.trackerId,
        watched,
      ],
      'settle',
    );
  }

  /**
   * Runs `fn` in a transaction and completes the task with what it returns, all or nothing. `outcome` is null
   * when the connection was lost at COMMIT and the row says that it was applied.
   */
  commitTask(
    task: TaskKey,
    fn: (tx: TransactionClient) => unknown,
  ): Promise<{ outcome: Outcome | null; output: string }> {
    return this.#audience.during([task], (watched) => this.#commitTask(task, fn, watched));
  }

  async #commitTask(
    task: TaskKey,
    fn: (tx: TransactionClient) => unknown,
    watched: readonly string[],
  ): Promise<{ outcome: Outcome | null; output: string }> {
    let output: string | undefined;
    try {
      return await this.#database.userTransaction(async (client, engine) => {
        const json = toStorableJson(await fn(client), 'output');
        const end: TaskEnd = { ...task, outcome: 'completed', output: json, error: null, retryDelay: null };
        const outcome = await this.#settle(engine, [end], watched);
        if (!outcome.accepted.has(0)) throw notCommitted(outcome);
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

  /** `accepted`: of which tasks it counted. */
  tellTasks(tells: readonly TaskTell[]): Promise<Outcome> {
    return this.#audience.during(tells, (watched) => this.#tell(tells, watched));
  }

  #tell(tells: readonly TaskTell[], watched: readonly string[]): Promise<Outcome> {
    const logs = tells.flatMap((tell, place) => tell.logs.map((log) => ({ ...log, task: place + 1 })));
    return this.#outcome(
      this.#database,
      `select * from ${this.#name}.tell_tasks(${KEYS}, $5::float8[], $6::text[], $7::int[], $8::int[], $9::int[],
         $10::text[], $11::jsonb[], false, $12, $13, $14::uuid[])`,
      [
        ...keysOf(tells),
        tells.map((tell) => tell.progress?.fraction ?? null),
        tells.map((tell) => tell.progress?.note ?? null),
        logs.map((log) => log.task),
        logs.map((log) => log.number),
        logs.map((log) => log.age),
        logs.map((log) => log.message),
        logs.map((log) => log.fields),
        this.#audience.hearsUntracked,
        this.#audience.trackerId,
        watched,
      ],
    );
  }

  /** Gives tasks back unexecuted; the attempt does not count. */
  async returnTasks(tasks: readonly TaskKey[]): Promise<void> {
    const sql = `select ${this.#name}.return_tasks(${KEYS})`;
    await this.#audience.during(tasks, () => this.#database.query(sql, keysOf(tasks)));
  }

  /** Gives back what the worker has claimed but for those it holds; returns how many. */
  async returnUnheld(workerId: number, held: readonly TaskKey[]): Promise<number> {
    const [row] = await this.#database.query<{ returned: number }>(
      `select ${this.#name}.return_unheld($5, ${KEYS}) as returned`,
      [...keysOf(held), workerId],
    );
    return row!.returned;
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
    const rows = await this.#database.query<ChangeRow>(
      `select * from ${this.#name}.heartbeat($5, $6, ${KEYS})`,
      [...keysOf(tasks), workerId, lease],
    );
    return rows.map(readKey);
  }

  /** Settles the tasks of workers whose lease has ended. */
  rescueTasks(): Promise<Outcome> {
    return this.#outcome(this.#database, `select * from ${this.#name}.rescue_tasks(false)`, []);
  }

  async #outcome(
    on: Queryable,
    sql: string,
    params: readonly unknown[],
    lane?: QueryOptions['lane'],
  ): Promise<Outcome> {
    return readOutcome(await on.query<ChangeRow>(sql, params, { prepare: true, lane }));
  }
}

/** The output may have been refused although the attempt counts: a map needs an array of it. */
function notCommitted(outcome: Outcome): PgFlowError {
  const reason = outcome.failed.get(0)?.error ?? 'this attempt no longer counts';
  return new PgFlowError('ABORTED', `Nothing was committed: ${reason}`);
}
