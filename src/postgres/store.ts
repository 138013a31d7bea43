import { PgFlowError } from '../errors.js';
import type { StepOptions } from '../flow/flow.js';
import type { Change } from '../run/change.js';
import type { RunStatus } from '../run/run.js';
import { type ChangeRow, type Outcome, readOutcome } from './change-rows.js';
import type { Database, Queryable } from './database.js';
import { quoteIdentifier } from './schema.js';

/** A step as it is registered; steps are named by their index. */
export interface StepRegistration extends StepOptions {
  readonly slug: string;
  readonly kind: 'single' | 'map';
  readonly dependsOn: readonly number[];
  readonly over: number | null;
  readonly signature: string;
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
  /** Seconds. */
  readonly timeout: number;
}

export interface TaskEnd extends TaskKey {
  readonly outcome: 'started' | 'completed' | 'failed';
  /** JSON text. */
  readonly output: string | null;
  readonly error: string | null;
  /** Seconds until the next attempt; null: the backoff; -1: never. */
  readonly retryDelay: number | null;
}

export interface ListRequest {
  readonly flow?: string;
  readonly status?: RunStatus;
  readonly limit: number;
  /** List what is older than this run. */
  readonly before: { readonly startedAt: string; readonly runId: string } | null;
}

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

  /** `notify`: tell the other processes in the same transaction, when nobody else will. */
  startFlows(
    starts: readonly StartRequest[],
    notify = false,
    on: Queryable = this.#database,
  ): Promise<Outcome> {
    return this.#outcome(
      on,
      `select * from ${this.#name}.start_flows($1::text[]::uuid[], $2::text[], $3::text[]::jsonb[], $4::text[]::jsonb[],
         $5::float8[], $6::text[]::timestamptz[], $7)`,
      [
        starts.map((start) => start.runId),
        starts.map((start) => start.flowSlug),
        starts.map((start) => start.input),
        starts.map((start) => start.givenInput),
        starts.map((start) => start.delay),
        starts.map((start) => start.runAt?.toISOString() ?? null),
        notify,
      ],
    ).catch(refuse);
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

  settleTasks(ends: readonly TaskEnd[]): Promise<Outcome> {
    return this.#outcome(
      this.#database,
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

  /** Gives tasks back unexecuted; the attempt does not count. */
  async returnTasks(tasks: readonly TaskKey[]): Promise<void> {
    await this.#database.query(`select ${this.#name}.return_tasks(${KEYS})`, keysOf(tasks));
  }

  /** `lease`: seconds. */
  async registerWorker(workerName: string, lease: number): Promise<number> {
    const [row] = await this.#database.query<{ id: number }>(
      `select ${this.#name}.register_worker($1, $2) as id`,
      [workerName, lease],
    );
    return row!.id;
  }

  async removeWorker(workerId: number): Promise<void> {
    await this.#database.query(`delete from ${this.#name}.workers where worker_id = $1`, [workerId]);
  }

  /** Renews the lease; returns the claims that were lost. */
  async heartbeat(
    workerId: number,
    workerName: string,
    lease: number,
    tasks: readonly TaskKey[],
  ): Promise<TaskKey[]> {
    const rows = await this.#database.query<KeyRow>(
      `select * from ${this.#name}.heartbeat($5, $6, $7, ${KEYS})`,
      [...keysOf(tasks), workerId, workerName, lease],
    );
    return rows.map(readKey);
  }

  /** Settles the tasks of workers whose lease has ended. */
  rescueTasks(): Promise<Outcome> {
    return this.#outcome(this.#database, `select * from ${this.#name}.rescue_tasks(false)`, []);
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
    timeout: row.timeout,
  };
}

/** The engine's own SQLSTATEs. */
function refuse(error: unknown): never {
  const { code, message } = error as { code?: string; message: string };
  if (!code?.startsWith('PF')) throw error;
  if (code === 'PF004') {
    throw new PgFlowError(
      'INVALID_DEFINITION',
      `\`${message}\` is registered as a flow and as a job. Give one of them another slug.`,
      { cause: error },
    );
  }
  const { runId, flowSlug, map } = JSON.parse(message) as {
    runId: string;
    flowSlug: string;
    map: string | null;
  };
  if (code === 'PF001') {
    throw new PgFlowError(
      'FLOW_NOT_FOUND',
      `Flow \`${flowSlug}\` is not registered. Pass its definition to createPgFlow({ flows: [...] }) or { jobs: [...] }, in this process or in another one on this database.`,
      { data: { flowSlug }, cause: error },
    );
  }
  if (code === 'PF002') {
    throw new PgFlowError(
      'RUN_CONFLICT',
      `Run ${runId} exists already, with another flow or another input than \`${flowSlug}\` was asked to start with. Nothing was changed. Use a new runId.`,
      { data: { runId, flowSlug }, cause: error },
    );
  }
  throw new PgFlowError(
    'INVALID_INPUT',
    `The input of flow \`${flowSlug}\` must be an array: map \`${map}\` runs over it.`,
    { data: { flowSlug, issues: [{ path: '', message: 'Expected an array' }] }, cause: error },
  );
}
