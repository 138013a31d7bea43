import type { StepConditions, StepOptions } from '../flow/flow.js';
import type { Change } from '../run/change.js';
import type { RunFilter } from '../run/run-list.js';
import { type ChangeRow, type Outcome, readOutcome } from './change-rows.js';
import type { Database, Queryable, QueryOptions } from './database.js';
import { refuse } from './refusals.js';
import { quoteIdentifier } from './schema.js';
import type { Capacity } from './task-store.js';

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
  /** Each once. */
  readonly tags: readonly string[];
  /** The version of the flow whose definition the caller has: of such a run it is not told what it can know. */
  readonly knownVersion: number | null;
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

export interface LogRequest {
  readonly runId: string;
  readonly step: string | null;
  readonly attempt: number | null;
  /** The id of an entry: those after it. */
  readonly after: number;
  readonly limit: number;
}

export interface LogRow {
  readonly log_id: number;
  readonly at: string;
  readonly step_slug: string;
  readonly task_index: number;
  readonly attempt: number;
  readonly message: string;
  readonly fields: Record<string, unknown> | null;
}

/** Where a run stands in lists. */
export interface RunPlace {
  readonly runId: string;
  readonly startedAt: Date;
}

export interface RunPosition extends RunPlace {
  readonly seq: number;
}

/** Of which run, and what is new since when is wanted. */
export interface ChangeCursor {
  readonly runId: string;
  readonly since: number;
}

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

  /** Root tasks are claimed at once, as far as `capacity` allows; the runs are told to the `tracker`, for whose process all of them should be. */
  startFlows(
    starts: readonly StartRequest[],
    capacity: Capacity | undefined,
    tracker: number | null,
  ): Promise<Outcome> {
    return this.#outcome(
      `select * from ${this.#name}.start_flows($1::uuid[], $2::text[], $3::jsonb[], $4::jsonb[],
         $5::float8[], $6::timestamptz[], false, $7::int[], $8, $9::int[], $10,
         $11::text[], $12)`,
      [
        starts.map((start) => start.runId),
        starts.map((start) => start.flowSlug),
        starts.map((start) => start.input),
        starts.map((start) => start.givenInput),
        starts.map((start) => start.delay),
        starts.map((start) => start.runAt?.toISOString() ?? null),
        starts.map((start) => start.knownVersion),
        capacity?.workerId ?? null,
        capacity?.handlerIds ?? [],
        capacity?.slots ?? 0,
        starts.some(({ tags }) => tags.length > 0) ? starts.map(arrayOfTags) : null,
        tracker,
      ],
      'start',
    ).catch(refuse);
  }

  /** One start in the user's transaction, which tells the other processes when it commits. */
  async startFlowIn(tx: Queryable, start: StartRequest): Promise<Outcome> {
    // The blank keeps off plugins of Kysely that parse whatever begins as JSON does.
    const rows = await tx
      .query<{ row: string }>(
        `select ' ' || to_json(c)::text as row from ${this.#name}.start_flows(array[$1::text::uuid], array[$2::text],
           array[$3::text::jsonb], array[$4::text::jsonb], array[$5::text::float8], array[$6::text::timestamptz], true,
           tags => array[$7::text]) c`,
        [
          start.runId,
          start.flowSlug,
          start.input,
          start.givenInput,
          start.delay === null ? null : String(start.delay),
          start.runAt?.toISOString() ?? null,
          arrayOfTags(start),
        ],
      )
      .catch(refuse);
    return readOutcome(rows.map(({ row }) => JSON.parse(row) as ChangeRow));
  }

  /** The change; none when there is no such run or it has ended. */
  cancelRun(runId: string, reason: string | null): Promise<Outcome> {
    return this.#outcome(`select * from ${this.#name}.cancel_run($1::uuid, $2, false)`, [runId, reason]);
  }

  /** The new run. */
  retryRun(runId: string, newRunId: string): Promise<Outcome> {
    return this.#outcome(`select * from ${this.#name}.retry_run($1::uuid, $2::uuid, false)`, [
      runId,
      newRunId,
    ]).catch(refuse);
  }

  async explainRun(runId: string): Promise<ExplainRow[]> {
    return this.#database.query<ExplainRow>(`select * from ${this.#name}.explain_run($1::uuid)`, [runId]);
  }

  async readLogs({ runId, step, attempt, after, limit }: LogRequest): Promise<LogRow[]> {
    return this.#database.query<LogRow>(
      `select log_id::float8, at, step_slug, task_index, attempt, message, fields
       from ${this.#name}.read_logs($1::uuid, $2, $3, $4::float8::bigint, $5)`,
      [runId, step, attempt, after, limit],
    );
  }

  async readChanges(cursors: readonly ChangeCursor[]): Promise<Change[]> {
    const sql = `select * from ${this.#name}.read_changes($1::uuid[], $2::int[])`;
    return (await this.#outcome(sql, valuesOf(cursors))).changes;
  }

  /** The same; and from then on what becomes of these runs is told to the tracker: nothing in between is missed. */
  async trackChanges(cursors: readonly ChangeCursor[], tracker: number): Promise<Change[]> {
    const sql = `select * from ${this.#name}.track_changes($1::uuid[], $2::int[], $3)`;
    return (await this.#outcome(sql, [...valuesOf(cursors), tracker])).changes;
  }

  async readSeqs(runIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.#database.query<{ run_id: string; seq: number }>(
      `select run_id, seq from ${this.#name}.runs where run_id = any ($1::uuid[])`,
      [runIds],
    );
    return new Map(rows.map((row) => [row.run_id, row.seq]));
  }

  /** Sends payloads, JSON texts, over the schema's notification channel. */
  async notify(payloads: readonly string[]): Promise<void> {
    // Not as an array, in which each of their many quotes is escaped: 16 % of what a busy process allocates. No JSON has
    // a line feed of its own.
    await this.#database.query(
      `select pg_notify($1, p) from string_to_table($2, E'\\n') p`,
      [this.#schema, payloads.join('\n')],
      { prepare: true },
    );
  }

  /** Newest first; what is older than the run that `before` names. */
  async listRuns(
    { flow, status, tag, limit }: RunFilter,
    before: { readonly startedAt: string; readonly runId: string } | null,
  ): Promise<Change[]> {
    const { changes } = await this.#outcome(
      `with page as materialized (
         select p.run_id from ${this.#name}.list_runs(array[$1::text], array[$2::text], array[$3::text], array[$4::int],
           array[$5::timestamptz], array[$6::uuid]) p
       )
       select c.* from ${this.#name}.read_changes(array(select run_id from page), array(select 0 from page)) c`,
      [flow ?? null, status ?? null, tag ?? null, limit, before?.startedAt ?? null, before?.runId ?? null],
    );
    return changes.sort((a, b) => byNewest(placeOf(a), placeOf(b)));
  }

  /** Which runs match each filter, newest first. */
  async readPages(filters: readonly RunFilter[]): Promise<RunPosition[][]> {
    const rows = await this.#database.query<{
      page: number;
      run_id: string;
      seq: number;
      started_at: string;
    }>(`select * from ${this.#name}.list_runs($1::text[], $2::text[], $3::text[], $4::int[])`, [
      filters.map(({ flow }) => flow ?? null),
      filters.map(({ status }) => status ?? null),
      filters.map(({ tag }) => tag ?? null),
      filters.map(({ limit }) => limit),
    ]);
    const pages: RunPosition[][] = filters.map(() => []);
    for (const { page, run_id, seq, started_at } of rows) {
      pages[page - 1]!.push({ runId: run_id, seq, startedAt: new Date(started_at) });
    }
    for (const page of pages) page.sort(byNewest);
    return pages;
  }

  async #outcome(sql: string, params: readonly unknown[], lane?: QueryOptions['lane']): Promise<Outcome> {
    return readOutcome(await this.#database.query<ChangeRow>(sql, params, { prepare: true, lane }));
  }
}

function valuesOf(cursors: readonly ChangeCursor[]): unknown[] {
  return [cursors.map((cursor) => cursor.runId), cursors.map((cursor) => cursor.since)];
}

/** As PostgreSQL writes an array; null for none. */
function arrayOfTags({ tags }: StartRequest): string | null {
  if (tags.length === 0) return null;
  return `{${tags.map((tag) => `"${tag.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

function byNewest(a: RunPlace, b: RunPlace): number {
  const later = b.startedAt.getTime() - a.startedAt.getTime();
  return later || (a.runId < b.runId ? 1 : -1);
}

function placeOf({ runId, origin }: Change): RunPlace {
  return { runId, startedAt: origin!.startedAt };
}
