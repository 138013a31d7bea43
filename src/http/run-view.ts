import type { PgFlowError } from '../errors.js';
import type { AnyFlow } from '../flow/flow.js';
import type { Run } from '../run/run.js';
import type { ReaderState } from './reader-machine.js';

/** What a page knows of a run. Immutable; the same object until something in it changes. */
export interface RunView<F extends AnyFlow = any> {
  /** The newest state known; null while loading and when missing. */
  readonly run: Run<F> | null;
  /**
   * `loading`: nothing known yet. `live`: the run goes on. `settled`: it has ended, nothing will
   * change. `missing`: there is no such run, or it is not ours to see. `error`: the server refuses; see `error`.
   */
  readonly state: 'loading' | 'live' | 'settled' | 'missing' | 'error';
  /** Why, when the state is `missing` or `error`. */
  readonly error: PgFlowError | null;
  /** Whether changes can reach us now. */
  readonly connected: boolean;
  /** Whether `run` was the newest state when the server last spoke. */
  readonly caughtUp: boolean;
}

/**
 * A run as a page sees it, in the shape that UI frameworks take: what it is now, and word when it is
 * something else. Connects when the first subscribes, stays for a moment after the last has left.
 */
export interface RunStore<F extends AnyFlow = any> {
  /** The same object until something in it changes. */
  getSnapshot(): RunView<F>;
  /** Calls `fn` after each change, until the returned function is called. */
  subscribe(fn: () => void): () => void;
}

export const LOADING: RunView = Object.freeze({
  run: null,
  state: 'loading',
  error: null,
  connected: false,
  caughtUp: false,
});

/** The store of no run: loading, for ever. */
export const NO_RUN: RunStore = { getSnapshot: () => LOADING, subscribe: () => () => {} };

/** The view of a reader's state; `before` itself when it says the same. */
export function viewOf(reader: ReaderState, before: RunView): RunView {
  const { run, state, error } = reader;
  const view = { run, state, error, ...freshnessOf(reader) };
  const isSame = (Object.keys(view) as (keyof RunView)[]).every((field) => view[field] === before[field]);
  return isSame ? before : Object.freeze(view);
}

// A settled run needs no connection: nothing can be missed any more.
function freshnessOf({ mode, state, run, server, target }: ReaderState) {
  if (state === 'settled') return { connected: true, caughtUp: true };
  const connected = mode === 'open' && server.connected;
  return { connected, caughtUp: mode === 'open' && server.caughtUp && run !== null && run.seq >= target };
}
