import type { PgFlowError } from '../errors.js';
import { applyChange } from '../run/apply-change.js';
import type { Change } from '../run/change.js';
import { isTerminalRun, type Run } from '../run/run.js';

/**
 * The reader of one run's event stream, as a pure function: what it is, what happens, what it becomes
 * and what is to be done. No timers, no network; `stream-reader.ts` does what it says.
 *
 * | mode         | what holds                                   | left by                                        |
 * |--------------|----------------------------------------------|------------------------------------------------|
 * | `idle`       | nobody watches; no connection, no timer      | `start` → connecting, or done if settled       |
 * | `connecting` | a request is out                             | `opened` → open; `refused` → see below; `lost` → waiting |
 * | `open`       | events come                                  | `lost`, a gap → waiting; a terminal run → done |
 * | `waiting`    | a timer runs                                 | `due`, `woken` → connecting                    |
 * | `done`       | nothing is left to ask: settled, missing, refused for good | `given` → connecting, unless settled |
 *
 * `stop` leads from each to idle. An event that a mode does not name changes nothing.
 *
 * | event      | effect                                                                                   |
 * |------------|------------------------------------------------------------------------------------------|
 * | `snapshot` | the run, if it is newer than the one in hand                                             |
 * | `change`   | applied; a gap means: connect again and ask for a snapshot                               |
 * | `freshness`| the server's own connection was lost, or is back                                         |
 * | `broken`   | an event that cannot be read, or an `end` too early: as a gap                            |
 * | `lost`     | the network, the server (5xx, 408, 425, 429) or 45 s of silence: again, later and later, for ever |
 * | `refused`  | 401, 403, or no event stream at all: `error`, and again every 15 to 30 s, for tokens get renewed; 404 of the run: again for about 10 s (whoever made the runId may still be starting it), then `missing`; any other 4xx: `error`, for good |
 * | `woken`    | the device is online or visible again: now rather than later; open but silent for 20 s: anew |
 * | `given`    | a reply to another request brought the run                                               |
 *
 * The run only moves forward: nothing with a seq at or below the one in hand is ever taken.
 */
export interface ReaderState {
  readonly mode: 'idle' | 'connecting' | 'open' | 'waiting' | 'done';
  readonly runId: string;
  readonly run: Run | null;
  readonly state: 'loading' | 'live' | 'settled' | 'missing' | 'error';
  readonly error: PgFlowError | null;
  /** What is in hand cannot be continued: the next connection asks for a snapshot. */
  readonly fresh: boolean;
  /** Tries in a row that did not last. */
  readonly failures: number;
  /** Answers in a row that there is no such run. */
  readonly misses: number;
  readonly openedAt: number;
  /** The seq that the server had when the stream opened. */
  readonly target: number;
  readonly server: { readonly connected: boolean; readonly caughtUp: boolean };
}

export type ReaderEvent =
  | { readonly type: 'start' | 'stop' | 'due' | 'lost' }
  | { readonly type: 'opened'; readonly seq: number }
  | { readonly type: 'refused'; readonly status: number; readonly error: PgFlowError }
  | { readonly type: 'given'; readonly run: Run }
  | { readonly type: 'woken'; readonly silentMs: number }
  | StreamEvent;

/** What the stream itself says. */
export type StreamEvent =
  | { readonly type: 'snapshot'; readonly run: Run }
  | { readonly type: 'change'; readonly change: Change }
  | { readonly type: 'freshness'; readonly connected: boolean; readonly caughtUp: boolean }
  | { readonly type: 'broken' };

/** What is to be done. Each ends what the one before began: there is one connection, or one timer, or neither. */
export type ReaderEffect =
  | { readonly type: 'connect'; readonly since: number }
  | { readonly type: 'wait'; readonly minMs: number; readonly maxMs: number }
  | { readonly type: 'rest' };

export interface ReaderStep {
  readonly next: ReaderState;
  readonly effect: ReaderEffect | null;
}

const BACKOFF_MS = 250;
const BACKOFF_CAP_MS = 30_000;
/** A stream that lasted this long was a good one: the next failure counts as the first. */
const STEADY_MS = 5_000;
const REFUSED_MS = { minMs: 15_000, maxMs: 30_000 };
const MISSING_MS = [250, 500, 1_000, 2_000, 3_000, 3_000];
/** Longer than the server's ping. */
const SUSPICIOUS_MS = 20_000;
const TRUSTED = { connected: true, caughtUp: true };

export function createReader(runId: string): ReaderState {
  return {
    mode: 'idle',
    runId,
    run: null,
    state: 'loading',
    error: null,
    fresh: false,
    failures: 0,
    misses: 0,
    openedAt: 0,
    target: 0,
    server: TRUSTED,
  };
}

/** @param now milliseconds, on any clock. */
export function stepReader(state: ReaderState, event: ReaderEvent, now: number): ReaderStep {
  switch (event.type) {
    case 'start':
      return state.mode === 'idle' ? start(state) : stay(state);
    case 'stop':
      return state.mode === 'idle'
        ? stay(state)
        : { next: { ...state, mode: 'idle' }, effect: { type: 'rest' } };
    case 'given':
      return given(state, event.run);
    case 'woken':
      return woken(state, event.silentMs, now);
    case 'due':
      return state.mode === 'waiting' ? connect(state) : stay(state);
    case 'lost':
      return state.mode === 'connecting' || state.mode === 'open' ? lost(state, now) : stay(state);
    case 'opened':
      return state.mode === 'connecting' ? opened(state, event.seq, now) : stay(state);
    case 'refused':
      return state.mode === 'connecting' ? refused(state, event.status, event.error, now) : stay(state);
    default:
      return state.mode === 'open' ? read(state, event, now) : stay(state);
  }
}

function start(state: ReaderState): ReaderStep {
  if (state.state === 'settled') return { next: { ...state, mode: 'done' }, effect: null };
  return connect({ ...state, ...cleared(state), failures: 0, misses: 0 });
}

function connect(state: ReaderState): ReaderStep {
  const since = state.fresh ? 0 : (state.run?.seq ?? 0);
  return { next: { ...state, mode: 'connecting' }, effect: { type: 'connect', since } };
}

function opened(state: ReaderState, seq: number, now: number): ReaderStep {
  const next = { ...state, ...cleared(state), mode: 'open', misses: 0, openedAt: now, target: seq } as const;
  return { next: { ...next, server: TRUSTED }, effect: null };
}

function read(state: ReaderState, event: StreamEvent, now: number): ReaderStep {
  if (event.type === 'snapshot' && event.run.runId === state.runId) {
    return took({ ...state, fresh: false }, event.run);
  }
  if (event.type === 'change' && event.change.runId === state.runId && !state.fresh) {
    const applied = applyChange(state.run, event.change);
    if (applied.kind !== 'gap') return took(state, applied.run);
  }
  if (event.type === 'freshness') {
    const { connected, caughtUp } = event;
    return { next: { ...state, server: { connected, caughtUp } }, effect: null };
  }
  return lost({ ...state, fresh: true }, now);
}

/** Takes a run if it is newer; with a terminal one the reading is over. */
function took(state: ReaderState, run: Run): ReaderStep {
  if (state.run !== null && run.seq <= state.run.seq) return stay(state);
  const next = { ...state, run, error: null, state: stateOf(run) };
  if (!isTerminalRun(run.status)) return { next, effect: null };
  return { next: { ...next, mode: state.mode === 'idle' ? 'idle' : 'done' }, effect: { type: 'rest' } };
}

function given(state: ReaderState, run: Run): ReaderStep {
  if (run.runId !== state.runId) return stay(state);
  const step = took(state, run);
  if (step.next.state === 'settled') return step;
  const isMissed = state.mode === 'waiting' && state.misses > 0;
  const isGivenUp = state.mode === 'done' && state.state !== 'settled';
  if (!isMissed && !isGivenUp) return step;
  return connect({ ...step.next, ...cleared(step.next), failures: 0, misses: 0 });
}

function woken(state: ReaderState, silentMs: number, now: number): ReaderStep {
  if (state.mode === 'waiting') return connect(state);
  const isSuspicious = state.mode === 'open' || state.mode === 'connecting';
  return isSuspicious && silentMs > SUSPICIOUS_MS ? connect(forgiven(state, now)) : stay(state);
}

function lost(state: ReaderState, now: number): ReaderStep {
  const { failures, ...rest } = forgiven(state, now);
  const maxMs = Math.min(BACKOFF_CAP_MS, BACKOFF_MS * 2 ** failures);
  return wait({ ...rest, failures: failures + 1 }, 0, maxMs);
}

function refused(state: ReaderState, status: number, error: PgFlowError, now: number): ReaderStep {
  if (status >= 500 || status === 408 || status === 425 || status === 429) return lost(state, now);
  if (status === 404 && error.code === 'RUN_NOT_FOUND') return missed(state, error);
  const next = { ...state, state: 'error', error } as const;
  const isForNow = status === 401 || status === 403 || status < 400;
  if (isForNow) return wait(next, REFUSED_MS.minMs, REFUSED_MS.maxMs);
  return { next: { ...next, mode: 'done' }, effect: { type: 'rest' } };
}

function missed(state: ReaderState, error: PgFlowError): ReaderStep {
  const delay = MISSING_MS[state.misses];
  if (delay !== undefined) return wait({ ...state, misses: state.misses + 1 }, delay, delay);
  const next = { ...state, mode: 'done', state: 'missing', run: null, error } as const;
  return { next, effect: { type: 'rest' } };
}

function wait(state: ReaderState, minMs: number, maxMs: number): ReaderStep {
  return { next: { ...state, mode: 'waiting' }, effect: { type: 'wait', minMs, maxMs } };
}

function stay(state: ReaderState): ReaderStep {
  return { next: state, effect: null };
}

function forgiven(state: ReaderState, now: number): ReaderState {
  return state.mode === 'open' && now - state.openedAt >= STEADY_MS ? { ...state, failures: 0 } : state;
}

function cleared({ run }: ReaderState): Pick<ReaderState, 'state' | 'error'> {
  return { state: run === null ? 'loading' : stateOf(run), error: null };
}

function stateOf(run: Run): 'live' | 'settled' {
  return isTerminalRun(run.status) ? 'settled' : 'live';
}
