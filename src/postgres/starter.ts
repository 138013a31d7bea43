import { type InputIssue, PgFlowError } from '../errors.js';
import { type AnyFlow, isRoot } from '../flow/flow.js';
import { quoted } from '../flow/quoted.js';
import { isSlug } from '../flow/slug.js';
import { checkRootMaps, validateInput } from '../flow/validate-input.js';
import { applyChange } from '../run/apply-change.js';
import { begunRun } from '../run/begun-run.js';
import type { Run } from '../run/run.js';
import { checkRunId } from '../run/run-id.js';
import { toStorableJson } from '../run/storable.js';
import { issuesOfTags } from '../run/tags.js';
import { createBatch } from './batch.js';
import type { Outcome } from './change-rows.js';
import { newRunId } from './new-run-id.js';
import type { StartRequest, Store } from './store.js';
import { type Capacity, countTasks } from './task-store.js';
import { queryIn, type Tx } from './user-transaction.js';

/** When a run begins, under which id and tags, and in whose transaction. All can be left out. */
export interface StartOptions {
  /** The run's id, any UUID: the same id again gives the same run. Default: a new v7. */
  readonly runId?: string;
  /** Seconds until its first steps may begin, 0 or more. */
  readonly delay?: number;
  /** When its first steps may begin, instead of `delay`; the past means now. */
  readonly runAt?: Date;
  /**
   * What lists can find the run by, such as `order:123`: at most 20 texts of 1 to 128 characters; doubles count once.
   * A retry of the run has them too. A run that is there already keeps those it has.
   */
  readonly tags?: readonly string[];
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

/** Seconds: 100 years. */
const LONGEST_DELAY = 3_153_600_000;
const LATEST = new Date('9999-12-31T23:59:59Z');
const NO_TAGS: readonly string[] = [];

/** A flow that this process has registered, and the version that its shape is. */
export interface Registered {
  readonly flow: AnyFlow;
  readonly version: number;
}

export interface StarterPorts {
  readonly store: Store;
  readonly registered: ReadonlyMap<string, Registered>;
  /** Lets this process' worker claim what becomes ready, up to so many tasks. */
  claimWith(wanted: number, statement: (capacity?: Capacity) => Promise<Outcome>): Promise<Outcome>;
  /** Tasks are queued. */
  onReady(): void;
  /** Of the tracker of this process. */
  readonly trackerId: number;
  /** These runs are told to it, and all their tasks are this process' own. */
  onBegun(runs: readonly Run[]): void;
}

interface Start {
  readonly request: StartRequest;
  readonly registered: Registered | undefined;
}

/**
 * Starts a run. What is wrong with the arguments it throws at once, or rejects with: it is not async, since of ten
 * thousand starts at once each further promise is felt.
 */
export type StartRun = (flow: AnyFlow | string, input: unknown, options?: StartOptions) => Promise<Started>;

/** Starts runs: what is asked for at the same time in one statement. */
export function createStarter(ports: StarterPorts): StartRun {
  const { store } = ports;
  const add = createBatch<Start, Started>({
    keyOf: ({ request }) => request.runId,
    async run(starts) {
      const roots = countRoots(starts);
      let started: Started[] = [];
      const outcome = await ports.claimWith(roots, async (capacity) => {
        const areOurs = (capacity?.slots ?? 0) >= roots && starts.every(isAtOnce);
        const outcome = await store.startFlows(
          starts.map(({ request }) => request),
          capacity,
          areOurs ? ports.trackerId : null,
        );
        started = readStarted(starts, outcome);
        // Before the claimed tasks begin.
        if (areOurs && !outcome.ready && outcome.claims.length === roots)
          ports.onBegun(started.map(({ run }) => run));
        return outcome;
      });
      if (outcome.ready) ports.onReady();
      return started;
    },
  });

  const startIn = async (tx: Tx, request: StartRequest): Promise<Started> => {
    const outcome = await store.startFlowIn(queryIn(tx), request);
    return readStarted([{ request, registered: undefined }], outcome)[0]!;
  };

  return (flow, input, given) => {
    const options = given ?? {};
    const { tx } = options;
    const slug = slugOf(flow);
    const known = ports.registered.get(slug);
    const definition = typeof flow === 'string' ? known?.flow : flow;
    const registered = tx === undefined && definition === known?.flow ? known : undefined;
    const submit = (request: StartRequest) =>
      tx === undefined ? add({ request, registered }) : startIn(tx, request);
    const request = createRequest(slug, input, options, registered?.version ?? null);
    if (definition === undefined) return submit(request);
    if (definition.input !== undefined) return readValid(request, definition, input).then(submit);
    checkRootMaps(definition, input);
    return submit(request);
  };
}

/** How many tasks the starts may make ready. */
function countRoots(starts: readonly Start[]): number {
  return starts.reduce(
    (sum, { registered }) => sum + countTasks(registered?.flow.steps.filter(isRoot) ?? []),
    0,
  );
}

/** Whether its first tasks are due, and as many as the flow that this process knows has. */
function isAtOnce({ request, registered }: Start): boolean {
  return registered !== undefined && request.delay === null && request.runAt === null;
}

function slugOf(flow: AnyFlow | string): string {
  const slug = typeof flow === 'string' ? flow : flow?.slug;
  if (isSlug(slug)) return slug;
  const what =
    typeof slug === 'string'
      ? `There is no flow ${quoted(slug)}: that is no slug.`
      : `There is no flow that is ${quoted(flow)}; was an import undefined?`;
  throw new PgFlowError(
    'FLOW_NOT_FOUND',
    `${what} Pass the definition that defineFlow or defineJob made, or its slug.`,
  );
}

function createRequest(
  flowSlug: string,
  input: unknown,
  { runId, delay, runAt, tags }: StartOptions,
  knownVersion: number | null,
): StartRequest {
  checkDelay(flowSlug, delay, runAt);
  return {
    runId: runId === undefined ? newRunId() : checkRunId(runId),
    flowSlug,
    input: toStorableJson(input, 'input'),
    givenInput: null,
    delay: delay ?? null,
    runAt: runAt ?? null,
    tags: tags === undefined ? NO_TAGS : checkTags(flowSlug, tags),
    knownVersion,
  };
}

/** The request with what the flow's schema made of the input. */
async function readValid(request: StartRequest, definition: AnyFlow, input: unknown): Promise<StartRequest> {
  const valid = toStorableJson(await validateInput(definition, input), 'input');
  return valid === request.input ? request : { ...request, input: valid, givenInput: request.input };
}

function checkTags(flowSlug: string, tags: readonly string[]): string[] {
  refuseIf(issuesOfTags(tags), flowSlug);
  return [...new Set(tags)];
}

function checkDelay(flowSlug: string, delay: number | undefined, runAt: Date | undefined): void {
  const fail = (path: string, message: string) => refuseIf([{ path, message }], flowSlug);
  if (delay !== undefined && !(typeof delay === 'number' && delay >= 0 && delay <= LONGEST_DELAY)) {
    fail('delay', `must be a number of seconds from 0 to ${LONGEST_DELAY}, not ${String(delay)}.`);
  }
  if (runAt !== undefined && !(runAt instanceof Date && Math.abs(runAt.getTime()) <= LATEST.getTime())) {
    fail('runAt', 'must be a valid Date, of the year 9999 at the latest.');
  }
  if (delay !== undefined && runAt !== undefined)
    fail('delay', 'and runAt exclude each other; give one of them.');
}

function refuseIf(issues: readonly InputIssue[], flowSlug: string): void {
  const [first] = issues;
  if (first === undefined) return;
  const text = `Cannot start \`${flowSlug}\`: ${first.path} ${first.message}`;
  throw new PgFlowError('INVALID_INPUT', text.endsWith('.') ? text : `${text}.`, { data: { issues } });
}

function readStarted(starts: readonly Start[], outcome: Outcome): Started[] {
  const runs = new Map(outcome.changes.map((change) => [change.runId, applyChange(null, change).run as Run]));
  return starts.map(({ request, registered }) => ({
    run: runs.get(request.runId) ?? readBegun(request, registered!, outcome.at!),
    created: !outcome.existing.has(request.runId),
  }));
}

/** The database says of such a run no more than when it began. */
function readBegun({ runId, input }: StartRequest, { flow, version }: Registered, startedAt: Date): Run {
  return begunRun(flow, version, runId, JSON.parse(input), startedAt);
}
