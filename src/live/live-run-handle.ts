import { PgFlowError } from '../errors.js';
import type { AnyFlow } from '../flow/flow.js';
import { quoted } from '../flow/quoted.js';
import { callWatcher } from '../run/call-watcher.js';
import type { Change } from '../run/change.js';
import { EVENT_TYPES, type EventType, type RunEvent } from '../run/event.js';
import type { Run, RunStatus } from '../run/run.js';
import type { LiveRun, Verification } from './live-run.js';
import { RunIterator } from './run-iterator.js';
import type { SharedRun } from './shared-run.js';
import { type WaitOptions, type Watchable, waitForStatus } from './wait-for.js';

/** What a handle needs of whoever feeds its run. */
export interface LiveRunFeed {
  verify(): Promise<Verification>;
  /** The handle is closed; called once. */
  release(): void;
}

/** Opens a handle on a shared run. */
export function openLiveRun<F extends AnyFlow = any>(shared: SharedRun, feed: LiveRunFeed): LiveRun<F> {
  return new LiveRunHandle(shared, feed);
}

interface Listener<Args extends unknown[]> {
  readonly fn: (...args: Args) => void;
}

/** One handle on a shared run; `LiveRun` says what it does. Modes: `open → closed`. */
class LiveRunHandle implements LiveRun, Watchable {
  #mode: 'open' | 'closed' = 'open';
  readonly #shared: SharedRun;
  readonly #feed: LiveRunFeed;
  readonly #unwatch: () => void;
  #error: PgFlowError | null = null;
  readonly #subscribers = new Set<Listener<[]>>();
  readonly #freshness = new Set<Listener<[]>>();
  readonly #ends = new Set<Listener<[PgFlowError]>>();
  readonly #events = new Map<EventType, Set<Listener<[RunEvent]>>>();

  constructor(shared: SharedRun, feed: LiveRunFeed) {
    this.#shared = shared;
    this.#feed = feed;
    this.#unwatch = shared.watch({
      wantsEvents: () => this.#events.size > 0,
      changed: (events) => this.#onChange(events),
      freshened: () => this.#call(this.#freshness),
      ended: (error) => this.#onEnd(error),
    });
  }

  get runId(): string {
    return this.#shared.runId;
  }

  get connected(): boolean {
    return this.#mode === 'open' && this.#shared.connected;
  }

  get caughtUp(): boolean {
    return this.#mode === 'open' && this.#shared.caughtUp;
  }

  get ended(): PgFlowError | null {
    return this.#error ?? this.#shared.ended;
  }

  getSnapshot(): Run {
    return this.#shared.run;
  }

  subscribe(fn: () => void): () => void {
    return this.#add(this.#subscribers, fn);
  }

  onFreshness(fn: () => void): () => void {
    return this.#add(this.#freshness, fn);
  }

  onEnd(fn: (error: PgFlowError) => void): () => void {
    return this.#add(this.#ends, fn);
  }

  on(type: EventType, fn: (event: RunEvent) => void): () => void {
    checkType(type);
    if (this.#mode === 'closed') return () => {};
    const listeners = this.#events.get(type) ?? new Set();
    this.#events.set(type, listeners);
    const stop = this.#add(listeners, fn);
    return () => {
      stop();
      if (listeners.size === 0 && this.#events.get(type) === listeners) this.#events.delete(type);
    };
  }

  waitFor(status: RunStatus | readonly RunStatus[], options?: WaitOptions): Promise<Run> {
    return waitForStatus(this, status, options);
  }

  [Symbol.asyncIterator](): AsyncIterator<Run, undefined> {
    return new RunIterator(this);
  }

  changeSince(since: number): Change | null {
    return this.#shared.changeSince(since);
  }

  async verify(): Promise<Verification> {
    if (this.ended !== null) throw this.ended;
    return this.#feed.verify();
  }

  close(): void {
    if (this.#mode === 'closed') return;
    this.#error ??= this.#shared.ended ?? closed(this.runId);
    const ends = [...this.#ends];
    this.#enter('closed');
    for (const { fn } of ends) callWatcher(fn, this.#error);
    this.#feed.release();
  }

  #onChange(events: readonly RunEvent[]): void {
    for (const event of events) {
      const listeners = this.#events.get(event.type);
      if (listeners !== undefined) this.#call(listeners, event);
    }
    this.#call(this.#subscribers);
  }

  #onEnd(error: PgFlowError): void {
    this.#call(this.#ends, error);
    this.#call(this.#freshness);
  }

  /** A listener may stop others, or add itself again: those there now are called, unless stopped meanwhile. */
  #call<Args extends unknown[]>(listeners: ReadonlySet<Listener<Args>>, ...args: Args): void {
    for (const listener of [...listeners]) {
      if (listeners.has(listener)) callWatcher(listener.fn, ...args);
    }
  }

  #add<Args extends unknown[]>(listeners: Set<Listener<Args>>, fn: (...args: Args) => void): () => void {
    if (this.#mode === 'closed') return () => {};
    const listener = { fn };
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    this.#unwatch();
    for (const listeners of [this.#subscribers, this.#freshness, this.#ends]) listeners.clear();
    for (const listeners of this.#events.values()) listeners.clear();
    this.#events.clear();
  }
}

function checkType(type: unknown): void {
  if (EVENT_TYPES.includes(type as EventType)) return;
  const message = `takes one of ${EVENT_TYPES.join(', ')}, not ${quoted(type)}.`;
  throw new PgFlowError('INVALID_INPUT', `on ${message}`, { data: { issues: [{ path: 'type', message }] } });
}

function closed(runId: string): PgFlowError {
  return new PgFlowError('CLOSED', `This handle on run ${runId} was closed. Track the run again.`, {
    data: { runId },
  });
}
