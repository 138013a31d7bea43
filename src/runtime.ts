import { Announcer } from './announcer.js';
import { LocalAudience } from './audience.js';
import { PgFlowError } from './errors.js';
import type { LiveRun } from './live/live-run.js';
import type { LiveRuns } from './live/live-runs.js';
import { RunLists } from './live/run-lists.js';
import { createTracker, type Tracker } from './live/tracker.js';
import type { Metrics, PgFlow, PgFlowOptions } from './pgflow.js';
import type { Database } from './postgres/database.js';
import { type Diagnosis, diagnose } from './postgres/doctor.js';
import { type Explanation, explainRun } from './postgres/explain-run.js';
import { type Health, HealthCheck } from './postgres/health.js';
import {
  checkTracked,
  type ListOptions,
  listRuns,
  listSource,
  type TrackRunsOptions,
} from './postgres/list-runs.js';
import { type LogEntry, type LogOptions, readLogs } from './postgres/logs.js';
import { Maintenance, type PruneOptions } from './postgres/maintenance.js';
import { newRunId } from './postgres/new-run-id.js';
import { createStarter, type Registered, type Started, type StartRun } from './postgres/starter.js';
import type { Store } from './postgres/store.js';
import { TaskStore } from './postgres/task-store.js';
import { attachBus } from './pubsub/attach-pubsub.js';
import { Buses } from './pubsub/buses.js';
import { type Topics, topicsOf } from './pubsub/pubsub.js';
import { applyChange } from './run/apply-change.js';
import { errorText } from './run/error-text.js';
import type { Run } from './run/run.js';
import { checkRunId, isRunId } from './run/run-id.js';
import type { RunList } from './run/run-list.js';
import { Telemetry } from './telemetry/telemetry.js';
import type { Handler } from './worker/execution.js';
import { Worker, type WorkerPorts } from './worker/worker.js';
import { checkGrace, type WorkerOptions } from './worker/worker-options.js';

/** Modes: `created → started → stopped`; it can be stopped without having been started. */
export class Runtime implements PgFlow {
  #mode: 'created' | 'started' | 'stopped' = 'created';
  readonly #database: Database;
  readonly #schema: string;
  readonly #store: Store;
  readonly #topics: Topics;
  readonly #buses: Buses;
  readonly #audience: LocalAudience;
  readonly #tracker: Tracker;
  readonly #lists: RunLists;
  readonly #telemetry: Telemetry;
  readonly #announcer: Announcer;
  readonly #detachPubSub: () => void;
  readonly #worker: Worker | undefined;
  readonly #startRun: StartRun;
  readonly #maintenance: Maintenance;
  readonly #healthCheck: HealthCheck;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    options: PgFlowOptions,
    schema: string,
    database: Database,
    store: Store,
    registered: ReadonlyMap<string, Registered>,
    handlers: ReadonlyMap<number, Handler>,
  ) {
    this.#database = database;
    this.#schema = schema;
    this.#store = store;
    this.#topics = topicsOf(schema);
    this.#buses = new Buses({
      given: options.pubsub,
      isShared: database.kind === 'postgres',
      channel: {
        notify: (payloads) => store.notify(payloads),
        listen: (onPayload, onLost) => database.listen(schema, onPayload, onLost),
      },
    });
    const { pubsub } = this.#buses;
    this.#telemetry = new Telemetry(schema);
    const { isOwn } = this.#buses;
    this.#detachPubSub = attachBus(this, pubsub, ({ elsewhere }) => elsewhere || !isOwn);
    this.#audience = new LocalAudience({
      isTracked: (runId) => this.#tracker.isTracking(runId),
      doubt: (runId) => this.#tracker.doubt(runId),
      hearsUntracked: () => this.#telemetry.hearsChanges,
    });
    const { trackerId } = this.#audience;
    this.#tracker = createTracker({
      source: {
        readChanges: (cursors) => store.trackChanges(cursors, trackerId),
        readSeqs: (runIds) => store.readSeqs(runIds),
      },
      pubsub,
      topics: this.#topics,
      readBegun: (runId) => this.#audience.readBegun(runId),
    });
    this.#lists = new RunLists({ source: listSource(store), pubsub, topic: this.#topics.list });
    this.#announcer = new Announcer({
      pgflow: this,
      store,
      tracker: this.#tracker,
      audience: this.#audience,
      lists: this.#lists,
      telemetry: this.#telemetry,
      notifications: this.#buses.notifications,
      topics: this.#topics,
      worker: () => this.#worker,
      onError: report,
    });
    if (options.worker !== false && handlers.size > 0)
      this.#worker = this.#createWorker(handlers, options.worker);
    this.#startRun = createStarter({
      store,
      registered,
      claimWith: (wanted, statement) => this.#worker?.claimWith(wanted, statement) ?? statement(),
      onReady: () => this.#announcer.ready({ here: true }),
      trackerId,
      onBegun: (runs) => this.#audience.remember(runs),
    });
    this.#maintenance = new Maintenance(database, schema);
    this.#healthCheck = new HealthCheck(database, schema);
  }

  async start(): Promise<void> {
    this.#refuseStopped();
    this.#enter('started');
    this.#starting ??= this.#startWorker().catch((error) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async stop(options?: { readonly grace?: number }): Promise<void> {
    const grace = checkGrace(options?.grace);
    this.#enter('stopped');
    this.#stopping ??= this.#end(grace);
    return this.#stopping;
  }

  startFlow: PgFlow['startFlow'] = (...given) => this.#start(...given).then(({ run }) => run);

  enqueue: PgFlow['enqueue'] = this.startFlow;

  startOrGet: PgFlow['startOrGet'] = (...given) => this.#start(...given);

  async getRun(runId: string): Promise<Run | null> {
    this.#refuseStopped();
    const [change] = await this.#store.readChanges([{ runId: checkRunId(runId), since: 0 }]);
    return change ? applyChange(null, change).run : null;
  }

  async listRuns(options?: ListOptions): Promise<RunList> {
    this.#refuseStopped();
    return listRuns(this.#store, options);
  }

  async getLogs(runId: string, options?: LogOptions): Promise<LogEntry[]> {
    this.#refuseStopped();
    return readLogs(this.#store, checkRunId(runId), options);
  }

  async track(runId: string): Promise<LiveRun> {
    this.#refuseStopped();
    return this.#tracker.track(runId);
  }

  async trackRuns(options?: TrackRunsOptions): Promise<LiveRuns> {
    this.#refuseStopped();
    return this.#lists.track(checkTracked(options));
  }

  async cancelRun(
    runId: string,
    options?: { readonly reason?: string },
  ): Promise<{ cancelled: boolean; run: Run }> {
    this.#refuseStopped();
    const id = checkRunId(runId);
    const reason = options?.reason;
    const { changes } = await this.#store.cancelRun(id, reason === undefined ? null : errorText(reason));
    if (changes.length > 0) this.#announcer.changed(changes);
    return { cancelled: changes.length > 0, run: await this.#findRun(id) };
  }

  async retryRun(runId: string): Promise<Run> {
    this.#refuseStopped();
    const id = checkRunId(runId);
    const { changes, ready } = await this.#store.retryRun(id, newRunId());
    const run = applyChange(null, changes[0]!).run as Run;
    this.#telemetry.runStarted(run);
    if (ready) this.#announcer.ready({ here: true });
    this.#lists.tell();
    return run;
  }

  async explain(runId: string): Promise<Explanation> {
    this.#refuseStopped();
    const run = await this.#findRun(checkRunId(runId));
    return explainRun(this.#store, run);
  }

  async prune(options: PruneOptions): Promise<{ pruned: number }> {
    this.#refuseStopped();
    return { pruned: await this.#maintenance.prune(options, (runIds) => this.#announcer.gone(runIds)) };
  }

  async deleteFlow(slug: string): Promise<{ deleted: number }> {
    this.#refuseStopped();
    const deleted = await this.#maintenance.deleteFlow(slug, (runIds) => {
      this.#announcer.gone(runIds, { abandoned: true });
    });
    if (deleted !== null) return { deleted };
    throw new PgFlowError('FLOW_NOT_FOUND', `There is no flow \`${slug}\`; nothing was deleted.`, {
      data: { flowSlug: slug },
    });
  }

  async metrics(options?: { readonly failedWithin?: number | string }): Promise<Metrics> {
    this.#refuseStopped();
    return {
      flows: await this.#maintenance.readMetrics(options?.failedWithin),
      claimLatency: this.#worker?.claimLatency ?? null,
      worker: this.#worker?.load ?? null,
    };
  }

  health(): Promise<Health> {
    const isEnding = this.#mode === 'stopped';
    return this.#healthCheck.read({
      isStopped: isEnding && this.#worker?.mode !== 'draining',
      worker: this.#worker,
      listening: this.#buses.areListening,
    });
  }

  doctor(): Promise<Diagnosis> {
    return diagnose(this.#database, this.#schema);
  }

  async #start(...given: Parameters<StartRun>): Promise<Started> {
    this.#refuseStopped();
    const started = await this.#startRun(...given);
    // In a transaction of the user's it is not committed yet; SQL tells it when it is.
    if (started.created && given[2]?.tx === undefined) {
      this.#telemetry.runStarted(started.run);
      this.#lists.tell();
    }
    return started;
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
      store: new TaskStore(this.#database, this.#schema, this.#audience),
      handlers,
      onChanges: (changes, endings) => this.#announcer.changed(changes, endings),
      onReady: () => this.#announcer.ready({ here: false }),
      onUncertain: (runIds) => void this.#announcer.moved(runIds),
      onError: (message, error) => {
        report(message, error);
        this.#telemetry.workerFailed(message, error);
      },
      telemetry: this.#telemetry,
    };
    return new Worker(ports, options);
  }

  async #startWorker(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    const { notifications } = this.#buses;
    const stops = [
      await notifications.subscribe(this.#topics.wake, () => worker.wake()),
      await notifications.subscribe(this.#topics.runs, (message) => {
        const { runId } = (message ?? {}) as { runId?: unknown };
        if (!isRunId(runId)) return;
        this.#audience.forget(runId);
        worker.abandon(runId);
      }),
    ];
    try {
      await worker.start();
    } catch (error) {
      for (const stop of stops) stop();
      throw error;
    }
  }

  async #end(grace: number): Promise<void> {
    await this.#starting?.catch(() => {});
    await this.#worker?.stop(grace);
    this.#tracker.close();
    this.#lists.close();
    this.#detachPubSub();
    await this.#buses.close();
    await this.#database.close();
  }
}

function report(message: string, error: unknown): void {
  console.error(`[pgflow] ${message}:`, error);
}
