import { PgFlowError } from '../errors.js';
import type { AnyFlow, FlowStartInput } from '../flow/flow.js';
import type { Run } from '../run/run.js';
import type { LiveRun } from './live-run.js';
import type { LiveMessage, LiveSocket } from './live-socket.js';
import { runNotFound } from './run-errors.js';
import { type LivePgFlow, type LiveStartOptions, SocketState } from './socket-state.js';

export type { LiveMessage, LivePgFlow, LiveSocket, LiveStartOptions };

/** What came of a call. Go on with its `socket`: the one passed, or the one that its `assign` returned. */
export type LiveResult<S extends LiveSocket = LiveSocket, F extends AnyFlow = any> =
  | { readonly ok: true; readonly run: Run<F>; readonly socket: S }
  | { readonly ok: false; readonly error: PgFlowError; readonly socket: S };

export interface LiveKey {
  /** The assign that holds the run. Default `flowRun`. */
  readonly as?: string;
}

/**
 * Keeps runs in the assigns of a live view's socket, up to date by themselves.
 *
 * One key holds one run; a socket may have several keys, and two keys may hold the same run. Nothing here
 * throws: what goes wrong is the result's `error`. An answer that comes after its key was given to something
 * else, or after the socket closed, is dropped and leaves nothing behind.
 *
 * A socket with a mailbox (`sendInfo`) gets messages `{ type: 'pgflow', runId, seq }`, at most one per key
 * under way, sent again after a second if it was not handled; give them to `handleInfo`. They only say which run
 * moved, so a mailbox may delay, reorder or drop them. Without a mailbox runs are assigned by themselves. A
 * socket whose `connected` is false is given the run once, as it is, and nothing is subscribed.
 *
 * A socket is known by its identity. Where `assign` returns a new socket, go on with the one that these
 * functions return; one that your own `assign` makes of it is unknown here.
 *
 * @example
 * function mount(socket) {
 *   return LiveClient.init(socket, { pgflow });
 * }
 * async function handleEvent('order', params, socket) {
 *   const result = await LiveClient.startFlow(socket, processOrder, params);
 *   return result.ok ? result.socket : flash(result.socket, result.error.message);
 * }
 * function handleInfo(message, socket) {
 *   return LiveClient.handleInfo(message, socket);   // socket.assigns.flowRun is the run
 * }
 */
export const LiveClient = {
  init,
  startFlow,
  enqueue,
  subscribe,
  unsubscribe,
  handleInfo,
  isMessage,
  dispose,
};

const DEFAULT_KEY = 'flowRun';

/**
 * Prepares a key: assigns null and drops what it held. Safe in both mounts. Call it for each key; the others
 * stay as they are. Where the socket has `onClose`, `dispose` is called by itself.
 */
function init<S extends LiveSocket>(socket: S, given: LiveKey & { readonly pgflow: LivePgFlow }): S {
  const { pgflow, as = DEFAULT_KEY } = given ?? {};
  const state = SocketState.init(socket, as, pgflow);
  state.key(as).drop();
  return state.assign(socket, { [as]: null });
}

/**
 * Starts a run and keeps it in the key. On an error the assign, and what it follows, are as before.
 *
 * Errors: those of `pgflow.startFlow`; `NOT_INITIALIZED` before `init`.
 */
function startFlow<F extends AnyFlow, S extends LiveSocket = LiveSocket>(
  socket: S,
  flow: F | string,
  input: FlowStartInput<F>,
  given?: LiveKey & LiveStartOptions,
): Promise<LiveResult<S, F>> {
  const { as, ...options } = given ?? {};
  return start(socket, as, (pgflow) => pgflow.startFlow(flow, input, options));
}

/** Starts a job and keeps its run in the key, as `startFlow` does. */
function enqueue<J extends AnyFlow, S extends LiveSocket = LiveSocket>(
  socket: S,
  job: J | string,
  input: FlowStartInput<J>,
  given?: LiveKey & LiveStartOptions,
): Promise<LiveResult<S, J>> {
  const { as, ...options } = given ?? {};
  return start(socket, as, (pgflow) => pgflow.enqueue(job, input, options));
}

/**
 * Keeps a run that is there in the key, whether it goes on or has ended. On an error the key holds null
 * and follows nothing.
 *
 * Errors: `RUN_NOT_FOUND`, `INVALID_RUN_ID`; `NOT_INITIALIZED` before `init`.
 */
async function subscribe<S extends LiveSocket>(
  socket: S,
  runId: string,
  given?: LiveKey,
): Promise<LiveResult<S>> {
  const { as = DEFAULT_KEY } = given ?? {};
  const state = SocketState.of(socket);
  const pgflow = state?.pgflowOf(as);
  if (state === undefined || pgflow === undefined) return { ok: false, error: notInitialized(), socket };
  const key = state.key(as);
  const asked = key.ask();
  try {
    const found = socket.connected === false ? await load(pgflow, runId) : await follow(pgflow, runId);
    return show(state, socket, as, asked, found);
  } catch (thrown) {
    const error = toPgFlowError(thrown);
    if (!state.isOpen || key.isStale(asked)) return { ok: false, error, socket };
    key.clear(asked);
    return { ok: false, error, socket: state.assign(socket, { [as]: null }) };
  }
}

/** Drops the key's run and assigns null. Idempotent; changes nothing before `init`. */
function unsubscribe<S extends LiveSocket>(socket: S, given?: LiveKey): S {
  const { as = DEFAULT_KEY } = given ?? {};
  const state = SocketState.of(socket);
  const key = state?.knownKey(as);
  if (state === undefined || key === undefined) return socket;
  const wasEmpty = key.run === null;
  key.drop();
  return wasEmpty ? socket : state.assign(socket, { [as]: null });
}

/** Assigns the newest state of the run that the message is about. Any other message changes nothing. */
function handleInfo<S extends LiveSocket>(message: unknown, socket: S): S {
  const state = SocketState.of(socket);
  if (state === undefined || !isMessage(message)) return socket;
  const values = state.handle(message.runId);
  return Object.keys(values).length === 0 ? socket : state.assign(socket, values);
}

/** Whether a message of the mailbox is one of ours. */
function isMessage(value: unknown): value is LiveMessage {
  if (typeof value !== 'object' || value === null) return false;
  const { type, runId, seq } = value as Partial<LiveMessage>;
  return type === 'pgflow' && typeof runId === 'string' && typeof seq === 'number';
}

/** Drops all keys of the socket: no subscription, timer or callback is left. The assigns stay. Idempotent. */
function dispose(socket: LiveSocket): void {
  SocketState.of(socket)?.dispose();
}

interface Found {
  readonly run: Run;
  readonly live: LiveRun | null;
}

async function start<S extends LiveSocket>(
  socket: S,
  as: string = DEFAULT_KEY,
  startRun: (pgflow: LivePgFlow) => Promise<Run>,
): Promise<LiveResult<S>> {
  const state = SocketState.of(socket);
  const pgflow = state?.pgflowOf(as);
  if (state === undefined || pgflow === undefined) return { ok: false, error: notInitialized(), socket };
  const asked = state.key(as).ask();
  try {
    const run = await startRun(pgflow);
    const found =
      socket.connected === false || !state.isOpen ? { run, live: null } : await followStarted(pgflow, run);
    return show(state, socket, as, asked, found);
  } catch (error) {
    return { ok: false, error: toPgFlowError(error), socket };
  }
}

async function load(pgflow: LivePgFlow, runId: string): Promise<Found> {
  const run = await pgflow.getRun(runId);
  if (run === null) throw runNotFound(runId);
  return { run, live: null };
}

async function follow(pgflow: LivePgFlow, runId: string): Promise<Found> {
  const live = await pgflow.track(runId);
  return { run: live.getSnapshot(), live };
}

async function followStarted(pgflow: LivePgFlow, { runId }: Run): Promise<Found> {
  try {
    return await follow(pgflow, runId);
  } catch (thrown) {
    const error = toPgFlowError(thrown);
    throw new PgFlowError(
      error.code,
      `Run ${runId} was started, but cannot be followed: ${error.message} Subscribe to it later.`,
      { data: { ...error.data, runId }, cause: error },
    );
  }
}

/** Gives the key its run, unless the key or the socket has gone on to something else. */
function show<S extends LiveSocket>(
  state: SocketState,
  socket: S,
  as: string,
  asked: number,
  found: Found,
): LiveResult<S> {
  const { live } = found;
  // Read now: the run may have moved on since it was found.
  const run = live?.getSnapshot() ?? found.run;
  const key = state.knownKey(as);
  if (key === undefined || key.isStale(asked)) {
    live?.close();
    return { ok: true, run, socket };
  }
  return { ok: true, run, socket: state.assign(socket, key.show(asked, run, live)) };
}

function toPgFlowError(thrown: unknown): PgFlowError {
  if (thrown instanceof PgFlowError) return thrown;
  return new PgFlowError('DATABASE_UNAVAILABLE', `It could not be done: ${messageOf(thrown)}. Try again.`, {
    cause: thrown,
  });
}

function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return 'unknown error';
  }
}

function notInitialized(): PgFlowError {
  return new PgFlowError(
    'NOT_INITIALIZED',
    'This socket was not initialised, or is closed. Call LiveClient.init(socket, { pgflow }) first.',
  );
}
