import { PgFlowError } from '../errors.js';
import { callWatcher } from '../run/call-watcher.js';
import type { RunList } from '../run/run-list.js';
import type { LiveRuns } from './live-runs.js';
import type { TrackedList } from './tracked-list.js';

interface Listener {
  readonly fn: () => void;
}

/** One handle on a tracked list; `LiveRuns` says what it does. Modes: `open → closed`. */
export class LiveRunsHandle implements LiveRuns {
  #mode: 'open' | 'closed' = 'open';
  readonly #tracked: TrackedList;
  readonly #unwatch: () => void;
  #last: RunList | null = null;
  #error: PgFlowError | null = null;
  readonly #subscribers = new Set<Listener>();
  readonly #freshness = new Set<Listener>();

  /** On a list that is loaded and held. */
  constructor(tracked: TrackedList) {
    this.#tracked = tracked;
    this.#unwatch = tracked.watch({
      changed: () => callAll(this.#subscribers),
      freshened: () => callAll(this.#freshness),
    });
  }

  get connected(): boolean {
    return this.#mode === 'open' && this.#tracked.connected;
  }

  get ended(): PgFlowError | null {
    return this.#error ?? this.#tracked.ended;
  }

  getSnapshot(): RunList {
    return this.#last ?? this.#tracked.list;
  }

  subscribe(fn: () => void): () => void {
    return this.#add(this.#subscribers, fn);
  }

  onFreshness(fn: () => void): () => void {
    return this.#add(this.#freshness, fn);
  }

  close(): void {
    if (this.#mode === 'open') this.#enter('closed');
  }

  #add(listeners: Set<Listener>, fn: () => void): () => void {
    if (this.#mode === 'closed') return () => {};
    const listener = { fn };
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    this.#last = this.#tracked.list;
    this.#error =
      this.#tracked.ended ??
      new PgFlowError('CLOSED', 'This handle on a list of runs was closed. Track it again.');
    this.#unwatch();
    this.#subscribers.clear();
    this.#freshness.clear();
    this.#tracked.release();
  }
}

/** A listener may stop others, or add itself again: those there now are called, unless stopped meanwhile. */
function callAll(listeners: ReadonlySet<Listener>): void {
  for (const listener of [...listeners]) if (listeners.has(listener)) callWatcher(listener.fn);
}
