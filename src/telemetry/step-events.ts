import type { Change, RunValues, StepChange } from '../run/change.js';
import type { StepState } from '../run/run.js';
import { tell } from './channels.js';
import type { TelemetryEvents } from './events.js';

type Name = keyof TelemetryEvents;

export const STEP_ENDS: readonly Name[] = ['pgflow:step:stop', 'pgflow:step:error'];
export const RUN_ENDS: readonly Name[] = ['pgflow:run:stop', 'pgflow:run:error'];

/** The run that an event is of. */
export interface RunOfEvent {
  readonly schema: string;
  readonly runId: string;
  readonly flowSlug: string;
}

/** The steps that began with a task whose begin this change tells: only that task began when the step did. */
export function begunSteps({ steps, tasks }: Change): StepState[] {
  const begins = tasks.filter(({ type }) => type === 'task_started');
  if (begins.length === 0) return [];
  const isBegun = ({ state }: StepChange) =>
    begins.some(
      (task) => task.stepSlug === state.stepSlug && task.at.getTime() === state.startedAt?.getTime(),
    );
  return steps.filter(isBegun).map(({ state }) => state);
}

export function tellStepBegin(of: RunOfEvent, { stepSlug, initialTasks }: StepState): void {
  tell('pgflow:step:start', { ...of, stepSlug, tasks: initialTasks });
}

/** When a step ended; null when it has not. */
export function endOf(state: StepState): Date | null {
  return state.completedAt ?? state.failedAt ?? state.skippedAt ?? state.cancelledAt;
}

/** Says nothing of a step that goes on. */
export function tellStepEnd(of: RunOfEvent, state: StepState): void {
  const end = endOf(state);
  if (end === null) return;
  const { stepSlug, status, initialTasks: tasks, skipReason, startedAt, errorMessage } = state;
  const step = { ...of, stepSlug, tasks, duration: startedAt && end.getTime() - startedAt.getTime() };
  if (status === 'failed') tell('pgflow:step:error', { ...step, error: errorMessage ?? '' });
  else if (status !== 'created' && status !== 'started') {
    tell('pgflow:step:stop', { ...step, status, skipReason });
  }
}

/** Says nothing of a run that goes on. */
export function tellRunEnd(
  of: RunOfEvent,
  run: Pick<RunValues, 'status' | 'error' | 'completedAt' | 'failedAt' | 'cancelledAt'>,
  startedAt: Date | undefined,
  reason: string | null,
): void {
  const { status, error } = run;
  const end = run.completedAt ?? run.failedAt ?? run.cancelledAt;
  if (status === 'started' || end === null) return;
  const duration = end.getTime() - (startedAt ?? end).getTime();
  if (status === 'failed') tell('pgflow:run:error', { ...of, error, duration });
  else tell('pgflow:run:stop', { ...of, status, reason, duration });
}
