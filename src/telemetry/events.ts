import type { Change } from '../run/change.js';
import type { Run } from '../run/run.js';

/** What all events carry. */
export interface PgFlowEvent {
  /** The schema that the pgflow works on. */
  readonly schema: string;
}

export interface WorkerStart extends PgFlowEvent {
  readonly workerId: number;
  /** How many tasks it executes at once. */
  readonly concurrency: number;
}

export interface WorkerStop extends PgFlowEvent {
  readonly workerId: number;
  /** Milliseconds since it began. */
  readonly duration: number;
}

/** Something that the worker tries again: the database is away, a heartbeat failed. Handlers' errors are tasks' errors. */
export interface WorkerError extends PgFlowEvent {
  readonly message: string;
  readonly error: unknown;
}

export interface ClaimStart extends PgFlowEvent {
  readonly workerId: number;
  /** How many tasks it could take on. */
  readonly wanted: number;
  /** `queue`: what is due. `ready`: what a settle or a start of this process makes ready, with that statement. */
  readonly from: 'queue' | 'ready';
}

export interface ClaimStop extends ClaimStart {
  /** How many tasks it got. */
  readonly count: number;
  /** Milliseconds that the statement took. */
  readonly duration: number;
}

export interface ClaimError extends ClaimStart {
  readonly error: unknown;
  readonly duration: number;
}

/** One attempt of a task in this process. */
export interface TaskStart extends PgFlowEvent {
  readonly workerId: number;
  readonly runId: string;
  readonly flowSlug: string;
  readonly stepSlug: string;
  readonly taskIndex: number;
  readonly attempt: number;
  /** Milliseconds that it was due before it was claimed. */
  readonly waited: number;
}

export interface TaskStop extends TaskStart {
  /**
   * `completed`; `abandoned`: it did not count any more, because its run had ended or its claim was lost;
   * `returned`: given back unexecuted, because the worker stops.
   */
  readonly outcome: 'completed' | 'abandoned' | 'returned';
  /** Milliseconds that the handler took. */
  readonly duration: number;
}

export interface TaskError extends TaskStart {
  readonly duration: number;
  /** What the handler threw, as it is stored. */
  readonly error: string;
  readonly willRetry: boolean;
  readonly retryAt: Date | null;
}

export interface StepStart extends PgFlowEvent {
  readonly runId: string;
  readonly flowSlug: string;
  readonly stepSlug: string;
  /** Null for a map whose size nobody knows yet. */
  readonly tasks: number | null;
}

export interface StepStop extends StepStart {
  readonly status: 'completed' | 'skipped' | 'cancelled';
  readonly skipReason: string | null;
  /** Milliseconds from the begin of its first task, by the database's clock; null when none began. */
  readonly duration: number | null;
}

export interface StepError extends StepStart {
  readonly error: string;
  readonly duration: number | null;
}

export interface RunStart extends PgFlowEvent {
  readonly runId: string;
  readonly flowSlug: string;
  readonly version: number;
  readonly retryOf: string | null;
}

export interface RunStop extends PgFlowEvent {
  readonly runId: string;
  readonly flowSlug: string;
  readonly status: 'completed' | 'cancelled';
  /** Why it was cancelled, where a reason was given. */
  readonly reason: string | null;
  /** Milliseconds since it was started, by the database's clock. */
  readonly duration: number;
}

export interface RunFailure extends PgFlowEvent {
  readonly runId: string;
  readonly flowSlug: string;
  readonly error: Run['error'];
  readonly duration: number;
}

/** What this process tells of one run: for a bus. */
export interface RunMoved extends PgFlowEvent {
  /** The pgflow that tells it: there may be several in a process. */
  readonly pgflow: object;
  readonly runId: string;
  /** The run has come that far; `gone` when it was deleted. */
  readonly seq: number | 'gone';
  /** What was committed; null when only the seq is known, and it must be read. */
  readonly change: Change | null;
  /** Whether other processes may want to hear of it; those who track the run here have heard. */
  readonly elsewhere: boolean;
}

/** The events, by the name of their channel. */
export interface TelemetryEvents {
  'pgflow:worker:start': WorkerStart;
  'pgflow:worker:stop': WorkerStop;
  'pgflow:worker:error': WorkerError;
  'pgflow:claim:start': ClaimStart;
  'pgflow:claim:stop': ClaimStop;
  'pgflow:claim:error': ClaimError;
  'pgflow:task:start': TaskStart;
  'pgflow:task:stop': TaskStop;
  'pgflow:task:error': TaskError;
  'pgflow:step:start': StepStart;
  'pgflow:step:stop': StepStop;
  'pgflow:step:error': StepError;
  'pgflow:run:start': RunStart;
  'pgflow:run:stop': RunStop;
  'pgflow:run:error': RunFailure;
  'pgflow:change': RunMoved;
}
