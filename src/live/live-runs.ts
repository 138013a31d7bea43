import type { PgFlowError } from '../errors.js';
import type { RunList } from '../run/run-list.js';

/**
 * A list of runs that keeps itself up to date: those that match, newest first, each with all its steps.
 *
 * It hears that something changed, not what, and then asks the database: at most once a second, in one statement for
 * all lists of this process, and for no more than what is new. Where the answers get slow, it asks less often. Word
 * that is lost costs five seconds. For a single run, `track` tells each change at once.
 *
 * It is a handle. Handles on equal lists share one; each is closed on its own. A closed handle calls nobody any more and
 * still answers `getSnapshot()`. What a subscriber throws harms nobody else.
 *
 * Modes: `open → closed`.
 *
 * @example
 * const orders = await pgflow.trackRuns({ flow: 'process_order', status: 'started', limit: 20 });
 * const stop = orders.subscribe(() => draw(orders.getSnapshot().runs));
 * orders.close();
 */
export interface LiveRuns {
  /** Messages flow and the database answers. False: news may come seconds late. */
  readonly connected: boolean;
  /** Why there will be no more news: `CLOSED`; else null. */
  readonly ended: PgFlowError | null;
  /**
   * The newest list; the same object until there is another one. A run that did not change is the same object in both.
   * Its `cursor` gives the older runs to `listRuns`.
   */
  getSnapshot(): RunList;
  /** Calls `fn` after each new list, until stopped. */
  subscribe(fn: () => void): () => void;
  /** Calls `fn` after `connected` or `ended` has changed, until stopped. */
  onFreshness(fn: () => void): () => void;
  /** Ends this handle. Idempotent. */
  close(): void;
}
