import { PgFlowError } from './errors.js';
import { assertRunnable } from './flow/assert-runnable.js';
import type { AnyFlow } from './flow/flow.js';
import { quoted } from './flow/quoted.js';
import type { PgFlow, PgFlowOptions } from './pgflow.js';
import { checkSchema, migrate } from './postgres/migrate.js';
import { openDatabase } from './postgres/open-database.js';
import { registrationOf } from './postgres/registration.js';
import { checkSchemaName } from './postgres/schema.js';
import type { Registered } from './postgres/starter.js';
import { Store } from './postgres/store.js';
import { checkPubSub } from './pubsub/buses.js';
import { Runtime } from './runtime.js';
import { type Handler, handlersOf } from './worker/execution.js';
import { checkWorkerOptions } from './worker/worker-options.js';

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
  TransactionClient,
} from './flow/flow.js';
export type { Jsonify } from './flow/jsonify.js';
export { LiveClient, type LiveResult } from './live/live-client.js';
export type { LiveRun, Verification, WaitOptions } from './live/live-run.js';
export type { LiveRuns } from './live/live-runs.js';
export type { LiveMessage, LiveSocket } from './live/live-socket.js';
export type { Metrics, PgFlow, PgFlowOptions } from './pgflow.js';
export type { Diagnosis } from './postgres/doctor.js';
export type { Explanation, StepWait } from './postgres/explain-run.js';
export type { Finding } from './postgres/finding.js';
export type { Health } from './postgres/health.js';
export type { ListOptions, TrackRunsOptions } from './postgres/list-runs.js';
export type { LogEntry, LogOptions } from './postgres/logs.js';
export type { FlowMetrics, PruneOptions } from './postgres/maintenance.js';
export type { StartOptions } from './postgres/starter.js';
export type { Tx } from './postgres/user-transaction.js';
export { attachPubSub } from './pubsub/attach-pubsub.js';
export { memoryPubSub } from './pubsub/memory.js';
export { type PostgresPubSub, postgresPubSub } from './pubsub/postgres.js';
export type { PubSub } from './pubsub/pubsub.js';
export type { EventType, RunEvent } from './run/event.js';
export type { Run, RunError, RunStatus, StepProgress, StepState, StepStatus } from './run/run.js';
export type { RunList } from './run/run-list.js';
export { attachTelemetry, type TelemetryListeners } from './telemetry/attach-telemetry.js';
export type { TelemetryEvents } from './telemetry/events.js';
export type { ClaimLatency } from './worker/claim-latency.js';
export type { WorkerOptions } from './worker/worker-options.js';

/**
 * Opens the database, brings its schema up to date, registers the flows, and wires worker, pubsub and live runs.
 * Nothing is executed before `start()`.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`, `INVALID_INPUT`, `DATABASE_UNAVAILABLE`, `DATABASE_LOCKED`, `SCHEMA_FOREIGN`,
 *   `SCHEMA_OUTDATED`, `SCHEMA_IN_USE`. What was opened is closed again.
 * @example
 * const pgflow = await createPgFlow({ database: process.env.DATABASE_URL, flows: [processOrder] });
 * await pgflow.start();
 */
export async function createPgFlow(given?: PgFlowOptions): Promise<PgFlow> {
  const options = checkOptions(given ?? {});
  const definitions = collectDefinitions(options);
  const schema = checkSchemaName(options.schema ?? 'pgflow');
  const database = await openDatabase(options.database);
  try {
    await (options.migrate === false ? checkSchema : migrate)(database, schema);
    const store = new Store(database, schema);
    const handlers = new Map<number, Handler>();
    const registered = new Map<string, Registered>();
    for (const flow of definitions.values()) {
      const { version, handlerIds } = await store.registerFlow(registrationOf(flow));
      registered.set(flow.slug, { flow, version });
      for (const [handlerId, handler] of handlersOf(flow, handlerIds)) handlers.set(handlerId, handler);
    }
    return new Runtime(options, schema, database, store, registered, handlers);
  } catch (error) {
    await database.close().catch(() => {});
    throw error;
  }
}

/** What can be told without a database. null is none given. */
function checkOptions(given: PgFlowOptions): PgFlowOptions {
  if (typeof given !== 'object') {
    throw new PgFlowError('INVALID_INPUT', `createPgFlow takes an object of options, not ${quoted(given)}.`, {
      data: { issues: [{ path: '', message: 'Expected an object' }] },
    });
  }
  const worker = given.worker === false ? false : checkWorkerOptions(given.worker ?? {});
  return { ...given, pubsub: checkPubSub(given.pubsub), worker };
}

function collectDefinitions({ flows = [], jobs = [] }: PgFlowOptions): Map<string, AnyFlow> {
  const definitions = new Map<string, AnyFlow>();
  if (!Array.isArray(flows) || !Array.isArray(jobs)) {
    throw new PgFlowError(
      'INVALID_DEFINITION',
      'createPgFlow takes arrays: { flows: [processOrder], jobs: [sendEmail] }.',
    );
  }
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
