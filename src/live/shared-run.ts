import type { PgFlowError } from '../errors.js';
import { type Applied, applyChange } from '../run/apply-change.js';
import type { Change, StepChange, TaskFact } from '../run/change.js';
import type { RunEvent } from '../run/event.js';
import { eventsBetween } from '../run/events-between.js';
import { isTerminalRun, type Run } from '../run/run.js';
import { originOf, valuesOf } from '../run/values-of.js';
import { hasMember, listMembers, type Members, withMember, withoutMember } from './members.js';

/** One who watches a shared run. None of these may throw. */
export interface Watcher {
  /** Whether `tellChange` needs the events; they cost something to derive. */
  wantsEvents(): boolean;
  /** There is a new snapshot; and the events that led to it, if anyone wants them. */
  tellChange(events: readonly RunEvent[]): void;
  /** `connected` or `caughtUp` is another now. */
  tellFreshness(): void;
  /** Nothing comes any more: the run is gone or the watching was ended. */
  tellEnd(error: PgFlowError): void;
}

const NO_TASKS: readonly TaskFact[] = [];

/**
 * What one process knows of one run, shared by all who watch it.
 *
 * It holds the newest snapshot and the tasks of the last change, and tells every watcher. It reads nothing: whoever
 * feeds it (the tracker, the browser's event stream) brings the changes and says how fresh they are.
 *
 * Modes: `open` (more may come) → `settled` (the run has ended and stays as it is) | `ended` (gone or closed).
 */
export class SharedRun {
  #mode: 'open' | 'settled' | 'ended' = 'open';
  #run: Run;
  #cancelReason: string | null = null;
  /** Where the last change began, and its tasks. All else of it can be made again, and need not be kept by each run. */
  #lastSince = 0;
  #lastTasks: readonly TaskFact[] = NO_TASKS;
  /** The whole run as a change, from when a reader asks until there is a newer one: all who ask get the same. */
  #whole: Change | null = null;
  /** By step: the seq that touched it last. */
  readonly #stepSeqs: number[];
  #connected = true;
  #caughtUp = true;
  #error: PgFlowError | null = null;
  #watchers: Members<Watcher> = null;
  /** What is still to be told; null unless something is being told. */
  #untold: RunEvent[][] | null = null;

  private constructor(run: Run, first: Change) {
    this.#run = run;
    this.#stepSeqs = new Array<number>(run.stepStates.length).fill(0);
    this.#remember(run, first);
  }

  /** From a change with `since` 0, a snapshot; null when it is not whole. */
  static from(snapshot: Change): SharedRun | null {
    const applied = applyChange(null, snapshot);
    return applied.kind === 'applied' ? new SharedRun(applied.run, snapshot) : null;
  }

  get runId(): string {
    return this.#run.runId;
  }

  get run(): Run {
    return this.#run;
  }

  get connected(): boolean {
    return this.#mode === 'settled' || (this.#mode === 'open' && this.#connected);
  }

  get caughtUp(): boolean {
    return this.#mode === 'settled' || (this.#mode === 'open' && this.#caughtUp);
  }

  /** Why nothing comes any more; null while something may, and of a run that has ended by itself. */
  get ended(): PgFlowError | null {
    return this.#error;
  }

  watch(watcher: Watcher): void {
    this.#watchers = withMember(this.#watchers, watcher);
  }

  unwatch(watcher: Watcher): void {
    this.#watchers = withoutMember(this.#watchers, watcher);
  }

  apply(change: Change): Applied['kind'] {
    if (this.#mode === 'ended') return 'ignored';
    const applied = applyChange(this.#run, change);
    if (applied.kind === 'applied') this.#show(applied.run, change);
    return applied.kind;
  }

  /** Takes a snapshot as it is, even if it is older: for when what was shown turned out not to be the row. */
  replace(snapshot: Change): boolean {
    if (this.#mode === 'ended') return false;
    const applied = applyChange(null, snapshot);
    if (applied.kind !== 'applied') return false;
    this.#show(applied.run, snapshot);
    return true;
  }

  setFreshness(connected: boolean, caughtUp: boolean): void {
    if (connected === this.#connected && caughtUp === this.#caughtUp) return;
    this.#connected = connected;
    this.#caughtUp = caughtUp;
    if (this.#mode === 'open') for (const watcher of listMembers(this.#watchers)) watcher.tellFreshness();
  }

  /** No more news, for this reason. A run that has ended by itself stays readable as it is. */
  end(error: PgFlowError): void {
    if (this.#mode === 'ended') return;
    this.#error = error;
    this.#enter('ended');
    for (const watcher of listMembers(this.#watchers)) watcher.tellEnd(error);
    this.#watchers = null;
  }

  /**
   * What a reader at `since` lacks: the last change, with its tasks, if it starts there;
   * else the values of today; the whole run for 0 and for a seq this run has not reached; null when nothing is newer.
   */
  changeSince(since: number): Change | null {
    const { seq } = this.#run;
    if (since === seq) return null;
    const from = Number.isInteger(since) && since > 0 && since < seq ? since : 0;
    if (from === 0) {
      this.#whole ??= this.#makeChange(0, NO_TASKS);
      return this.#whole;
    }
    return this.#makeChange(from, from === this.#lastSince ? this.#lastTasks : NO_TASKS);
  }

  #makeChange(since: number, tasks: readonly TaskFact[]): Change {
    const { runId, seq } = this.#run;
    const origin = since === 0 ? originOf(this.#run) : null;
    const run = valuesOf(this.#run, this.#cancelReason);
    return { runId, since, seq, origin, run, steps: this.#stepsSince(since), tasks };
  }

  #stepsSince(since: number): StepChange[] {
    const steps = this.#run.stepStates.map((state, index) => ({ index, seq: this.#stepSeqs[index]!, state }));
    return steps.filter((step) => step.seq > since).sort((a, b) => a.seq - b.seq || a.index - b.index);
  }

  #show(run: Run, change: Change): void {
    const before = this.#run;
    this.#run = run;
    this.#remember(run, change);
    this.#tell(
      this.#wantsEvents() ? eventsBetween(before, run, change).map((event) => Object.freeze(event)) : [],
    );
  }

  /** A watcher may cause the next change while it is told of this one: each change is told to all before the next. */
  #tell(news: RunEvent[]): void {
    if (this.#untold !== null) {
      this.#untold.push(news);
      return;
    }
    const untold = [news];
    this.#untold = untold;
    for (let events = untold.shift(); events !== undefined; events = untold.shift()) {
      for (const watcher of listMembers(this.#watchers)) {
        if (hasMember(this.#watchers, watcher)) watcher.tellChange(events);
      }
    }
    this.#untold = null;
  }

  #wantsEvents(): boolean {
    for (const watcher of listMembers(this.#watchers)) if (watcher.wantsEvents()) return true;
    return false;
  }

  #remember(run: Run, change: Change): void {
    this.#cancelReason = change.run.cancelReason;
    this.#lastSince = change.since;
    this.#lastTasks = change.tasks.length === 0 ? NO_TASKS : change.tasks;
    this.#whole = null;
    for (const step of change.steps) this.#stepSeqs[step.index] = step.seq;
    this.#enter(isTerminalRun(run.status) ? 'settled' : 'open');
  }

  #enter(mode: 'open' | 'settled' | 'ended'): void {
    if (this.#mode !== 'ended') this.#mode = mode;
  }
}
