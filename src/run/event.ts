export type RunEventType = 'run_started' | 'run_completed' | 'run_failed' | 'run_cancelled';
export type StepEventType =
  | 'step_started'
  | 'step_completed'
  | 'step_failed'
  | 'step_skipped'
  | 'step_cancelled';
export type TaskEventType = 'task_started' | 'task_completed' | 'task_failed';
export type EventType = RunEventType | StepEventType | TaskEventType;

/** All of them, for checks of what is not typed. */
export const EVENT_TYPES: readonly EventType[] = [
  'run_started',
  'run_completed',
  'run_failed',
  'run_cancelled',
  'step_started',
  'step_completed',
  'step_failed',
  'step_skipped',
  'step_cancelled',
  'task_started',
  'task_completed',
  'task_failed',
];

/**
 * Something that happened to a run. Run and step events come exactly once per live run,
 * whatever was lost on the way; task events at most once. `at` is the database's time.
 */
export interface RunEvent {
  readonly type: EventType;
  readonly runId: string;
  readonly seq: number;
  readonly at: Date;
  readonly stepSlug?: string;
  readonly taskIndex?: number;
  readonly attempt?: number;
  readonly output?: unknown;
  readonly error?: string;
  readonly willRetry?: boolean;
  readonly retryAt?: Date | null;
  readonly skipReason?: string;
  readonly reason?: string;
}
