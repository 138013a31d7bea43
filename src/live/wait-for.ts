import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';
import { isTerminalRun, type Run, type RunStatus } from '../run/run.js';

/** What waiting and iterating need of a live run. */
export interface Watchable {
  readonly runId: string;
  /** Why nothing comes any more. */
  readonly ended: PgFlowError | null;
  getSnapshot(): Run;
  subscribe(fn: () => void): () => void;
  onEnd(fn: (error: PgFlowError) => void): () => void;
}

/** How long `waitFor` waits. Without either: until the run gets there, or no longer can. */
export interface WaitOptions {
  /** Seconds to wait at most. Default: no limit. */
  readonly timeout?: number;
  /** Ends the waiting with `ABORTED`. */
  readonly signal?: AbortSignal;
}

const STATUSES: ReadonlySet<unknown> = new Set<RunStatus>(['started', 'completed', 'failed', 'cancelled']);
/** The longest that a timer takes; longer ones would fire at once. */
const LONGEST_TIMEOUT = 2_147_483;

/** Resolves to the run as soon as it has one of the statuses; rejects as soon as it no longer can. See `LiveRun.waitFor`. */
export async function waitForStatus(
  live: Watchable,
  status: RunStatus | readonly RunStatus[],
  options?: WaitOptions,
): Promise<Run> {
  const wanted = checkStatuses(status);
  const timeout = checkTimeout(options?.timeout);
  const signal = checkSignal(options?.signal);
  if (signal?.aborted) throw aborted(live, wanted, signal);
  return new Promise<Run>((resolve, reject) => {
    const stops: (() => void)[] = [];
    const settle = (finish: () => void) => {
      for (const stop of stops.splice(0)) stop();
      finish();
    };
    const look = () => {
      const run = live.getSnapshot();
      const isTerminal = isTerminalRun(run.status);
      // What has ended stays as it is; of anything else a closed handle does not know any more.
      if (live.ended !== null && !isTerminal) settle(() => reject(live.ended));
      else if (wanted.has(run.status)) settle(() => resolve(run));
      else if (isTerminal) settle(() => reject(unreachable(run, wanted)));
      else return false;
      return true;
    };
    if (look()) return;
    stops.push(
      live.subscribe(look),
      live.onEnd((error) => settle(() => reject(error))),
    );
    if (signal !== undefined) {
      const abort = () => settle(() => reject(aborted(live, wanted, signal)));
      signal.addEventListener('abort', abort, { once: true });
      stops.push(() => signal.removeEventListener('abort', abort));
    }
    if (timeout !== null) {
      const timer = setTimeout(() => settle(() => reject(timedOut(live, wanted, timeout))), timeout * 1000);
      stops.push(() => clearTimeout(timer));
    }
  });
}

function checkStatuses(status: unknown): ReadonlySet<string> {
  const list: unknown[] = Array.isArray(status) ? status : [status];
  if (list.length > 0 && list.every((one) => STATUSES.has(one))) return new Set(list as string[]);
  throw invalid(
    'status',
    'takes started, completed, failed or cancelled, or a list of these that is not empty.',
  );
}

function checkTimeout(timeout: number | undefined | null): number | null {
  if (timeout == null || timeout === Number.POSITIVE_INFINITY) return null;
  if (typeof timeout === 'number' && timeout >= 0 && timeout <= LONGEST_TIMEOUT) return timeout;
  const limits = `takes a timeout from 0 to ${LONGEST_TIMEOUT} seconds, not ${quoted(timeout)}. Leave it out to wait without limit.`;
  throw invalid('timeout', limits);
}

/** Any that behaves as one: a page in a frame, or a polyfill, has a class of its own. */
function checkSignal(signal: AbortSignal | undefined | null): AbortSignal | undefined {
  if (signal == null) return undefined;
  if (typeof signal.aborted === 'boolean' && typeof signal.addEventListener === 'function') return signal;
  const message = `takes an AbortSignal, not ${quoted(signal)}. Of an AbortController pass controller.signal.`;
  throw invalid('signal', message);
}

function invalid(path: string, message: string): PgFlowError {
  return new PgFlowError('INVALID_INPUT', `waitFor ${message}`, { data: { issues: [{ path, message }] } });
}

function unreachable(run: Run, wanted: ReadonlySet<string>): PgFlowError {
  return new PgFlowError(
    'RUN_UNREACHABLE',
    `Run ${run.runId} is ${run.status} for good, so it will not become ${orList(wanted)}. Wait for ${run.status} too, or retry the run.`,
    { data: { runId: run.runId, status: run.status } },
  );
}

function timedOut(live: Watchable, wanted: ReadonlySet<string>, timeout: number): PgFlowError {
  const { status } = live.getSnapshot();
  return new PgFlowError(
    'TIMEOUT',
    `Run ${live.runId} did not become ${orList(wanted)} within ${timeout} s; it is ${status}. It goes on: wait again, or longer.`,
    { data: { runId: live.runId, status } },
  );
}

function aborted(live: Watchable, wanted: ReadonlySet<string>, signal: AbortSignal): PgFlowError {
  return new PgFlowError(
    'ABORTED',
    `Waiting for run ${live.runId} to become ${orList(wanted)} was aborted. The run goes on.`,
    { data: { runId: live.runId }, cause: signal.reason },
  );
}

function orList(wanted: ReadonlySet<string>): string {
  return [...wanted].join(' or ');
}
