import type { AnyFlow } from '../flow/flow.js';
import type { Change } from '../run/change.js';
import { checkRunId } from '../run/run-id.js';
import type { LiveRun } from './live-run.js';
import { openLiveRun } from './live-run-handle.js';
import { trackerClosed } from './run-errors.js';
import { RunReader } from './run-reader.js';
import type { RunSource } from './source.js';
import { TrackedRun, type TrackedRunPorts } from './tracked-run.js';
import { Watchdog } from './watchdog.js';

/** What a tracker needs of a bus: the reading half of a `PubSub`. A port: the composition root fills it. */
export interface RunBus {
  subscribe(topic: string, fn: (message: unknown) => void): Promise<() => void>;
  /** Calls `fn` with false when messages may be getting lost, with true when they flow again. */
  onConnection?(fn: (connected: boolean) => void): () => void;
}

export interface TrackerOptions {
  readonly source: RunSource;
  readonly pubsub: RunBus;
  /** The topic of a run's changes and hints. */
  readonly topics: { run(runId: string): string };
  /** The whole of a run that this process has just started, if it knows that nothing has happened to it. */
  readonly readBegun?: (runId: string) => Change | null;
  /** Seconds between two looks at the seqs of all unfinished runs. Default 5. */
  readonly watchdogInterval?: number;
  /** Milliseconds that a run is kept after its last handle was closed, as a page that mounts again asks for it at once. Default 1000. */
  readonly lingerMs?: number;
}

export interface TrackerStats {
  /** Runs held in memory, and those of them that may still change. */
  readonly runs: number;
  readonly unfinished: number;
  /** Messages refused because they were not ours. */
  readonly refusedMessages: number;
}

/**
 * Loads, shares and keeps the live runs of one process.
 *
 * There is one shared run per id, however many handles: 10,000 viewers of a run cost one snapshot. An
 * undisturbed run is read once in its life. Whatever is lost on the way is read again: after a gap, a hint or
 * a lost connection at once, a lost last message at the watchdog's next look.
 *
 * Modes: `open → closed`.
 *
 * @example
 * const tracker = createTracker({ source, pubsub, topics: topicsOf('pgflow') });
 * const live = await tracker.track(runId);
 */
export interface Tracker {
  /**
   * A handle on the run, loaded.
   *
   * @throws {PgFlowError} `INVALID_RUN_ID`, `RUN_NOT_FOUND`, `CLOSED`; what the source throws when it cannot be read.
   */
  track<F extends AnyFlow = any>(runId: string): Promise<LiveRun<F>>;
  /** A change that this process committed itself: its watchers need not wait for the bus. */
  apply(change: Change): void;
  /** Word that the run has come that far. */
  hint(runId: string, seq: number): void;
  /** Whether the run is tracked and may still change. */
  isTracking(runId: string): boolean;
  /** Something may have been committed to the run unheard. */
  doubt(runId: string): void;
  stats(): TrackerStats;
  /** Ends all live runs: their waits reject with `CLOSED`, their iterators end. Idempotent. */
  close(): void;
}

export function createTracker(options: TrackerOptions): Tracker {
  return new RunTracker(options);
}

class RunTracker implements Tracker {
  #mode: 'open' | 'closed' = 'open';
  readonly #reader: RunReader;
  /** The same for all runs. */
  readonly #ports: TrackedRunPorts;
  readonly #watchdog: Watchdog;
  readonly #runs = new Map<string, TrackedRun>();
  readonly #unfinished = new Set<TrackedRun>();
  readonly #stopConnection: () => void;
  #isConnected = true;
  #isAnswering = true;
  #refusedMessages = 0;

  constructor(options: TrackerOptions) {
    this.#reader = new RunReader(options.source, () => this.#setAnswering(true));
    this.#ports = this.#portsFor(options);
    this.#watchdog = new Watchdog(
      options.watchdogInterval ?? 5,
      () => this.#unfinished.size > 0,
      () => this.#look(),
    );
    this.#stopConnection =
      options.pubsub.onConnection?.((connected) => this.#setConnected(connected)) ?? (() => {});
  }

  async track(runId: string): Promise<LiveRun> {
    const id = checkRunId(runId);
    if (this.#mode === 'closed') throw trackerClosed();
    const run = this.#runs.get(id) ?? this.#open(id);
    run.hold();
    try {
      const shared = await run.loaded;
      return openLiveRun(shared, run);
    } catch (error) {
      run.release();
      throw error;
    }
  }

  apply(change: Change): void {
    this.#runs.get(change.runId)?.take(change);
  }

  hint(runId: string, seq: number): void {
    this.#runs.get(runId)?.hear(seq);
  }

  isTracking(runId: string): boolean {
    return this.#runs.get(runId)?.isUnfinished ?? false;
  }

  doubt(runId: string): void {
    this.#runs.get(runId)?.doubt();
  }

  stats(): TrackerStats {
    return {
      runs: this.#runs.size,
      unfinished: this.#unfinished.size,
      refusedMessages: this.#refusedMessages,
    };
  }

  close(): void {
    if (this.#mode === 'open') this.#enter('closed');
  }

  #open(runId: string): TrackedRun {
    const run = new TrackedRun(runId, this.#ports);
    this.#runs.set(runId, run);
    this.#unfinished.add(run);
    this.#watchdog.adjust();
    return run;
  }

  #portsFor({ pubsub, topics, readBegun = () => null, lingerMs = 1000 }: TrackerOptions): TrackedRunPorts {
    return {
      reader: this.#reader,
      readBegun,
      lingerMs,
      subscribe: (id, fn) => pubsub.subscribe(topics.run(id), fn),
      isConnected: () => this.#isConnected,
      isAnswering: () => this.#isAnswering,
      onRefused: () => this.#refusedMessages++,
      onFinished: (run) => {
        this.#unfinished.delete(run);
        this.#watchdog.adjust();
      },
      onEnded: (run) => {
        if (this.#runs.get(run.runId) === run) this.#runs.delete(run.runId);
      },
    };
  }

  /** The watchdog's look: one question for all runs that may still change. */
  async #look(): Promise<void> {
    const shown = new Map<TrackedRun, number>();
    for (const run of this.#unfinished) if (run.shownSeq !== null) shown.set(run, run.shownSeq);
    if (shown.size === 0) return;
    const seqs = await this.#askSeqs([...shown.keys()].map((run) => run.runId));
    for (const [run, seq] of shown) run.compare(seqs.get(run.runId), seq);
  }

  async #askSeqs(runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    try {
      return await this.#reader.readSeqs(runIds);
    } catch (error) {
      this.#setAnswering(false);
      throw error;
    }
  }

  #setConnected(connected: boolean): void {
    if (connected === this.#isConnected || this.#mode === 'closed') return;
    this.#isConnected = connected;
    for (const run of [...this.#runs.values()]) {
      if (connected) run.doubt();
      run.refreshFreshness();
    }
  }

  #setAnswering(answering: boolean): void {
    if (answering === this.#isAnswering || this.#mode === 'closed') return;
    this.#isAnswering = answering;
    for (const run of [...this.#runs.values()]) run.refreshFreshness();
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    this.#stopConnection();
    this.#watchdog.close();
    for (const run of [...this.#runs.values()]) run.end(trackerClosed());
  }
}
