import { randomInt } from 'node:crypto';
import type { Audience, TaskKey } from './postgres/task-store.js';
import { begunChange } from './run/begun-run.js';
import type { Change } from './run/change.js';
import type { Run } from './run/run.js';

/**
 * Milliseconds. Whoever starts a run and tracks it does so at once; after ten the database is told that its tasks began,
 * and it is not as it was.
 */
const AS_BEGUN = 50;

export interface AudienceListeners {
  isTracked(runId: string): boolean;
  /** Something may have been committed to the run unheard; if it is tracked it is read again. */
  doubt(runId: string): void;
  hearsUntracked(): boolean;
}

/**
 * Who hears in this process of what it writes. Runs' rows carry its tracker's number: so its own changes need not be
 * published for its own watchers, and a run that it has just started, all of whose tasks are its own, is tracked without
 * a statement.
 */
export class LocalAudience implements Audience {
  readonly trackerId = randomInt(1, 2 ** 31);
  readonly #listeners: AudienceListeners;
  /** What this process has started and nobody else can have changed, oldest first, and since when. */
  readonly #begun = new Map<string, { readonly run: Run; readonly at: number }>();

  constructor(listeners: AudienceListeners) {
    this.#listeners = listeners;
  }

  get hearsUntracked(): boolean {
    return this.#listeners.hearsUntracked();
  }

  /** These runs are told to the tracker of this process, and all their tasks are its own. */
  begin(runs: readonly Run[]): void {
    const at = performance.now();
    for (const [runId, begun] of this.#begun) {
      if (at - begun.at <= AS_BEGUN) break;
      this.#begun.delete(runId);
    }
    for (const run of runs) this.#begun.set(run.runId, { run, at });
  }

  /** The whole run, if nothing has happened to it since this process has started it; else null. */
  readBegun(runId: string): Change | null {
    const begun = this.#begun.get(runId);
    return begun && performance.now() - begun.at <= AS_BEGUN ? begunChange(begun.run) : null;
  }

  /** Something happens to the run. */
  alter(runId: string): void {
    this.#begun.delete(runId);
  }

  async during<T>(
    tasks: readonly TaskKey[],
    statement: (watched: readonly string[]) => Promise<T>,
  ): Promise<T> {
    const watched = new Set<string>();
    const others = new Set<string>();
    for (const { runId } of tasks) {
      this.alter(runId);
      (this.#listeners.isTracked(runId) ? watched : others).add(runId);
    }
    try {
      return await statement([...watched]);
    } finally {
      for (const runId of others) this.#listeners.doubt(runId);
    }
  }

  /** Whether trackers of other processes may want to hear of the change. */
  isHeardElsewhere({ trackedBy }: Change): boolean {
    return trackedBy !== null && trackedBy !== this.trackerId;
  }
}
