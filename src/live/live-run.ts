import type { PgFlowError } from '../errors.js';
import type { AnyFlow } from '../flow/flow.js';
import type { Change } from '../run/change.js';
import type { EventType, RunEvent } from '../run/event.js';
import type { Run, RunStatus } from '../run/run.js';
import type { Difference } from './compare-runs.js';
import type { WaitOptions } from './wait-for.js';

export type { Difference, WaitOptions };

/** What `verify` found. */
export interface Verification {
  readonly ok: boolean;
  readonly differences: readonly Difference[];
}

/**
 * A run that keeps itself up to date: a snapshot, then its changes, whatever is lost, doubled or
 * reordered on the way. Every state it shows is the row as it was at that `seq`; neither `seq` nor a
 * status ever goes back.
 *
 * It is a handle. Handles on one run share one state; each is closed on its own. A closed handle calls
 * nobody any more and still answers `getSnapshot()`. What a subscriber throws harms nobody else.
 *
 * Modes: `open → closed`.
 *
 * @example
 * const live = await pgflow.track(runId);
 * const stop = live.subscribe(() => draw(live.getSnapshot()));
 * live.on('step_failed', (event) => console.log(event.stepSlug, event.error));
 * const run = await live.waitFor('completed', { timeout: 30 });
 * live.close();
 */
export interface LiveRun<F extends AnyFlow = any> extends AsyncIterable<Run<F>> {
  readonly runId: string;
  /** Messages flow. False: news may come late, by the watchdog. */
  readonly connected: boolean;
  /** Nothing newer is known than what is shown. */
  readonly caughtUp: boolean;
  /**
   * Why there will be no more news: `RUN_NOT_FOUND` when the run was deleted, `CLOSED`; else null. What was shown last
   * stays readable. Of a run that ended before it was deleted only the process that deleted it says so.
   */
  readonly ended: PgFlowError | null;
  /** The newest run; the same object until there is a newer one. */
  getSnapshot(): Run<F>;
  /** Calls `fn` after each new snapshot, until stopped. */
  subscribe(fn: () => void): () => void;
  /** Calls `fn` after `connected`, `caughtUp` or `ended` has changed, until stopped. */
  onFreshness(fn: () => void): () => void;
  /**
   * Calls `fn` for each event of that type from now on. Run and step events come exactly once, in
   * order, even if their messages were lost; task events at most once. What led to the first snapshot is not told.
   *
   * @throws {PgFlowError} `INVALID_INPUT` for a type that there is not.
   */
  on(type: EventType, fn: (event: RunEvent) => void): () => void;
  /**
   * Resolves to the run once it has that status, or one of those. A run that has ended is final: it resolves, or rejects
   * with `RUN_UNREACHABLE`, also of a handle that is closed and of a run deleted since.
   *
   * @throws {PgFlowError} `RUN_UNREACHABLE` as soon as it can no longer get there, `TIMEOUT`, `ABORTED` (also when the
   * signal was aborted before), `CLOSED`, `RUN_NOT_FOUND` when it is deleted meanwhile, `INVALID_INPUT`.
   */
  waitFor(status: RunStatus | readonly RunStatus[], options?: WaitOptions): Promise<Run<F>>;
  /**
   * What a reader at `since` lacks, from memory: the last change with its tasks when it starts right
   * there, null when nothing is newer, the whole run for 0 or a seq beyond this one.
   */
  changeSince(since: number): Change | null;
  /**
   * Reads the row and compares. If the row is ahead, the live run catches up first; if it still
   * differs, the differences are told and the row's values taken over.
   *
   * @throws {PgFlowError} `RUN_NOT_FOUND` when the run was deleted, `CLOSED`.
   */
  verify(): Promise<Verification>;
  /** Ends this handle. Idempotent. */
  close(): void;
}
