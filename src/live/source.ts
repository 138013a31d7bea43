import type { Change } from '../run/change.js';
import type { RunFilter, RunPage } from '../run/run-list.js';

/** What a live run reads of the database. A port: the composition root fills it. */
export interface RunSource {
  /**
   * What is new since those seqs, in one statement: one change for each run that has news. `since: 0`
   * asks for the whole run, its snapshot. Runs without news or that are gone are absent. What is committed to these runs
   * later is told on their topics.
   */
  readChanges(cursors: readonly RunCursor[]): Promise<Change[]>;
  /** The current seq of each run, in one statement; runs that are gone are absent. */
  readSeqs(runIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

export interface RunCursor {
  readonly runId: string;
  readonly since: number;
}

/** What live lists read of the database. A port, too. */
export interface ListSource {
  /** The newest runs that match each filter, in one statement. */
  readPages(filters: readonly RunFilter[]): Promise<RunPage[]>;
}
