import type { Change } from '../run/change.js';
import type { Run } from '../run/run.js';
import { isAnyHeard, isHeard, tell } from './channels.js';
import type { ClaimStart, RunMoved, TaskStart, TelemetryEvents, WorkerStart, WorkerStop } from './events.js';
import {
  begunSteps,
  endOf,
  RUN_ENDS,
  type RunOfEvent,
  STEP_ENDS,
  tellRunEnd,
  tellStepBegin,
  tellStepEnd,
} from './step-events.js';
import { type TaskEnding, TaskTrace, tellEnding } from './task-trace.js';

type Told<Event> = Omit<Event, 'schema'>;
type Name = keyof TelemetryEvents;

const CLAIMS: readonly Name[] = ['pgflow:claim:start', 'pgflow:claim:stop', 'pgflow:claim:error'];
const TASKS: readonly Name[] = ['pgflow:task:start', 'pgflow:task:stop', 'pgflow:task:error'];
const OF_START: readonly Name[] = ['pgflow:run:start', ...STEP_ENDS, ...RUN_ENDS];
const OF_CHANGE: readonly Name[] = ['pgflow:step:start', ...STEP_ENDS, ...RUN_ENDS];

/** Begins remembered at most: of a step that another process ends nothing is heard here. */
const MOST_BEGUN = 10_000;

/**
 * What one pgflow tells on the channels of its process: what this process has done, once it is committed. Where
 * nobody listens, no event is made.
 */
export class Telemetry {
  readonly #schema: string;
  /** Steps whose begin was told: the tasks of one claim began together, and several changes may tell them. */
  readonly #begun = new Set<string>();

  constructor(schema: string) {
    this.#schema = schema;
  }

  workerStarted(worker: Told<WorkerStart>): void {
    if (isHeard('pgflow:worker:start')) tell('pgflow:worker:start', { schema: this.#schema, ...worker });
  }

  workerStopped(worker: Told<WorkerStop>): void {
    if (isHeard('pgflow:worker:stop')) tell('pgflow:worker:stop', { schema: this.#schema, ...worker });
  }

  workerFailed(message: string, error: unknown): void {
    if (isHeard('pgflow:worker:error')) tell('pgflow:worker:error', { schema: this.#schema, message, error });
  }

  /** Executes a statement that claims, and tells of it. */
  claim<T>(claim: Told<ClaimStart>, statement: () => Promise<T>, countOf: (answer: T) => number): Promise<T> {
    return isAnyHeard(CLAIMS) ? this.#tellClaim(claim, statement, countOf) : statement();
  }

  /** Whether anybody hears of tasks. */
  get hearsTasks(): boolean {
    return isAnyHeard(TASKS);
  }

  /** Whether anybody hears of steps, or of how runs end. */
  get hearsChanges(): boolean {
    return isAnyHeard(OF_CHANGE);
  }

  taskBegan(task: Told<TaskStart>): TaskTrace {
    return new TaskTrace({ schema: this.#schema, ...task });
  }

  /** This process has started a run; what ended with its start is told, too. */
  runStarted(run: Run): void {
    if (!isAnyHeard(OF_START)) return;
    const { runId, flowSlug, version, retryOf, startedAt } = run;
    const of = { schema: this.#schema, runId, flowSlug };
    tell('pgflow:run:start', { ...of, version, retryOf });
    for (const state of run.stepStates) {
      const end = endOf(state);
      // A retried run has steps that were completed before there was this one.
      if (end !== null && end >= startedAt) tellStepEnd(of, state);
    }
    tellRunEnd(of, run, startedAt, null);
  }

  /** This process has committed changes, and with them settled tasks. */
  committed(changes: readonly Change[], endings: readonly TaskEnding[] = []): void {
    if (endings.length === 0 && !this.hearsChanges) return;
    const byRun = groupByRun(endings);
    for (const change of changes) {
      const of = { schema: this.#schema, runId: change.runId, flowSlug: change.flowSlug ?? '' };
      this.#tellBegins(of, change);
      byRun.get(change.runId)?.forEach(tellEnding);
      byRun.delete(change.runId);
      this.#tellEnds(of, change);
    }
    for (const rest of byRun.values()) rest.forEach(tellEnding);
  }

  /** A run moved on: for buses. */
  moved(moved: Told<RunMoved>): void {
    if (isHeard('pgflow:change')) tell('pgflow:change', { schema: this.#schema, ...moved });
  }

  async #tellClaim<T>(
    claim: Told<ClaimStart>,
    statement: () => Promise<T>,
    countOf: (answer: T) => number,
  ): Promise<T> {
    const start = { schema: this.#schema, ...claim };
    const began = performance.now();
    tell('pgflow:claim:start', start);
    try {
      const answer = await statement();
      tell('pgflow:claim:stop', { ...start, count: countOf(answer), duration: performance.now() - began });
      return answer;
    } catch (error) {
      tell('pgflow:claim:error', { ...start, error, duration: performance.now() - began });
      throw error;
    }
  }

  #tellBegins(of: RunOfEvent, change: Change): void {
    if (!isHeard('pgflow:step:start')) return;
    for (const state of begunSteps(change)) {
      const step = `${of.runId}:${state.stepSlug}`;
      if (this.#begun.has(step)) continue;
      this.#begun.add(step);
      tellStepBegin(of, state);
    }
    for (const { state } of change.steps)
      if (endOf(state)) this.#begun.delete(`${of.runId}:${state.stepSlug}`);
    for (const step of this.#begun) {
      if (this.#begun.size <= MOST_BEGUN) break;
      this.#begun.delete(step);
    }
  }

  #tellEnds(of: RunOfEvent, change: Change): void {
    if (isAnyHeard(STEP_ENDS)) for (const { state } of change.steps) tellStepEnd(of, state);
    if (isAnyHeard(RUN_ENDS)) tellRunEnd(of, change.run, change.startedAt, change.run.cancelReason);
  }
}

function groupByRun(endings: readonly TaskEnding[]): Map<string, TaskEnding[]> {
  const byRun = new Map<string, TaskEnding[]>();
  for (const ending of endings) {
    const { runId } = ending.event;
    const others = byRun.get(runId);
    if (others) others.push(ending);
    else byRun.set(runId, [ending]);
  }
  return byRun;
}
