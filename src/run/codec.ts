import type { Change, RunOrigin, RunValues, StepChange, TaskFact } from './change.js';
import { freezeDeep } from './freeze.js';
import {
  createRun,
  type Run,
  type RunError,
  type RunStatus,
  type StepProgress,
  type StepState,
  type StepStatus,
} from './run.js';
import { isRunId } from './run-id.js';
import { sameText } from './same-text.js';
import { Times } from './times.js';
import {
  orNull,
  pack,
  readCount,
  readFields,
  readList,
  readOneOf,
  readOrNull,
  readText,
  refuse,
  type WireFields,
} from './wire.js';

/**
 * How runs and changes travel over pubsub, SSE and HTTP: JSON, with the names of the TypeScript
 * types, times as ISO text; changes leave null fields out. A `StepChange` is its step state with `index` and
 * `seq` beside it. What is decoded is frozen through and through.
 *
 * The decoders take anything: what is not ours, whole and in range, is null; they never throw.
 * Fields they do not know are ignored, so a newer server may add some.
 */
export type WireRun = WireFields;
export type WireChange = WireFields;

/** A change, or word that the run moved on to `seq` and must be read. */
export type Message =
  | { readonly kind: 'change'; readonly change: Change }
  | { readonly kind: 'hint'; readonly runId: string; readonly seq: number };

/** With its nulls: this is what people read over HTTP. */
export function encodeRun(run: Run): WireRun {
  return { ...run, stepStates: run.stepStates.map((step) => ({ ...step })) };
}

export function encodeChange(change: Change): WireChange {
  const { runId, since, seq, origin, run, steps, tasks } = change;
  const wire: WireChange = { runId, since, seq, run: pack(run) };
  if (origin !== null) wire.origin = pack(origin);
  if (steps.length > 0) {
    wire.steps = steps.map(({ index, seq, state }) => pack(state, { index, seq }));
  }
  if (tasks.length > 0) wire.tasks = tasks.map((fact) => pack(fact));
  return wire;
}

/** The seq of a hint that says that the run is gone: no run gets there. */
export const GONE = 2 ** 31 - 1;

export function encodeHint(runId: string, seq: number): WireFields {
  return { runId, seq };
}

export function decodeRun(wire: unknown): Run | null {
  return readOrNull(() => readRun(readFields(wire)));
}

/** `known` is the run as it is before the change: Dates that it has already are kept, not made again. */
export function decodeChange(wire: unknown, known: Run | null = null): Change | null {
  return readOrNull(() => readChange(readFields(wire), known));
}

/**
 * Reads a message of a run's topic. A change that cannot be read, but says of which run and up to
 * where, is a hint: a newer server may tell what this one does not know, and the rows can be read.
 */
export function decodeMessage(wire: unknown, known: Run | null = null): Message | null {
  const change = decodeChange(wire, known);
  if (change !== null) return { kind: 'change', change };
  return readOrNull(() => {
    const { runId, seq } = readFields(wire);
    return { kind: 'hint', runId: readRunId(runId), seq: readCount(seq, 1) };
  });
}

/** Far above what is built, far below what could hurt. */
const MOST_STEPS = 100_000;
const MOST_TASKS = 1_000_000;
const LONGEST_SLUG = 128;

const RUN_STATUSES = byThemselves<RunStatus>('started', 'completed', 'failed', 'cancelled');
const STEP_STATUSES = byThemselves<StepStatus>(
  'created',
  'started',
  'completed',
  'failed',
  'skipped',
  'cancelled',
);
const TASK_FACTS = byThemselves<TaskFact['type']>(
  'task_started',
  'task_completed',
  'task_failed',
  'task_logged',
);

function byThemselves<T extends string>(...texts: readonly T[]): ReadonlyMap<unknown, T> {
  return new Map(texts.map((text) => [text, text]));
}

function readRun(wire: WireFields): Run {
  const times = new Times();
  const origin = readOrigin(wire, times);
  const stepStates = readList(wire.stepStates, MOST_STEPS).map((step) =>
    readStepState(readFields(step), times),
  );
  const { cancelReason: _, ...values } = readValues(wire, times);
  return createRun({
    runId: readRunId(wire.runId),
    seq: readCount(wire.seq, 1),
    ...origin,
    ...values,
    stepStates,
  });
}

function readChange(wire: WireFields, known: Run | null): Change {
  const times = new Times();
  const since = readCount(wire.since);
  const seq = readCount(wire.seq, since + 1);
  const origin = orNull(wire.origin, (value) => Object.freeze(readOrigin(readFields(value), times)));
  if ((origin !== null) !== (since === 0)) refuse();
  return Object.freeze({
    runId: readRunId(wire.runId),
    since,
    seq,
    origin,
    run: Object.freeze(readValues(readFields(wire.run), times)),
    steps: readSteps(wire.steps, since, seq, times, known),
    tasks: Object.freeze(
      readList(wire.tasks, MOST_TASKS).map((fact) => readTaskFact(readFields(fact), times)),
    ),
  });
}

function readSteps(
  wire: unknown,
  since: number,
  seq: number,
  times: Times,
  known: Run | null,
): readonly StepChange[] {
  let last = { seq: 0, index: -1 };
  const steps = readList(wire, MOST_STEPS).map((value) => {
    const fields = readFields(value);
    const index = readCount(fields.index);
    const createdAt = known?.stepStates[index]?.createdAt;
    const step = {
      index,
      seq: readCount(fields.seq, since + 1),
      state: readStepState(fields, times, createdAt),
    };
    const inOrder = step.seq > last.seq || (step.seq === last.seq && step.index > last.index);
    if (!inOrder || step.seq > seq || step.index >= MOST_STEPS) refuse();
    last = step;
    return Object.freeze(step);
  });
  return Object.freeze(steps);
}

function readOrigin(wire: WireFields, times: Times): RunOrigin {
  return {
    flowSlug: readSlug(wire.flowSlug),
    version: readCount(wire.version),
    input: readJson(wire.input),
    startedAt: times.read(wire.startedAt),
    retryOf: orNull(wire.retryOf, readRunId),
  };
}

function readValues(wire: WireFields, times: Times): RunValues {
  return {
    status: readOneOf(RUN_STATUSES, wire.status),
    output: readJson(wire.output),
    error: orNull(wire.error, (value) => readRunError(readFields(value))),
    remainingSteps: readCount(wire.remainingSteps),
    completedAt: times.readOrNull(wire.completedAt),
    failedAt: times.readOrNull(wire.failedAt),
    cancelledAt: times.readOrNull(wire.cancelledAt),
    cancelReason: orNull(wire.cancelReason, readText),
  };
}

function readRunError(wire: WireFields): RunError {
  return Object.freeze({
    stepSlug: readSlug(wire.stepSlug),
    taskIndex: orNull(wire.taskIndex, (value) => readCount(value)),
    message: readText(wire.message),
  });
}

function readStepState(wire: WireFields, times: Times, createdAt?: Date): StepState {
  return Object.freeze({
    stepSlug: readSlug(wire.stepSlug),
    status: readOneOf(STEP_STATUSES, wire.status),
    remainingDeps: readCount(wire.remainingDeps),
    initialTasks: orNull(wire.initialTasks, (value) => readCount(value)),
    remainingTasks: orNull(wire.remainingTasks, (value) => readCount(value)),
    attempt: readCount(wire.attempt),
    output: readJson(wire.output),
    errorMessage: orNull(wire.errorMessage, (value) => readText(value)),
    skipReason: orNull(wire.skipReason, (value) => readText(value)),
    progress: orNull(wire.progress, (value) => readProgress(readFields(value))),
    createdAt: times.read(wire.createdAt, createdAt),
    startedAt: times.readOrNull(wire.startedAt),
    completedAt: times.readOrNull(wire.completedAt),
    failedAt: times.readOrNull(wire.failedAt),
    skippedAt: times.readOrNull(wire.skippedAt),
    cancelledAt: times.readOrNull(wire.cancelledAt),
  });
}

function readProgress({ fraction, note }: WireFields): StepProgress {
  if (typeof fraction !== 'number' || !(fraction >= 0 && fraction <= 1)) return refuse();
  return Object.freeze({ fraction, note: orNull(note, (value) => readText(value)) });
}

function readTaskFact(wire: WireFields, times: Times): TaskFact {
  const type = readOneOf(TASK_FACTS, wire.type);
  const task = {
    type,
    stepSlug: readSlug(wire.stepSlug),
    taskIndex: readCount(wire.taskIndex),
    attempt: readCount(wire.attempt),
    at: times.read(wire.at),
  };
  if (type === 'task_started') return Object.freeze(task);
  if (type === 'task_completed') return Object.freeze({ ...task, output: readJson(wire.output) });
  if (type === 'task_logged') {
    const fields = freezeDeep(readFields(wire.fields ?? {}));
    return Object.freeze({ ...task, message: readText(wire.message), fields });
  }
  const willRetry = wire.willRetry === true;
  const retryAt = times.readOrNull(wire.retryAt);
  return Object.freeze({ ...task, error: readText(wire.error ?? ''), willRetry, retryAt });
}

function readSlug(value: unknown): string {
  return sameText(readText(value, LONGEST_SLUG));
}

function readRunId(value: unknown): string {
  return isRunId(value) ? value : refuse();
}

/** A user's value: absent is null. Its keys are data; nothing here looks at them. */
function readJson(value: unknown): unknown {
  return freezeDeep(value ?? null);
}
