import { PgFlowError } from '../errors.js';
import type { TransactionClient } from '../flow/flow.js';
import { createBatch } from '../postgres/batch.js';
import type { FailedTask, Outcome } from '../postgres/change-rows.js';
import { pause } from '../postgres/pause.js';
import type { Capacity, TaskEnd, TaskStore } from '../postgres/task-store.js';
import type { Change, TaskFact } from '../run/change.js';
import { errorText } from '../run/error-text.js';
import { type TaskEnding, tellEnding } from '../telemetry/task-trace.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import type { AttemptEnd, Execution } from './execution.js';

export interface SettlerPorts {
  readonly store: Pick<TaskStore, 'settleTasks' | 'returnTasks' | 'commitTask'>;
  /** Lets the worker claim what follows, up to so many tasks. */
  claimWith(wanted: number, statement: (capacity?: Capacity) => Promise<Outcome>): Promise<Outcome>;
  /** Runs changed: the changes that anybody may want to hear of, in this order, and how the attempts ended. */
  onChanges(changes: readonly Change[], endings?: readonly TaskEnding[]): void;
  /** Tasks are queued. */
  onReady(): void;
  /** A settle may have been applied without us hearing of it: what watchers see must be read. */
  onUncertain(runIds: readonly string[]): void;
  onError(message: string, error: unknown): void;
  readonly telemetry: Telemetry;
}

interface Item {
  readonly execution: Execution;
  readonly end: AttemptEnd | null;
}

/** A begin that ends within this time is told together with its end. */
const BEGIN_DELAY = 10;

/**
 * Tells the database what began and what ended, in as few statements as the load allows, and makes
 * the changes that they return complete with the facts of their tasks.
 */
export class Settler {
  readonly #ports: SettlerPorts;
  readonly #begun = new Set<Execution>();
  readonly #add: (item: Item) => Promise<boolean>;
  readonly #telling = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(ports: SettlerPorts) {
    this.#ports = ports;
    this.#add = createBatch<Item, boolean>({
      run: (items) => this.#settle(items),
      keyOf: ({ execution }) => execution,
      groupOf: ({ execution }) => execution.task.runId,
    });
  }

  begin(execution: Execution): void {
    this.#begun.add(execution);
    this.#timer ??= setTimeout(() => this.#tellBegun(), BEGIN_DELAY);
  }

  /** Resolves when the end is in the database, or turned out not to count any more. */
  async end(execution: Execution, end: AttemptEnd): Promise<void> {
    this.#begun.delete(execution);
    try {
      await this.#add({ execution, end });
    } catch (error) {
      if (this.#closed) return tellEnding(execution.trace?.stopped('abandoned'));
      if (isContended(error)) await this.#giveBack(execution, error);
      else await this.#endAsFailed(execution, error);
    }
  }

  /**
   * Runs `fn` in a transaction of its own and completes the task with what it returns, all or nothing. Resolves to
   * that, as JSON.
   *
   * @throws {PgFlowError} `ABORTED` when the attempt no longer counts; whatever `fn` throws. Rolled back then.
   */
  async commit(execution: Execution, fn: (tx: TransactionClient) => unknown): Promise<unknown> {
    const { task } = execution;
    const { outcome, output } = await this.#ports.store.commitTask(task, fn);
    this.#begun.delete(execution);
    if (outcome) this.#publish([{ execution, end: { outcome: 'completed', output } }], outcome);
    else {
      tellEnding(execution.trace?.stopped('completed'));
      this.#tellUncertain([task.runId]);
    }
    return JSON.parse(output);
  }

  forget(execution: Execution): void {
    this.#begun.delete(execution);
  }

  /** Gives up what cannot be told because the database is away; the leases will tell. Resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#telling);
  }

  #tellBegun(): void {
    this.#timer = undefined;
    for (const execution of this.#begun) {
      const told = this.#tellBegin(execution).finally(() => this.#telling.delete(told));
      this.#telling.add(told);
    }
    this.#begun.clear();
  }

  async #tellBegin(execution: Execution): Promise<void> {
    try {
      await this.#add({ execution, end: null });
    } catch (error) {
      if (!this.#closed) this.#ports.onError('Could not tell that a task began', error);
    }
  }

  /** The database took the batch but not this end: it says why, as the attempt's failure. */
  async #endAsFailed(execution: Execution, error: unknown): Promise<void> {
    const text = `The result could not be stored: ${errorText(error)}`;
    try {
      await this.#add({ execution, end: { outcome: 'failed', error: text, retryDelay: -1 } });
    } catch (again) {
      await this.#giveBack(execution, again);
    }
  }

  async #giveBack({ task, trace }: Execution, error: unknown): Promise<void> {
    this.#ports.onError(`Could not settle a task of run ${task.runId}; it is given back`, error);
    tellEnding(trace?.stopped('returned'));
    // Until then it is held: a live worker's lease does not end, so nobody else would give it back.
    for (let failures = 0; !this.#closed; failures += 1) {
      try {
        await this.#ports.store.returnTasks([task]);
        return;
      } catch (again) {
        if (failures === 0) this.#ports.onError('Could not give a task back; trying again', again);
        await pause(failures);
      }
    }
  }

  async #settle(items: readonly Item[]): Promise<boolean[]> {
    const ends = items.map(toTaskEnd);
    const wanted = countFollowing(items);
    for (let failures = 0; ; failures += 1) {
      try {
        const outcome = await this.#ports.claimWith(wanted, (capacity) =>
          this.#ports.store.settleTasks(ends, capacity),
        );
        const settled = this.#publish(items, outcome);
        if (failures > 0 && settled.includes(false)) {
          this.#tellUncertain(
            items.filter((_, i) => !settled[i]).map(({ execution }) => execution.task.runId),
          );
        }
        return settled;
      } catch (error) {
        if (this.#closed || !isPassing(error, failures)) throw error;
        if (failures === 0) this.#ports.onError('Settling tasks failed; trying again', error);
        await pause(isTimeout(error) ? failures + TIMEOUT_PAUSES : failures);
      }
    }
  }

  /** What was applied unheard may have queued tasks, too. */
  #tellUncertain(runIds: readonly string[]): void {
    this.#ports.onUncertain(runIds);
    this.#ports.onReady();
  }

  #publish(items: readonly Item[], outcome: Outcome): boolean[] {
    const changes = new Map(
      outcome.changes.map((change) => [change.runId, { ...change, tasks: [] as TaskFact[] }]),
    );
    const settled = items.map(({ execution, end }, place) => {
      const failed = outcome.failed.get(place);
      if (!failed && !outcome.accepted.has(place)) return false;
      changes.get(execution.task.runId)?.tasks.push(...factsOf(execution, end, failed, outcome.at!));
      return true;
    });
    const endings = this.#ports.telemetry.hearsTasks
      ? items.flatMap((item, i) => endingOf(item, outcome.failed.get(i), settled[i]!))
      : [];
    this.#ports.onChanges([...changes.values()], endings);
    if (outcome.ready) this.#ports.onReady();
    return settled;
  }
}

/**
 * For how many tasks slots are kept while these are settled: what is to be expected, and enough for what any one of them
 * may release. Of a map its first task counts for all, since what waits for it is released once.
 */
export function countFollowing(items: readonly Pick<Item, 'execution' | 'end'>[]): number {
  let most = 0;
  let expected = 0;
  for (const { execution, end } of items) {
    if (!end) continue;
    const { follows, followsOnAverage, step } = execution.handler;
    most = Math.max(most, follows);
    if (step.kind === 'single' || execution.task.taskIndex === 0) expected += followsOnAverage;
  }
  return Math.max(most, Math.ceil(expected));
}

/** How an attempt ended, if somebody hears of it; an end that was not accepted did not count any more. */
function endingOf({ execution, end }: Item, failed: FailedTask | undefined, accepted: boolean): TaskEnding[] {
  const { trace } = execution;
  if (!trace || !end) return [];
  const ending = failed
    ? trace.failed(failed.error, failed.retryAt)
    : trace.stopped(accepted ? 'completed' : 'abandoned');
  return ending ? [ending] : [];
}

function toTaskEnd({ execution: { task }, end }: Item): TaskEnd {
  return {
    runId: task.runId,
    stepIndex: task.stepIndex,
    taskIndex: task.taskIndex,
    claim: task.claim,
    outcome: end?.outcome ?? 'started',
    output: end?.outcome === 'completed' ? end.output : null,
    error: end?.outcome === 'failed' ? end.error : null,
    retryDelay: end?.outcome === 'failed' ? end.retryDelay : null,
  };
}

function factsOf(
  execution: Execution,
  end: AttemptEnd | null,
  failed: FailedTask | undefined,
  at: Date,
): TaskFact[] {
  const { taskIndex, attempt } = execution.task;
  const task = { stepSlug: execution.handler.step.slug, taskIndex, attempt };
  const facts: TaskFact[] = [];
  if (!execution.told) facts.push(beginOf(execution));
  if (failed) {
    const { error, retryAt } = failed;
    facts.push({ type: 'task_failed', ...task, at, error, willRetry: retryAt !== null, retryAt });
  } else if (end?.outcome === 'completed') {
    facts.push({ type: 'task_completed', ...task, at, output: JSON.parse(end.output) });
  }
  return facts;
}

/** That it began, for the first change that tells of it. */
export function beginOf(execution: Execution): TaskFact {
  execution.told = true;
  const { taskIndex, attempt, startedAt } = execution.task;
  return { type: 'task_started', stepSlug: execution.handler.step.slug, taskIndex, attempt, at: startedAt };
}

/** Serialization failure, deadlock, lock timeout, statement timeout. */
const CONTENDED = /^(40001|40P01|55P03|57014)$/;
const MOST_CONTENDED = 5;
/** A statement that took too long would do so again at once: its pauses begin as those after so many failures. */
const TIMEOUT_PAUSES = 4;

/** The database away, or refusing all work: for as long as it takes. Others in the way: a few times. */
export function isPassing(error: unknown, failures: number): boolean {
  if (error instanceof PgFlowError) return error.code === 'DATABASE_UNAVAILABLE';
  return isContended(error) && failures < MOST_CONTENDED;
}

/** Others were in the way: it says nothing of the result. */
function isContended(error: unknown): boolean {
  return CONTENDED.test(codeOf(error));
}

function isTimeout(error: unknown): boolean {
  return codeOf(error) === '57014';
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? '';
}
