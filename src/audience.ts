import { randomInt } from 'node:crypto';
import type { Audience, TaskKey } from './postgres/task-store.js';
import { begunChange } from './run/begun-run.js';
import type { Change } from './run/change.js';
import type { Run } from './run/run.js';

/**
 * Milliseconds that a run is believed to be as it began. Whoever tracks what it has started does so at once; after ten
 * the settler tells that its tasks began, which changes it.
 */
const AS_BEGUN = 50;

export interface AudiencePorts {
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
  readonly #ports: AudiencePorts;
  /** What this process has started and nobody else should have changed, oldest first, and since when. */
  readonly #begun = new Map<string, { readonly run: Run; readonly at: number }>();

  constructor(ports: AudiencePorts) {
    this.#ports = ports;
  }

  get hearsUntracked(): boolean {
    return this.#ports.hearsUntracked();
  }

  /** These runs are told to the tracker of this process, and all their tasks are its own. */
  remember(runs: readonly Run[]): void {
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
  forget(runId: string): void {
    this.#begun.delete(runId);
  }

  async during<T>(
    tasks: readonly TaskKey[],
    statement: (watched: readonly string[]) => Promise<T>,
  ): Promise<T> {
    const watched = new Set<string>();
    const others = new Set<string>();
    for (const { runId } of tasks) {
      this.forget(runId);
      (this.#ports.isTracked(runId) ? watched : others).add(runId);
    }
    try {
      return await statement([...watched]);
    } finally {
      for (const runId of others) this.#ports.doubt(runId);
    }
  }

  /** Whether trackers of other processes may want to hear of the change. */
  isHeardElsewhere({ trackedBy }: Change): boolean {
    return trackedBy !== null && trackedBy !== this.trackerId;
  }
}
