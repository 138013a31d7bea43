import { v7 as uuidv7 } from 'uuid';
import { PgFlowError } from './errors.js';
import { assertRunnable } from './flow/assert-runnable.js';
import type { AnyFlow, FlowStartInput } from './flow/flow.js';
import type { LiveRun } from './live/live-run.js';
import { createTracker, type Tracker } from './live/tracker.js';
import type { Database } from './postgres/database.js';
import { type Diagnosis, diagnose } from './postgres/doctor.js';
import { type Explanation, explainRun } from './postgres/explain-run.js';
import { type Health, HealthCheck } from './postgres/health.js';
import { type ListOptions, listRuns, type RunList } from './postgres/list-runs.js';
import { type FlowMetrics, Maintenance, type PruneOptions } from './postgres/maintenance.js';
import { checkSchema, migrate } from './postgres/migrate.js';
import { type DatabaseOption, openDatabase } from './postgres/open-database.js';
import { registrationOf } from './postgres/registration.js';
import { checkSchemaName } from './postgres/schema.js';
import { createStarter, type Started, type StartOptions } from './postgres/starter.js';
import { Store } from './postgres/store.js';
import { TaskStore } from './postgres/task-store.js';
import { memoryPubSub } from './pubsub/memory.js';
import { mergePubSub } from './pubsub/merged.js';
import { type PostgresPubSub, postgresPubSub } from './pubsub/postgres.js';
import { publishChange } from './pubsub/publish-change.js';
import { type PubSub, type Topics, topicsOf } from './pubsub/pubsub.js';
import { applyChange } from './run/apply-change.js';
import type { Change } from './run/change.js';
import { encodeHint } from './run/codec.js';
import { errorText } from './run/error-text.js';
import type { Run, RunStatus } from './run/run.js';
import { checkRunId, isRunId } from './run/run-id.js';
import type { ClaimLatency } from './worker/claim-latency.js';
import type { Handler } from './worker/execution.js';
import { Worker, type WorkerLoad, type WorkerOptions, type WorkerPorts } from './worker/worker.js';

export {
  type InputIssue,
  NonRetryableError,
  PgFlowError,
  type PgFlowErrorCode,
  RetryAfterError,
} from './errors.js';
export { defineFlow, type Flow, type FlowOptions } from './flow/define-flow.js';
export { defineJob, type Job } from './flow/define-job.js';
export type {
  AnyFlow,
  FlowInput,
  FlowOutput,
  FlowStartInput,
  FlowStepSlug,
  HandlerContext,
  StepContext,
  StepOutput,
} from './flow/flow.js';
export type { Jsonify } from './flow/jsonify.js';
export { LiveClient, type LiveResult } from './live/live-client.js';
export type { LiveRun } from './live/live-run.js';
export type { LiveMessage, LiveSocket } from './live/live-socket.js';
export type { Diagnosis } from './postgres/doctor.js';
export type { Explanation, StepWait } from './postgres/explain-run.js';
export type { Finding } from './postgres/finding.js';
export type { Health } from './postgres/health.js';
export type { ListOptions, RunList } from './postgres/list-runs.js';
export type { FlowMetrics, PruneOptions } from './postgres/maintenance.js';
export type { StartOptions } from './postgres/starter.js';
export { memoryPubSub } from './pubsub/memory.js';
export { postgresPubSub } from './pubsub/postgres.js';
export type { PubSub } from './pubsub/pubsub.js';
export type { EventType, RunEvent } from './run/event.js';
export type { Run, RunError, RunStatus, StepState, StepStatus } from './run/run.js';
export type { ClaimLatency } from './worker/claim-latency.js';

export interface Metrics {
  /** One for each flow and job that some process has registered, by slug. */
  readonly flows: FlowMetrics[];
  /** Of the last 1,000 tasks that this process claimed; null before the first. */
  readonly claimLatency: ClaimLatency | null;
  /** Null when this process only starts and watches. */
  readonly worker: WorkerLoad | null;
}

export interface PgFlowOptions {
  /** Where everything is stored. Default: the embedded PGlite in `.pgflow/`. */
  readonly database?: DatabaseOption;
  /** The schema that holds the tables. Default `pgflow`. */
  readonly schema?: string;
  /** true (default): bring the schema up to date. false: only check it. */
  readonly migrate?: boolean;
  /** How changes reach other processes. Default: `postgresPubSub()` on a server, `memoryPubSub()` on PGlite. */
  readonly pubsub?: PubSub | PostgresPubSub;
  readonly flows?: readonly AnyFlow[];
  readonly jobs?: readonly AnyFlow[];
  /** false: this process only starts and watches. Default `{ concurrency: 10, lease: 30, pollInterval: 5 }`. */
  readonly worker?: WorkerOptions | false;
}

/**
 * Flows and jobs on one database, in one process. Everything rejects with `PgFlowError`; a database that cannot
 * be reached is `DATABASE_UNAVAILABLE`, anything after `stop` is `CLOSED`.
 */
export interface PgFlow {
  /** Starts the worker of this process. Idempotent. */
  start(): Promise<void>;
  /**
   * Stops claiming, waits up to `grace` seconds (default 10) for handlers, gives the tasks of the rest back;
   * then ends live runs and the connections that were opened here. Idempotent.
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
  /** The run as it is now; null when there is none with that id. */
  getRun<F extends AnyFlow = any>(runId: string): Promise<Run<F> | null>;
  /** The runs that match, newest first, in pages. */
  listRuns(options?: ListOptions): Promise<RunList>;
  /**
   * A live view of a run: close it when you are done.
   *
   * @throws {PgFlowError} `RUN_NOT_FOUND`, `INVALID_RUN_ID`.
   */
  track<F extends AnyFlow = any>(runId: string): Promise<LiveRun<F>>;
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

/** The seq of a hint that says that a run is gone: no run gets there. */
const GONE = 2 ** 31 - 1;

/**
 * Opens the database, brings its schema up to date, registers the flows, and wires worker, pubsub and live runs.
 * Nothing is executed before `start()`.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`, `DATABASE_UNAVAILABLE`, `DATABASE_LOCKED`, `SCHEMA_FOREIGN`,
 *   `SCHEMA_OUTDATED`. What was opened is closed again.
 * @example
 * const pgflow = await createPgFlow({ database: process.env.DATABASE_URL, flows: [processOrder] });
 * await pgflow.start();
 */
export async function createPgFlow(options: PgFlowOptions = {}): Promise<PgFlow> {
  const definitions = collectDefinitions(options);
  const schema = checkSchemaName(options.schema ?? 'pgflow');
  const database = await openDatabase(options.database);
  try {
    await (options.migrate === false ? checkSchema : migrate)(database, schema);
    const store = new Store(database, schema);
    const handlers = new Map<number, Handler>();
    for (const flow of definitions.values()) {
      const { handlerIds } = await store.registerFlow(registrationOf(flow));
      for (const step of flow.steps) handlers.set(handlerIds[step.index]!, { flow, step });
    }
    return new Runtime(options, schema, database, store, definitions, handlers);
  } catch (error) {
    await database.close().catch(() => {});
    throw error;
  }
}

/** Modes: `created → started → stopped`; it can be stopped without having been started. */
class Runtime implements PgFlow {
  #mode: 'created' | 'started' | 'stopped' = 'created';
  readonly #database: Database;
  readonly #schema: string;
  readonly #store: Store;
  readonly #topics: Topics;
  readonly #notifications: PubSub;
  readonly #pubsub: PubSub;
  readonly #tracker: Tracker;
  readonly #worker: Worker | undefined;
  readonly #startRun: ReturnType<typeof createStarter>;
  readonly #maintenance: Maintenance;
  readonly #healthCheck: HealthCheck;
  /** The buses that told that their messages get lost. */
  readonly #deaf = new Set<PubSub>();
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    options: PgFlowOptions,
    schema: string,
    database: Database,
    store: Store,
    definitions: ReadonlyMap<string, AnyFlow>,
    handlers: ReadonlyMap<number, Handler>,
  ) {
    this.#database = database;
    this.#schema = schema;
    this.#store = store;
    this.#topics = topicsOf(schema);
    this.#notifications = (isPostgresPubSub(options.pubsub) ? options.pubsub : postgresPubSub()).open({
      notify: (payloads) => store.notify(payloads),
      listen: (onPayload, onLost) => database.listen(schema, onPayload, onLost),
    });
    this.#pubsub = choosePubSub(options.pubsub, database, this.#notifications);
    this.#tracker = createTracker({ source: store, pubsub: this.#pubsub, topics: this.#topics });
    if (options.worker !== false && handlers.size > 0)
      this.#worker = this.#createWorker(handlers, options.worker);
    this.#startRun = createStarter(store, definitions, () => this.#wakeAll());
    this.#maintenance = new Maintenance(database, schema);
    this.#healthCheck = new HealthCheck(database, schema);
    for (const bus of new Set([this.#notifications, this.#pubsub])) {
      bus.onConnection?.((connected) => void (connected ? this.#deaf.delete(bus) : this.#deaf.add(bus)));
    }
  }

  async start(): Promise<void> {
    this.#refuseStopped();
    this.#enter('started');
    this.#starting ??= this.#startWorker();
    return this.#starting;
  }

  stop({ grace = 10 }: { grace?: number } = {}): Promise<void> {
    this.#enter('stopped');
    this.#stopping ??= this.#end(grace);
    return this.#stopping;
  }

  startFlow: PgFlow['startFlow'] = async (flow, input, options) => {
    return (await this.startOrGet(flow, input, options)).run;
  };

  enqueue: PgFlow['enqueue'] = (job, input, options) => this.startFlow(job, input, options);

  startOrGet: PgFlow['startOrGet'] = async (flow, input, options) => {
    this.#refuseStopped();
    return this.#startRun(flow, input, options);
  };

  async getRun(runId: string): Promise<Run | null> {
    this.#refuseStopped();
    const [change] = await this.#store.readChanges([{ runId: checkRunId(runId), since: 0 }]);
    return change ? applyChange(null, change).run : null;
  }

  async listRuns(options?: ListOptions): Promise<RunList> {
    this.#refuseStopped();
    return listRuns(this.#store, options);
  }

  async track(runId: string): Promise<LiveRun> {
    this.#refuseStopped();
    return this.#tracker.track(runId);
  }

  async cancelRun(
    runId: string,
    { reason }: { reason?: string } = {},
  ): Promise<{ cancelled: boolean; run: Run }> {
    const id = checkRunId(runId);
    this.#refuseStopped();
    const { changes } = await this.#store.cancelRun(id, reason === undefined ? null : errorText(reason));
    this.#announce(changes);
    return { cancelled: changes.length > 0, run: await this.#findRun(id) };
  }

  async retryRun(runId: string): Promise<Run> {
    const id = checkRunId(runId);
    this.#refuseStopped();
    const { changes, ready } = await this.#store.retryRun(id, uuidv7());
    if (ready) this.#wakeAll();
    return applyChange(null, changes[0]!).run as Run;
  }

  async explain(runId: string): Promise<Explanation> {
    const run = await this.#findRun(checkRunId(runId));
    return explainRun(this.#store, run);
  }

  async prune(options: PruneOptions): Promise<{ pruned: number }> {
    this.#refuseStopped();
    return { pruned: await this.#maintenance.prune(options, (runIds) => this.#tellGone(runIds)) };
  }

  async deleteFlow(slug: string): Promise<{ deleted: number }> {
    this.#refuseStopped();
    const deleted = await this.#maintenance.deleteFlow(slug, (runIds) => {
      this.#tellGone(runIds);
      for (const runId of runIds) this.#abandon(runId, 'cancelled');
    });
    if (deleted !== null) return { deleted };
    throw new PgFlowError('FLOW_NOT_FOUND', `There is no flow \`${slug}\`; nothing was deleted.`, {
      data: { flowSlug: slug },
    });
  }

  async metrics({ failedWithin }: { failedWithin?: number | string } = {}): Promise<Metrics> {
    this.#refuseStopped();
    return {
      flows: await this.#maintenance.readMetrics(failedWithin),
      claimLatency: this.#worker?.claimLatency ?? null,
      worker: this.#worker?.load ?? null,
    };
  }

  health(): Promise<Health> {
    const isEnding = this.#mode === 'stopped';
    return this.#healthCheck.read({
      isStopped: isEnding && this.#worker?.mode !== 'draining',
      worker: this.#worker,
      listening: this.#deaf.size === 0,
    });
  }

  doctor(): Promise<Diagnosis> {
    return diagnose(this.#database, this.#schema);
  }

  async #findRun(runId: string): Promise<Run> {
    const run = await this.getRun(runId);
    if (run) return run;
    throw new PgFlowError('RUN_NOT_FOUND', `There is no run ${runId}.`, { data: { runId } });
  }

  #enter(mode: 'started' | 'stopped'): void {
    if (this.#mode !== 'stopped') this.#mode = mode;
  }

  #refuseStopped(): void {
    if (this.#mode !== 'stopped') return;
    throw new PgFlowError('CLOSED', 'This pgflow is stopped. Make a new one with createPgFlow.');
  }

  #createWorker(handlers: ReadonlyMap<number, Handler>, options: WorkerOptions | undefined): Worker {
    const ports: WorkerPorts = {
      store: new TaskStore(this.#database, this.#schema),
      handlers,
      onChanges: (changes) => this.#announce(changes),
      onReady: () => this.#wakeOthers(),
      onUncertain: (runIds) => void this.#reread(runIds),
      onError: report,
    };
    return new Worker(ports, options);
  }

  async #startWorker(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    await this.#notifications.subscribe(this.#topics.wake, () => worker.wake());
    await this.#notifications.subscribe(this.#topics.runs, (message) => {
      const { runId } = (message ?? {}) as { runId?: unknown };
      if (isRunId(runId)) worker.abandon(runId);
    });
    await worker.start();
  }

  async #end(grace: number): Promise<void> {
    await this.#starting?.catch(() => {});
    await this.#worker?.stop(grace);
    this.#tracker.close();
    await this.#pubsub.close();
    await this.#notifications.close();
    await this.#database.close();
  }

  // What is told here is committed: whoever misses the message reads the rows.

  #announce(changes: readonly Change[]): void {
    for (const change of changes) {
      this.#tracker.apply(change);
      publishChange(this.#pubsub, this.#topics, change).catch(() => {});
      const { status } = change.run;
      if (status === 'failed' || status === 'cancelled') this.#abandon(change.runId, status);
    }
  }

  #tellGone(runIds: readonly string[]): void {
    for (const runId of runIds) {
      this.#tracker.hint(runId, GONE);
      this.#pubsub.publish(this.#topics.run(runId), encodeHint(runId, GONE)).catch(() => {});
    }
  }

  /** Nobody is to go on with handlers of a run that ended without them. */
  #abandon(runId: string, status: RunStatus): void {
    this.#worker?.abandon(runId);
    this.#notifications.publish(this.#topics.runs, { runId, status }).catch(() => {});
  }

  #wakeAll(): void {
    this.#worker?.wake();
    this.#wakeOthers();
  }

  #wakeOthers(): void {
    this.#notifications.publish(this.#topics.wake, {}).catch(() => {});
  }

  async #reread(runIds: readonly string[]): Promise<void> {
    try {
      for (const [runId, seq] of await this.#store.readSeqs(runIds)) {
        this.#tracker.hint(runId, seq);
        await this.#pubsub.publish(this.#topics.run(runId), encodeHint(runId, seq));
      }
    } catch (error) {
      report('Reading runs again failed; their watchers catch up later', error);
    }
  }
}

function report(message: string, error: unknown): void {
  console.error(`[pgflow] ${message}:`, error);
}

function collectDefinitions({ flows = [], jobs = [] }: PgFlowOptions): Map<string, AnyFlow> {
  const definitions = new Map<string, AnyFlow>();
  for (const flow of [...flows, ...jobs]) {
    assertRunnable(flow);
    if (definitions.has(flow.slug)) {
      throw new PgFlowError(
        'INVALID_DEFINITION',
        `createPgFlow got two flows or jobs with the slug \`${flow.slug}\`. Give one of them another slug.`,
      );
    }
    definitions.set(flow.slug, flow);
  }
  return definitions;
}

function isPostgresPubSub(pubsub: PgFlowOptions['pubsub']): pubsub is PostgresPubSub {
  return pubsub !== undefined && 'open' in pubsub;
}

function choosePubSub(given: PgFlowOptions['pubsub'], database: Database, notifications: PubSub): PubSub {
  if (isPostgresPubSub(given)) return notifications;
  if (given) return mergePubSub(given, notifications);
  return database.kind === 'postgres' ? notifications : mergePubSub(memoryPubSub(), notifications);
}
