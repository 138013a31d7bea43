import type { AuditedTransaction, RowVersion } from './audit-log.js';
import { type AuditedRun, taskKey } from './audited-run.js';

type Row = RowVersion['row'];

/** By flow, version and step: the steps that it waits for. */
export type Parents = ReadonlyMap<string, readonly number[]>;

export const parentsKey = (flowSlug: string, version: number, stepIndex: number) =>
  `${flowSlug}:${version}:${stepIndex}`;

const isTerminalStep = (step: Row) => step.status !== 'created' && step.status !== 'started';
const isOpenTask = (task: Row) => task.status === 'queued' || task.status === 'started';
const isPassed = (step: Row) => step.status === 'completed' || step.status === 'skipped';

/** What is wrong with a run as a transaction left it: S1 to S5. */
export function checkState(audited: AuditedRun, parents: Parents): string[] {
  const { run, steps } = audited;
  const wrong: string[] = [];
  const open = steps.filter((step) => !isTerminalStep(step)).length;
  if (run.status !== 'failed' && run.status !== 'cancelled' && run.remaining_steps !== open) {
    wrong.push(`S1: remaining_steps is ${run.remaining_steps}, but ${open} steps are not terminal`);
  }
  for (const step of steps) {
    const waitsFor = parents.get(parentsKey(run.flow_slug, run.version, step.step_index)) ?? [];
    const unfinished = waitsFor.filter((parent) => !isPassed(steps[parent]!)).length;
    // A step that a cascade skipped, or a retry took over, does not wait for its parents; S7 keeps it as it ended.
    const isPast = isTerminalStep(step) && step.seq < run.seq;
    if (!isPast && step.remaining_deps !== unfinished) {
      wrong.push(
        `S2: remaining_deps of ${step.step_slug} is ${step.remaining_deps}, but ${unfinished} of its parents are unfinished`,
      );
    }
    wrong.push(...checkTasks(audited, step));
  }
  const isTerminal = run.status !== 'started';
  if (isTerminal) wrong.push(...checkEnd(audited));
  if (steps.every(isPassed) !== (run.status === 'completed')) {
    wrong.push(`S5: the run is ${run.status}, its steps are ${steps.map((step) => step.status).join(', ')}`);
  }
  return wrong;
}

function checkTasks(audited: AuditedRun, step: Row): string[] {
  const tasks = audited.tasksOf(step.step_index);
  const name = `step ${step.step_slug} (${step.status})`;
  const count: number | null = step.initial_tasks;
  if (count === null) {
    const isReady = audited.run.status === 'started' && step.remaining_deps === 0 && !isTerminalStep(step);
    if (isReady) return [`S3: ${name} waits for nothing, but has no tasks`];
    return tasks.length > 0 ? [`S3: ${name} has ${tasks.length} tasks, but no initial_tasks`] : [];
  }
  const wrong: string[] = [];
  if (tasks.length !== count || tasks.some((task) => task.task_index < 0 || task.task_index >= count)) {
    const indexes = tasks.map((task) => task.task_index).slice(0, 20);
    wrong.push(`S3: ${name} must have the tasks 0 to ${count - 1}, but has ${indexes.join(', ')}`);
  }
  const completed = tasks.filter((task) => task.status === 'completed').length;
  if (step.remaining_tasks !== count - completed) {
    wrong.push(
      `S3: remaining_tasks of ${name} is ${step.remaining_tasks}, but ${completed} of ${count} tasks are completed`,
    );
  }
  if (step.status === 'completed' && completed !== count) {
    wrong.push(`S3: ${name} has ${count - completed} tasks that are not completed`);
  }
  return wrong;
}

function checkEnd({ run, steps, tasks }: AuditedRun): string[] {
  const wrong: string[] = [];
  for (const step of steps) {
    const isOpen = step.status === 'started' || (step.status === 'created' && step.initial_tasks !== null);
    if (isOpen) wrong.push(`S4: the run is ${run.status}, but step ${step.step_slug} is ${step.status}`);
  }
  for (const task of tasks.values()) {
    if (!isOpenTask(task)) continue;
    wrong.push(
      `S4: the run is ${run.status}, but task ${task.task_index} of ${task.step_slug} is ${task.status}`,
    );
  }
  return wrong;
}

const TERMINAL: Record<RowVersion['source'], readonly string[]> = {
  runs: ['completed', 'failed', 'cancelled'],
  step_states: ['completed', 'failed', 'skipped', 'cancelled'],
  step_tasks: ['completed', 'failed', 'cancelled'],
};

/** S7: what a row that had ended was turned into, if anything. */
export function checkTerminal(source: RowVersion['source'], before: Row, after: Row): string[] {
  if (!TERMINAL[source].includes(before.status)) return [];
  const altered = Object.keys(after).filter((column) => !isEqual(before[column], after[column]));
  if (altered.length === 0) return [];
  const changes = altered.map(
    (column) => `${column} ${JSON.stringify(before[column])} → ${JSON.stringify(after[column])}`,
  );
  return [`S7: ${nameOf(source, after)} was ${before.status} and was altered: ${changes.join('; ')}`];
}

/** S6: a task ends once, by its current claim; a claim never falls and only a new one starts it. */
export function checkTask(before: Row, after: Row, { settlements }: AuditedTransaction): string[] {
  const name = nameOf('step_tasks', after);
  const starts = before.status === 'queued' && after.status === 'started';
  if (after.claim !== before.claim + (starts ? 1 : 0)) {
    return [
      `S6: the claim of ${name} went from ${before.claim} to ${after.claim} as it went from ${before.status} to ${after.status}`,
    ];
  }
  const isSettled = after.status === 'completed' || after.status === 'failed';
  if (!isSettled || before.status === after.status) return [];
  const shown = settlements
    .filter((one) => taskKeyOf(one) === taskKey(after) && one.runId === after.run_id)
    .map((one) => one.claim);
  if (before.status === 'started' && shown.includes(before.claim)) return [];
  return [
    `S6: ${name}, ${before.status} under claim ${before.claim}, was ${after.status} by claim ${shown.join(', ') || 'none'}`,
  ];
}

function taskKeyOf({ stepIndex, taskIndex }: { stepIndex: number; taskIndex: number }): string {
  return `${stepIndex}:${taskIndex}`;
}

function nameOf(source: RowVersion['source'], row: Row): string {
  if (source === 'runs') return 'the run';
  return source === 'step_states'
    ? `step ${row.step_slug}`
    : `task ${row.task_index} of step ${row.step_slug}`;
}

function isEqual(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
