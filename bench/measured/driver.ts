import type { Assignment } from './assignment.js';

/** One engine, ours or a peer's, made ready for one assignment. */
export interface Driver {
  /** From now on what is started is executed, in this process. */
  startWorker(): Promise<void>;
  /** Starts one run or job; resolves when that is committed. */
  startOne(n: number): Promise<unknown>;
  /** Starts as many single jobs by the bulk API. */
  startMany?(count: number): Promise<unknown>;
  /** Whether all that was started has ended, by the database's word. */
  isIdle(): Promise<boolean>;
  /** Resolves when this process sees that what `startOne` gave has completed. */
  seeCompleted?(started: unknown): Promise<unknown>;
  /** Brings the planner's statistics up to date; a peer without a planner has none. */
  analyse?(): Promise<unknown>;
  close(): Promise<unknown>;
}

/**
 * Creates the tables, if they are not there, and connects.
 *
 * @param began is to be called by the handler of a job, of a run's last step, of a task of a map.
 */
export type OpenDriver = (assignment: Assignment, began: () => void) => Promise<Driver>;
