import type { AnyFlow } from '../flow/flow.js';
import { callWatcher } from '../run/call-watcher.js';
import type { Run } from '../run/run.js';
import type { RunStore, RunView } from './run-view.js';
import { type OpenStream, StreamReader } from './stream-reader.js';

/** Milliseconds that a run stays connected after its last subscriber left: a page change must not cost a reconnect. */
const LINGER_MS = 1_000;
/** Milliseconds that a run which nobody watches yet is kept: a page opens on what it has just started. */
const GIVEN_MS = 30_000;

/** The runs of one client, shared by run id and counted by subscribers. */
export class RunStores {
  readonly #open: (runId: string, ...args: Parameters<OpenStream>) => Promise<Response>;
  readonly #shared = new Map<string, WatchedRun>();

  constructor(open: (runId: string, ...args: Parameters<OpenStream>) => Promise<Response>) {
    this.#open = open;
  }

  /** A handle on a run. It costs nothing until it is subscribed, so rendering may make as many as it likes. */
  watch<F extends AnyFlow>(runId: string): RunStore<F> {
    const id = runId.toLowerCase();
    let own: WatchedRun | undefined;
    const shared = () => {
      own = this.#shared.get(id) ?? own ?? this.#create(id);
      return own;
    };
    return {
      getSnapshot: () => shared().view,
      subscribe: (fn) => {
        const run = shared();
        this.#shared.set(id, run);
        return run.subscribe(fn);
      },
    };
  }

  /** Shows a run that a reply brought to those who watch it, and to whoever watches it within 30 seconds. */
  give(run: Run): void {
    const shared = this.#shared.get(run.runId) ?? this.#create(run.runId);
    this.#shared.set(run.runId, shared);
    shared.give(run);
  }

  #create(runId: string): WatchedRun {
    const shared = new WatchedRun(
      (since, signal) => this.#open(runId, since, signal),
      runId,
      () => {
        if (this.#shared.get(runId) === shared) this.#shared.delete(runId);
      },
    );
    return shared;
  }
}

/**
 * One run and who watches it.
 *
 * Modes: `unwatched` ⇄ `watched` → `lingering` → `watched` or `unwatched`. Told by the number of
 * watchers and whether the timer runs; `#settle` alone arms and clears it.
 */
class WatchedRun {
  readonly #reader: StreamReader;
  readonly #watchers = new Set<{ fn: () => void }>();
  readonly #onUnwatched: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(open: OpenStream, runId: string, onUnwatched: () => void) {
    this.#reader = new StreamReader(runId, open, () => this.#tell());
    this.#onUnwatched = onUnwatched;
  }

  get view(): RunView {
    return this.#reader.view;
  }

  subscribe(fn: () => void): () => void {
    const watcher = { fn };
    this.#watchers.add(watcher);
    this.#settle(0);
    this.#reader.start();
    return () => {
      if (this.#watchers.delete(watcher)) this.#settle(LINGER_MS);
    };
  }

  give(run: Run): void {
    this.#reader.give(run);
    this.#settle(GIVEN_MS);
  }

  #tell(): void {
    for (const { fn } of [...this.#watchers]) callWatcher(fn);
  }

  #settle(patience: number): void {
    clearTimeout(this.#timer);
    if (this.#watchers.size > 0) return;
    this.#timer = setTimeout(() => {
      this.#reader.stop();
      this.#onUnwatched();
    }, patience);
    // In Node a program may end while a run lingers.
    (this.#timer as { unref?(): void }).unref?.();
  }
}
