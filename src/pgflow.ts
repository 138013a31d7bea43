import type { AnyFlow, FlowStartInput } from './flow/flow.js';
import type { LiveRun } from './live/live-run.js';
import type { LiveRuns } from './live/live-runs.js';
import type { Diagnosis } from './postgres/doctor.js';
import type { Explanation } from './postgres/explain-run.js';
import type { Health } from './postgres/health.js';
import type { ListOptions, TrackRunsOptions } from './postgres/list-runs.js';
import type { LogEntry, LogOptions } from './postgres/logs.js';
import type { FlowMetrics, PruneOptions } from './postgres/maintenance.js';
import type { DatabaseOption } from './postgres/open-database.js';
import type { Started, StartOptions } from './postgres/starter.js';
import type { PostgresPubSub } from './pubsub/postgres.js';
import type { PubSub } from './pubsub/pubsub.js';
import type { Run } from './run/run.js';
import type { RunList } from './run/run-list.js';
import type { ClaimLatency } from './worker/claim-latency.js';
import type { WorkerLoad } from './worker/worker.js';
import type { WorkerOptions } from './worker/worker-options.js';

/** What `pgflow.metrics()` tells: of the whole installation by flow, of this process its worker. */
export interface Metrics {
  /** One for each flow and job that some process has registered, by slug. */
  readonly flows: FlowMetrics[];
  /** Of the last 1,000 tasks that this process claimed; null before the first. */
  readonly claimLatency: ClaimLatency | null;
  /** Null when this process only starts and watches. */
  readonly worker: WorkerLoad | null;
}

/** What `createPgFlow` takes. All can be left out. */
export interface PgFlowOptions {
  /** Where everything is stored. Default: the embedded PGlite in `.pgflow/`. */
  readonly database?: DatabaseOption;
  /** The schema that holds the tables. Default `pgflow`. */
  readonly schema?: string;
  /** true (default): bring the schema up to date. false: only check it. */
  readonly migrate?: boolean;
  /** How changes reach other processes. Default: `postgresPubSub()` on a server, `memoryPubSub()` on PGlite. */
  readonly pubsub?: PubSub | PostgresPubSub;
  /** The flows that this process starts by their definitions, and whose steps its worker executes. Default none. */
  readonly flows?: readonly AnyFlow[];
  /** The same for jobs. Flows and jobs share their slugs. Default none. */
  readonly jobs?: readonly AnyFlow[];
  /** false: this process only starts and watches. Default `{ concurrency: 10, lease: 30, pollInterval: 5 }`. */
  readonly worker?: WorkerOptions | false;
}

/**
 * Flows and jobs on one database, in one process. Everything rejects with `PgFlowError`; a database that cannot
 * be reached is `DATABASE_UNAVAILABLE`, anything after `stop` is `CLOSED`.
 */
export interface PgFlow {
  /**
   * Starts the worker of this process. Idempotent; one that failed can be tried again.
   *
   * @throws {PgFlowError} `DATABASE_UNAVAILABLE`.
   */
  start(): Promise<void>;
  /**
   * Stops claiming, waits up to `grace` seconds (default 10; `Infinity`: as long as it takes) for handlers, gives the
   * tasks of the rest back; then ends live runs and the connections that were opened here. Idempotent.
   *
   * @throws {PgFlowError} `INVALID_INPUT` for a grace that is none; nothing was stopped then.
   */
  stop(options?: { readonly grace?: number }): Promise<void>;
  /**
   * Starts a run of a flow, given by its definition or its slug. Resolves when it is committed.
   *
   * @throws {PgFlowError} `INVALID_INPUT` with `data.issues`, `FLOW_NOT_FOUND`, `RUN_CONFLICT`, `INVALID_RUN_ID`,
   *   `NOT_STORABLE`; nothing was written then.
   * @example
   * const run = await pgflow.startFlow(processOrder, { orderId: '123' }, { runId, delay: 60 });
   */
  startFlow<F extends AnyFlow>(
    flow: F | string,
    input: FlowStartInput<F>,
    options?: StartOptions,
  ): Promise<Run<F>>;
  /** Starts a run of a job: `startFlow` by the name that fits. */
  enqueue<J extends AnyFlow>(
    job: J | string,
    input: FlowStartInput<J>,
    options?: StartOptions,
  ): Promise<Run<J>>;
  /** `startFlow`, and whether the run was created by this call or there already. */
  startOrGet<F extends AnyFlow>(
    flow: F | string,
    input: FlowStartInput<F>,
    options?: StartOptions,
  ): Promise<Started>;
  /**
   * Cancels a run: its queued tasks never start, its handlers abort, in other processes too. `cancelled` is false
   * when it had ended already; the run is then as it was.
   *
   * @throws {PgFlowError} `RUN_NOT_FOUND`, `INVALID_RUN_ID`.
   */
  cancelRun<F extends AnyFlow = any>(
    runId: string,
    options?: { readonly reason?: string },
  ): Promise<{ cancelled: boolean; run: Run<F> }>;
  /**
   * Starts a new run of a failed or cancelled one: same version, same input, `retryOf` the old one. Completed
   * steps and completed tasks of maps are taken over and do not run again.
   *
   * @throws {PgFlowError} `RUN_NOT_FOUND`, `INVALID_RUN_ID`, `RUN_CONFLICT` when it is under way or completed.
   */
  retryRun<F extends AnyFlow = any>(runId: string): Promise<Run<F>>;
  /**
   * Why each step of a run that has not ended waits.
   *
   * @throws {PgFlowError} `RUN_NOT_FOUND`, `INVALID_RUN_ID`.
   */
  explain(runId: string): Promise<Explanation>;
  /**
   * The run as it is now; null when there is none with that id.
   *
   * @throws {PgFlowError} `INVALID_RUN_ID`.
   */
  getRun<F extends AnyFlow = any>(runId: string): Promise<Run<F> | null>;
  /**
   * The runs that match, newest first, in pages: 50, or `limit` up to 500. `cursor` gives the next page, null says that
   * there is none.
   *
   * @throws {PgFlowError} `INVALID_INPUT` for a status, tag, limit or cursor that is none.
   * @example
   * const first = await pgflow.listRuns({ flow: 'process_order', status: 'failed', limit: 20 });
   * const next = await pgflow.listRuns({ flow: 'process_order', status: 'failed', limit: 20, cursor: first.cursor });
   */
  listRuns(options?: ListOptions): Promise<RunList>;
  /**
   * What the handlers of a run logged, in the order in which it was stored; empty when there is no run with that id. All
   * that an attempt logged is there when the run shows its end.
   *
   * @throws {PgFlowError} `INVALID_RUN_ID`; `INVALID_INPUT` for an option out of range.
   * @example
   * const first = await pgflow.getLogs(runId, { step: 'charge', attempt: 2, limit: 100 });
   * const next = await pgflow.getLogs(runId, { step: 'charge', attempt: 2, limit: 100, after: first.at(-1)?.logId });
   */
  getLogs(runId: string, options?: LogOptions): Promise<LogEntry[]>;
  /**
   * A live view of a run: close it when you are done.
   *
   * @throws {PgFlowError} `RUN_NOT_FOUND`, `INVALID_RUN_ID`.
   * @example
   * const live = await pgflow.track<typeof processOrder>(runId);
   * const run = await live.waitFor('completed', { timeout: 30 });
   * live.close();
   */
  track<F extends AnyFlow = any>(runId: string): Promise<LiveRun<F>>;
  /**
   * A live list, newest first, for pages that show many runs: it is read again at most once a second while something
   * changes, once for all who watch the same list in this process. Close it when you are done.
   *
   * @throws {PgFlowError} `INVALID_INPUT`, `DATABASE_UNAVAILABLE`.
   * @example
   * const orders = await pgflow.trackRuns({ tag: 'customer:7', limit: 20 });
   * orders.subscribe(() => draw(orders.getSnapshot().runs));
   */
  trackRuns(options?: TrackRunsOptions): Promise<LiveRuns>;
  /**
   * Deletes runs that ended long ago, with all that belongs to them, in small transactions: workers go on meanwhile.
   * Runs under way never go. Who still watches a run that went gets `RUN_NOT_FOUND`. An aborted `signal` ends it after
   * the batch under way; what was deleted until then is counted.
   *
   * @throws {PgFlowError} `INVALID_INPUT`.
   * @example
   * const { pruned } = await pgflow.prune({ olderThan: '30d' });
   */
  prune(options: PruneOptions): Promise<{ pruned: number }>;
  /**
   * Deletes a flow or job: its definition and all its runs, those under way too. Handlers of it that are at work
   * abort, and nothing that they do counts any more. It can be started again when a process registers it anew.
   *
   * @returns how many runs went.
   * @throws {PgFlowError} `FLOW_NOT_FOUND`.
   */
  deleteFlow(slug: string): Promise<{ deleted: number }>;
  /**
   * How much there is to do, by flow, and how soon it is begun: for a page, or a scrape every few seconds.
   *
   * `failedWithin`: how far back failed runs are counted, seconds or a text such as `'15m'`. Default `'1h'`.
   *
   * @throws {PgFlowError} `INVALID_INPUT`.
   */
  metrics(options?: { readonly failedWithin?: number | string }): Promise<Metrics>;
  /**
   * Whether this process can do its work: `ok` is for a readiness probe. Never rejects, and answers within a few
   * seconds, even when the database hangs.
   */
  health(): Promise<Health>;
  /**
   * Looks at all that the library needs of its database, and says of each thing what to do: tables, indexes and
   * functions, notifications, dead rows, old transactions, workers, tasks that nobody knows. Reads only, never
   * rejects, takes seconds when something is wrong. `npx pgflow-live doctor` prints it.
   */
  doctor(): Promise<Diagnosis>;
}
