import { PgFlowError } from '../errors.js';
import type { AnyFlow } from '../flow/flow.js';
import { quoted } from '../flow/quoted.js';
import { callWatcher } from '../run/call-watcher.js';
import type { Change } from '../run/change.js';
import { EVENT_TYPES, type EventType, type RunEvent } from '../run/event.js';
import type { Run, RunStatus } from '../run/run.js';
import type { LiveRun, Verification } from './live-run.js';
import { hasMember, listMembers, type Members, withMember, withoutMember } from './members.js';
import { RunIterator } from './run-iterator.js';
import type { SharedRun, Watcher } from './shared-run.js';
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

/** What a listener is called for: an event of its type, or one of these. */
type Occasion = EventType | 'change' | 'freshness' | 'end';

interface Listener {
  readonly occasion: Occasion;
  readonly fn: (...args: any[]) => void;
}

/** One handle on a shared run; `LiveRun` says what it does. Modes: `open → closed`. */
class LiveRunHandle implements LiveRun, Watchable, Watcher {
  #mode: 'open' | 'closed' = 'open';
  readonly #shared: SharedRun;
  readonly #feed: LiveRunFeed;
  #error: PgFlowError | null = null;
  /** One set for all, as a handle has few. */
  #listeners: Members<Listener> = null;
  #eventListeners = 0;

  constructor(shared: SharedRun, feed: LiveRunFeed) {
    this.#shared = shared;
    this.#feed = feed;
    shared.watch(this);
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
    return this.#add('change', fn);
  }

  onFreshness(fn: () => void): () => void {
    return this.#add('freshness', fn);
  }

  onEnd(fn: (error: PgFlowError) => void): () => void {
    return this.#add('end', fn);
  }

  on(type: EventType, fn: (event: RunEvent) => void): () => void {
    checkType(type);
    if (this.#mode === 'closed') return () => {};
    const stop = this.#add(type, fn);
    let isOn = true;
    this.#eventListeners++;
    return () => {
      if (isOn) this.#eventListeners--;
      isOn = false;
      stop();
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
    const ends = listMembers(this.#listeners).filter(({ occasion }) => occasion === 'end');
    this.#enter('closed');
    for (const { fn } of ends) callWatcher(fn, this.#error);
    this.#feed.release();
  }

  // What the shared run tells.

  wantsEvents(): boolean {
    return this.#eventListeners > 0;
  }

  tellChange(events: readonly RunEvent[]): void {
    for (const event of events) this.#call(event.type, event);
    this.#call('change');
  }

  tellFreshness(): void {
    this.#call('freshness');
  }

  tellEnd(error: PgFlowError): void {
    this.#call('end', error);
    this.#call('freshness');
  }

  /** A listener may stop others, or add itself again: those there now are called, unless stopped meanwhile. */
  #call(occasion: Occasion, ...args: unknown[]): void {
    for (const listener of listMembers(this.#listeners)) {
      const isCalled = listener.occasion === occasion && hasMember(this.#listeners, listener);
      if (isCalled) callWatcher(listener.fn, ...args);
    }
  }

  #add(occasion: Occasion, fn: (...args: any[]) => void): () => void {
    if (this.#mode === 'closed') return () => {};
    const listener = { occasion, fn };
    this.#listeners = withMember(this.#listeners, listener);
    return () => {
      const wasThere = hasMember(this.#listeners, listener);
      this.#listeners = withoutMember(this.#listeners, listener);
      return wasThere;
    };
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    this.#shared.unwatch(this);
    this.#listeners = null;
    this.#eventListeners = 0;
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
