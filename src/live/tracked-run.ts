import type { PgFlowError } from '../errors.js';
import type { Change } from '../run/change.js';
import { decodeMessage, GONE } from '../run/codec.js';
import { isTerminalRun } from '../run/run.js';
import { CatchUp } from './catch-up.js';
import { ChangeBuffer } from './change-buffer.js';
import type { Verification } from './live-run.js';
import { nobodyWatches, runNotFound, runUnreadable } from './run-errors.js';
import type { RunReader } from './run-reader.js';
import { SharedRun } from './shared-run.js';
import { after, nothing } from './timer.js';
import { TopicSubscription } from './topic-subscription.js';
import { verifyRun } from './verify-run.js';

/** What a tracked run needs of its tracker. */
export interface TrackedRunPorts {
  readonly reader: RunReader;
  /** The whole of a run that this process has just started, if it knows that nothing has happened to it. */
  readBegun(runId: string): Change | null;
  /** Milliseconds that the run is kept after its last handle was closed. */
  readonly lingerMs: number;
  /** Subscribes to the topic of the run. */
  subscribe(runId: string, fn: (message: unknown) => void): Promise<() => void>;
  /** Whether messages flow. */
  isConnected(): boolean;
  /** Whether the database answers. */
  isAnswering(): boolean;
  /** A message came that is not one of ours. */
  onRefused(): void;
  /** It may not change any more: it settled or ended. Called once. */
  onFinished(run: TrackedRun): void;
  onEnded(run: TrackedRun): void;
}

type Mode = 'loading' | 'live' | 'behind' | 'settled' | 'ended';

/**
 * How long a change whose predecessor is missing waits for it before the row is read: two workers may
 * publish neighbouring changes the wrong way round, at most a publisher's pause (10 ms) apart.
 */
const REORDER_MS = 20;
/** How long the first read waits for the bus. One that is down delays it no longer; what it missed is read later. */
const SUBSCRIBE_MS = 1_000;

/**
 * Keeps one shared run equal to its row.
 *
 * Modes:
 * - `loading`: subscribed, the snapshot is being read, what is heard meanwhile is kept
 * - `live`: all that is known is shown
 * - `behind`: something newer is known or may have been missed; it is awaited, or read, one read at a time
 * - `settled`: the run has ended; topic and timers are released
 * - `ended`: nobody holds it any more, the run is gone, or the tracker is closed
 *
 * `loading → live ⇄ behind → settled`; any → `ended`.
 */
export class TrackedRun {
  readonly runId: string;
  /** The run, once its snapshot is there. */
  readonly loaded: Promise<SharedRun>;
  #mode: Mode = 'loading';
  readonly #ports: TrackedRunPorts;
  /** Null once nothing more is expected: a settled run may be kept for long. */
  #topic: TopicSubscription | null;
  /** Null until a change came before what it follows on: most come in order. */
  #buffer: ChangeBuffer | null = null;
  /** Null until something had to be read again: most runs are never behind. */
  #catchUp: CatchUp | null = null;
  #shared: SharedRun | null = null;
  #failLoading: (error: unknown) => void = nothing;
  /** The highest seq heard of; while a read is under way, heard of since it began. */
  #known = 0;
  /** Messages may have been missed, so the row must be read. */
  #doubtful = false;
  /** What is shown is not the row's past, so the row must be read whole and replace it. */
  #contradicted = false;
  /** The run is said to be deleted, so it must be read whole: only then no answer means that it is. */
  #missed = false;
  #hasRead = false;
  #holders = 0;
  #stopLinger: () => void = nothing;

  constructor(runId: string, ports: TrackedRunPorts) {
    this.runId = runId;
    this.#ports = ports;
    this.#topic = new TopicSubscription(
      () => ports.subscribe(runId, (message) => this.#receive(message)),
      () => this.#onSubscribed(),
    );
    this.loaded = new Promise((resolve, reject) => {
      this.#failLoading = reject;
      this.#load().then(resolve, (error) => this.end(error));
    });
    this.loaded.catch(() => {});
  }

  /** False when nothing more is expected of it. */
  get isUnfinished(): boolean {
    return this.#mode !== 'settled' && this.#mode !== 'ended';
  }

  /** The seq that it shows; null before it is loaded. */
  get shownSeq(): number | null {
    return this.#shared?.run.seq ?? null;
  }

  hold(): void {
    this.#holders++;
    this.#stopLinger();
  }

  release(): void {
    this.#holders--;
    if (this.#holders > 0 || this.#mode === 'ended') return;
    this.#stopLinger = after(this.#ports.lingerMs, () => this.end(nobodyWatches(this.runId)));
  }

  /** A change was committed. */
  take(change: Change): void {
    if (!this.isUnfinished) return;
    this.#known = Math.max(this.#known, change.seq);
    if (this.#shared === null) this.#keep(change);
    else this.#next(this.#apply(this.#shared, change) === 'no room' ? 0 : REORDER_MS);
  }

  /** The run has come this far, or is gone. */
  hear(seq: number): void {
    if (seq !== GONE) this.#known = Math.max(this.#known, seq);
    // The topic is released then, so this comes from who deleted it: there is nothing left to read.
    else if (this.#mode === 'settled') this.end(runNotFound(this.runId));
    else this.#missed = true;
    this.#next();
  }

  /** Messages may have been missed. */
  doubt(): void {
    if (!this.isUnfinished) return;
    this.#doubtful = true;
    void this.#topic?.open();
    this.#next();
  }

  /** What the watchdog read: the row's seq, or that there is none. `shown` is what was shown when it asked. */
  compare(rowSeq: number | undefined, shown: number): void {
    if (!this.isUnfinished) return;
    void this.#topic?.open();
    if (rowSeq === undefined) {
      this.end(runNotFound(this.runId));
      return;
    }
    // Nothing is told before it is committed: a message lied, or a failover lost commits.
    if (rowSeq < shown) this.#contradicted = true;
    this.hear(rowSeq);
  }

  refreshFreshness(): void {
    const isAnswering = this.#ports.isAnswering();
    const connected = isAnswering && this.#ports.isConnected() && this.#topic?.isOpen === true;
    this.#shared?.setFreshness(connected, isAnswering && this.#mode === 'live');
  }

  /** No more news, for this reason; what is open is released. */
  end(error: PgFlowError): void {
    if (this.#mode === 'ended') return;
    this.#enter('ended');
    this.#failLoading(error);
    this.#shared?.end(error);
    this.#ports.onEnded(this);
  }

  async verify(): Promise<Verification> {
    const shared = await this.loaded;
    return verifyRun(shared, {
      readSnapshot: () => this.#readSnapshot(),
      take: (snapshot) => this.take(snapshot),
      replace: (snapshot) => shared.replace(snapshot),
    });
  }

  async #load(): Promise<SharedRun> {
    await this.#topic?.openWithin(SUBSCRIBE_MS);
    this.#hasRead = true;
    const snapshot = this.#ports.readBegun(this.runId) ?? (await this.#readFirst());
    const shared = snapshot === null ? null : SharedRun.from(snapshot);
    if (snapshot === null) throw runNotFound(this.runId);
    if (shared === null) throw runUnreadable(this.runId);
    // Ended meanwhile: `loaded` is rejected already.
    if (this.#mode === 'ended') return shared;
    this.#shared = shared;
    this.#failLoading = nothing;
    this.#applyBuffered(shared);
    this.#next(REORDER_MS);
    return shared;
  }

  #readFirst(): Promise<Change | null> {
    this.#known = 0;
    this.#doubtful = false;
    return this.#ports.reader.read({ runId: this.runId, since: 0 });
  }

  #onSubscribed(): void {
    // A bus that took its time: what was told since the first read has been missed.
    if (this.#hasRead) this.doubt();
    this.refreshFreshness();
  }

  #receive(wire: unknown): void {
    const message = decodeMessage(wire, this.#shared?.run);
    const runId = message?.kind === 'change' ? message.change.runId : message?.runId;
    if (message === null || runId !== this.runId) this.#ports.onRefused();
    else if (message.kind === 'change') this.take(message.change);
    else this.hear(message.seq);
  }

  /** A change that came before what it follows on is kept until that has come, if there is room. */
  #apply(shared: SharedRun, change: Change): 'done' | 'no room' {
    if (change.since > shared.run.seq) return this.#keep(change) ? 'done' : 'no room';
    if (shared.apply(change) === 'applied') this.#applyBuffered(shared);
    return 'done';
  }

  #applyBuffered(shared: SharedRun): void {
    let change = this.#buffer?.takeNext(shared.run.seq);
    while (change) {
      shared.apply(change);
      change = this.#buffer?.takeNext(shared.run.seq);
    }
  }

  /** False when there is no room. */
  #keep(change: Change): boolean {
    this.#buffer ??= new ChangeBuffer();
    return this.#buffer.add(change);
  }

  /** Decides how to go on, after anything was heard, shown or read. `patience`: milliseconds until a read. */
  #next(patience = 0): void {
    if (this.#shared === null || !this.isUnfinished) return;
    const { run } = this.#shared;
    const isComplete = this.#known <= run.seq && !this.#doubtful && !this.#contradicted && !this.#missed;
    if (isTerminalRun(run.status) && !this.#contradicted) {
      this.#enter('settled');
    } else if (isComplete) {
      this.#enter(this.#catchUp?.isReading ? 'behind' : 'live');
    } else {
      this.#enter('behind');
      this.#catchUp ??= new CatchUp(
        () => this.#read(),
        () => this.#next(),
      );
      this.#catchUp.ask(patience);
    }
  }

  /** Reads what is new. What had been heard of before is in the answer, so it need not be remembered. */
  async #read(): Promise<void> {
    const shared = this.#shared!;
    const heard = {
      seq: this.#known,
      changes: this.#buffer?.list(),
      doubtful: this.#doubtful,
      missed: this.#missed,
    };
    const since = this.#contradicted || this.#missed ? 0 : shared.run.seq;
    this.#known = 0;
    this.#doubtful = false;
    this.#missed = false;
    try {
      const answer = await this.#ports.reader.read({ runId: this.runId, since });
      if (!this.isUnfinished) return;
      this.#takeAnswer(shared, since, answer);
      this.#applyBuffered(shared);
      if (heard.changes !== undefined) this.#buffer?.drop(heard.changes);
    } catch (error) {
      this.#known = Math.max(this.#known, heard.seq);
      this.#doubtful ||= heard.doubtful;
      this.#missed ||= heard.missed;
      throw error;
    }
  }

  #takeAnswer(shared: SharedRun, since: number, answer: Change | null): void {
    if (answer === null) {
      if (since === 0) this.end(runNotFound(this.runId));
    } else if (!this.#contradicted) {
      if (shared.apply(answer) === 'gap') this.#contradicted = true;
    } else if (since === 0) {
      if (!shared.replace(answer)) throw runUnreadable(this.runId);
      this.#contradicted = false;
    }
  }

  async #readSnapshot(): Promise<Change> {
    const snapshot = await this.#ports.reader.read({ runId: this.runId, since: 0 });
    if (snapshot !== null) return snapshot;
    const error = runNotFound(this.runId);
    if (this.isUnfinished) this.end(error);
    throw error;
  }

  #enter(mode: Mode): void {
    if (this.#mode === 'ended' || this.#mode === mode) return;
    const wasUnfinished = this.isUnfinished;
    this.#mode = mode;
    if (mode !== 'behind') this.#catchUp?.cancel();
    if (mode === 'ended') this.#stopLinger();
    if (wasUnfinished && !this.isUnfinished) {
      this.#topic?.close();
      this.#topic = null;
      this.#buffer = null;
      this.#ports.onFinished(this);
    }
    this.refreshFreshness();
  }
}
