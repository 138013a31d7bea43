import { PgFlowError } from '../errors.js';
import type { StepConditions, StepOptions } from '../flow/flow.js';
import type { Change } from '../run/change.js';
import type { RunStatus } from '../run/run.js';
import { toStorableJson } from '../run/storable.js';
import { type ChangeRow, type Outcome, readOutcome } from './change-rows.js';
import type { Database, Queryable, TransactionClient } from './database.js';
import { pause } from './pause.js';
import { refuse } from './refusals.js';
import { quoteIdentifier, RELEASE } from './schema.js';

/** A step as it is registered; steps are named by their index. */
export interface StepRegistration extends StepOptions, Pick<StepConditions, 'whenUnmet' | 'whenExhausted'> {
  readonly slug: string;
  readonly kind: 'single' | 'map';
  readonly dependsOn: readonly number[];
  readonly over: number | null;
  readonly signature: string;
  /** JSON. Absent: no condition; null is a pattern. */
  readonly if?: unknown;
  readonly ifNot?: unknown;
}

export interface FlowRegistration {
  readonly slug: string;
  readonly kind: 'flow' | 'job';
  /** Equal exactly for equal shapes. */
  readonly shape: string;
  readonly steps: readonly StepRegistration[];
}

export interface StartRequest {
  readonly runId: string;
  readonly flowSlug: string;
  /** JSON text. */
  readonly input: string;
  /** The input before its schema altered it, JSON text; null when it did not. */
  readonly givenInput: string | null;
  /** Seconds. */
  readonly delay: number | null;
  readonly runAt: Date | null;
}

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

export interface ExplainRow {
  readonly step_slug: string;
  readonly reason: 'dependencies' | 'delayed' | 'retrying' | 'no_worker' | 'busy' | 'running';
  readonly tasks: number;
  readonly waits_for: string[] | null;
  readonly due_at: string | null;
  readonly since: string | null;
  readonly last_error: string | null;
}

export interface ListRequest {
  readonly flow?: string;
  readonly status?: RunStatus;
  readonly limit: number;
  /** List what is older than this run. */
  readonly before: { readonly startedAt: string; readonly runId: string } | null;
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

/** The engine's statements: one method for each function of SQL. */
export class Store {
  readonly #database: Database;
  readonly #schema: string;
  readonly #name: string;

  constructor(database: Database, schema: string) {
    this.#database = database;
    this.#schema = schema;
    this.#name = quoteIdentifier(schema);
  }

  async registerFlow(flow: FlowRegistration): Promise<{ version: number; handlerIds: number[] }> {
    const rows = await this.#database
      .query<{ version: number; handler_id: number }>(
        `select * from ${this.#name}.register_flow($1, $2, $3, $4::text::jsonb)`,
        [flow.slug, flow.kind, flow.shape, JSON.stringify(flow.steps)],
      )
      .catch(refuse);
    return { version: rows[0]!.version, handlerIds: rows.map((row) => row.handler_id) };
  }

  startFlows(starts: readonly StartRequest[]): Promise<Outcome> {
    return this.#outcome(
      this.#database,
      `select * from ${this.#name}.start_flows($1::text[]::uuid[], $2::text[], $3::text[]::jsonb[], $4::text[]::jsonb[],
         $5::float8[], $6::text[]::timestamptz[], false)`,
      [
        starts.map((start) => start.runId),
        starts.map((start) => start.flowSlug),
        starts.map((start) => start.input),
        starts.map((start) => start.givenInput),
        starts.map((start) => start.delay),
        starts.map((start) => start.runAt?.toISOString() ?? null),
      ],
    ).catch(refuse);
  }

  /** One start in the user's transaction, which tells the other processes when it commits. */
  async startFlowIn(tx: Queryable, start: StartRequest): Promise<Outcome> {
    const rows = await tx
      .query<{ row: string }>(
        `select to_json(c)::text as row from ${this.#name}.start_flows(array[$1::text::uuid], array[$2::text],
           array[$3::text::jsonb], array[$4::text::jsonb], array[$5::text::float8], array[$6::text::timestamptz], true) c`,
        [
          start.runId,
          start.flowSlug,
          start.input,
          start.givenInput,
          start.delay === null ? null : String(start.delay),
          start.runAt?.toISOString() ?? null,
        ],
      )
      .catch(refuse);
    return readOutcome(rows.map(({ row }) => JSON.parse(row) as ChangeRow));
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

  /** The change; none when there is no such run or it has ended. */
  cancelRun(runId: string, reason: string | null): Promise<Outcome> {
    return this.#outcome(this.#database, `select * from ${this.#name}.cancel_run($1::uuid, $2, false)`, [
      runId,
      reason,
    ]);
  }

  /** The new run. */
  retryRun(runId: string, newRunId: string): Promise<Outcome> {
    return this.#outcome(this.#database, `select * from ${this.#name}.retry_run($1::uuid, $2::uuid, false)`, [
      runId,
      newRunId,
    ]).catch(refuse);
  }

  async explainRun(runId: string): Promise<ExplainRow[]> {
    return this.#database.query<ExplainRow>(`select * from ${this.#name}.explain_run($1::uuid)`, [runId]);
  }

  async readChanges(cursors: readonly { runId: string; since: number }[]): Promise<Change[]> {
    const { changes } = await this.#outcome(
      this.#database,
      `select * from ${this.#name}.read_changes($1::text[]::uuid[], $2::int[])`,
      [cursors.map((cursor) => cursor.runId), cursors.map((cursor) => cursor.since)],
    );
    return changes;
  }

  async readSeqs(runIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.#database.query<{ run_id: string; seq: number }>(
      `select run_id, seq from ${this.#name}.runs where run_id = any ($1::text[]::uuid[])`,
      [runIds],
    );
    return new Map(rows.map((row) => [row.run_id, row.seq]));
  }

  /** Sends payloads over the schema's notification channel. */
  async notify(payloads: readonly string[]): Promise<void> {
    await this.#database.query('select pg_notify($1, p) from unnest($2::text[]) p', [this.#schema, payloads]);
  }

  /** Newest first. */
  async listRuns({ flow, status, limit, before }: ListRequest): Promise<Change[]> {
    const { changes } = await this.#outcome(
      this.#database,
      `with page as materialized (
         select run_id from ${this.#name}.runs
         where ($1::text is null or flow_slug = $1) and ($2::text is null or status = $2)
           and ($3::timestamptz is null or (started_at, run_id) < ($3, $4::uuid))
         order by started_at desc, run_id desc limit $5
       )
       select c.* from ${this.#name}.read_changes(array(select run_id from page), array(select 0 from page)) c`,
      [flow ?? null, status ?? null, before?.startedAt ?? null, before?.runId ?? null, limit],
    );
    return changes.sort(byNewest);
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

function byNewest(a: Change, b: Change): number {
  const later = b.origin!.startedAt.getTime() - a.origin!.startedAt.getTime();
  return later || (a.runId < b.runId ? 1 : -1);
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
