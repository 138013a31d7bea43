import { v7 as uuidv7 } from 'uuid';
import { PgFlowError } from '../errors.js';
import type { AnyFlow } from '../flow/flow.js';
import { isSlug } from '../flow/slug.js';
import { validateInput } from '../flow/validate-input.js';
import { applyChange } from '../run/apply-change.js';
import type { Run } from '../run/run.js';
import { checkRunId } from '../run/run-id.js';
import { toStorableJson } from '../run/storable.js';
import { createBatch } from './batch.js';
import type { Outcome } from './change-rows.js';
import type { StartRequest, Store } from './store.js';
import { queryIn, type Tx } from './user-transaction.js';

export interface StartOptions {
  /** The run's id, any UUID: the same id again gives the same run. Default: a new v7. */
  readonly runId?: string;
  /** Seconds until its first steps may begin, 0 or more. */
  readonly delay?: number;
  /** When its first steps may begin, instead of `delay`; the past means now. */
  readonly runAt?: Date;
  /**
   * Your own transaction, on the same database: the run is there if and only if that commits, and live at once. A `pg`
   * client, a PGlite transaction, postgres.js' `sql`, Drizzle's `tx` or Kysely's `trx`.
   * After an error the transaction is aborted, as after any other in PostgreSQL.
   */
  readonly tx?: Tx;
}

export interface Started {
  readonly run: Run;
  /** False when the run was there already. */
  readonly created: boolean;
}

const UNIQUE_VIOLATION = '23505';
/** Seconds: 100 years. */
const LONGEST_DELAY = 3_153_600_000;
const LATEST = new Date('9999-12-31T23:59:59Z');

/**
 * Starts runs. What is asked for at the same time goes to the database in one statement.
 * `onReady` is called when tasks are queued.
 */
export function createStarter(
  store: Store,
  definitions: ReadonlyMap<string, AnyFlow>,
  onReady: () => void,
): (flow: AnyFlow | string, input: unknown, options?: StartOptions) => Promise<Started> {
  const add = createBatch<StartRequest, Started>({
    lanes: 2,
    most: 200,
    keyOf: (start) => start.runId,
    async run(starts) {
      const outcome = await startTogether(store, starts);
      if (outcome.ready) onReady();
      return readStarted(starts, outcome);
    },
  });

  return async (flow, input, given) => {
    const options = given ?? {};
    const slug = slugOf(flow);
    const definition = typeof flow === 'string' ? definitions.get(flow) : flow;
    const request = await createRequest(slug, definition, input, options);
    if (options.tx === undefined) return add(request);
    const outcome = await store.startFlowIn(queryIn(options.tx), request);
    return readStarted([request], outcome)[0]!;
  };
}

function slugOf(flow: AnyFlow | string): string {
  const slug = typeof flow === 'string' ? flow : flow?.slug;
  if (isSlug(slug)) return slug;
  throw new PgFlowError(
    'FLOW_NOT_FOUND',
    'There is no such flow. Pass the definition that defineFlow or defineJob made, or its slug; was an import undefined?',
  );
}

/** Another process may start the same id between our look and our insert: then the next look finds its run. */
async function startTogether(store: Store, starts: readonly StartRequest[]): Promise<Outcome> {
  try {
    return await store.startFlows(starts);
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    return store.startFlows(starts);
  }
}

async function createRequest(
  flowSlug: string,
  definition: AnyFlow | undefined,
  input: unknown,
  { runId, delay, runAt }: StartOptions,
): Promise<StartRequest> {
  const id = runId === undefined ? uuidv7() : checkRunId(runId);
  checkDelay(flowSlug, delay, runAt);
  const given = toStorableJson(input, 'input');
  const stored = definition ? toStorableJson(await validateInput(definition, input), 'input') : given;
  return {
    runId: id,
    flowSlug,
    input: stored,
    givenInput: stored === given ? null : given,
    delay: delay ?? null,
    runAt: runAt ?? null,
  };
}

function checkDelay(flowSlug: string, delay: number | undefined, runAt: Date | undefined): void {
  const fail = (path: string, message: string) => {
    throw new PgFlowError('INVALID_INPUT', `Cannot start \`${flowSlug}\`: ${path} ${message}`, {
      data: { issues: [{ path, message }] },
    });
  };
  if (delay !== undefined && !(typeof delay === 'number' && delay >= 0 && delay <= LONGEST_DELAY)) {
    fail('delay', `must be a number of seconds from 0 to ${LONGEST_DELAY}, not ${String(delay)}.`);
  }
  if (runAt !== undefined && !(runAt instanceof Date && Math.abs(runAt.getTime()) <= LATEST.getTime())) {
    fail('runAt', 'must be a valid Date, of the year 9999 at the latest.');
  }
  if (delay !== undefined && runAt !== undefined)
    fail('delay', 'and runAt exclude each other; give one of them.');
}

function readStarted(starts: readonly StartRequest[], outcome: Outcome): Started[] {
  const runs = new Map(outcome.changes.map((change) => [change.runId, applyChange(null, change).run as Run]));
  return starts.map(({ runId }) => ({ run: runs.get(runId)!, created: !outcome.existing.has(runId) }));
}
