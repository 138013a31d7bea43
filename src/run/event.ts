export type RunEventType = 'run_started' | 'run_completed' | 'run_failed' | 'run_cancelled';
export type StepEventType =
  | 'step_started'
  | 'step_completed'
  | 'step_failed'
  | 'step_skipped'
  | 'step_cancelled';
export type TaskEventType = 'task_started' | 'task_completed' | 'task_failed' | 'task_logged';
export type EventType = RunEventType | StepEventType | TaskEventType;

// A record, so that a type that is missing here does not compile.
const KNOWN: Readonly<Record<EventType, true>> = {
  run_started: true,
  run_completed: true,
  run_failed: true,
  run_cancelled: true,
  step_started: true,
  step_completed: true,
  step_failed: true,
  step_skipped: true,
  step_cancelled: true,
  task_started: true,
  task_completed: true,
  task_failed: true,
  task_logged: true,
};

/** All of them, for checks of what is not typed. */
export const EVENT_TYPES = Object.keys(KNOWN) as readonly EventType[];

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
  /** `task_logged`: what its handler logged, and with which fields; `at` is when. */
  readonly message?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly skipReason?: string;
  readonly reason?: string;
}
