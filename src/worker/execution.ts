import { NonRetryableError, PgFlowError, RetryAfterError } from '../errors.js';
import { type AnyFlow, parentsOf, type StepDefinition, type TransactionClient } from '../flow/flow.js';
import { type ClaimedTask, countTasks } from '../postgres/task-store.js';
import { errorText } from '../run/error-text.js';
import { toStorableJson } from '../run/storable.js';
import type { TaskTrace } from '../telemetry/task-trace.js';
import { TaskContext } from './task-context.js';
import { TaskReport } from './task-report.js';

/** The code of a step that this process has. */
export interface Handler {
  readonly flow: AnyFlow;
  readonly step: StepDefinition;
  /** How many tasks may become ready when one of this step's ends. */
  readonly follows: number;
  /** How many do on average, when all that they wait for ends. */
  readonly followsOnAverage: number;
}

/** By the ids under which the database knows the steps. */
export function handlersOf(flow: AnyFlow, handlerIds: readonly number[]): [number, Handler][] {
  return flow.steps.map((step) => {
    const dependents = flow.steps.filter((other) => parentsOf(other).includes(step.slug));
    const followsOnAverage = dependents.reduce(
      (sum, one) => sum + countTasks([one]) / parentsOf(one).length,
      0,
    );
    return [handlerIds[step.index]!, { flow, step, follows: countTasks(dependents), followsOnAverage }];
  });
}

/** How an attempt ended, as it is settled. */
export type AttemptEnd =
  | { readonly outcome: 'completed'; readonly output: string }
  | { readonly outcome: 'failed'; readonly error: string; readonly retryDelay: number | null };

/** Why an attempt has nothing to be settled: it was given up, or its handler committed it itself. */
export type Unsettled = 'lost' | 'stopping' | 'committed';

/** Runs `fn` and completes the task with what it returns, in one fenced transaction. */
export type CommitTask = (execution: Execution, fn: (tx: TransactionClient) => unknown) => Promise<unknown>;

/** Who tells what attempts say of themselves while they work. */
export interface Listener {
  /** This one has said something. */
  add(execution: Execution): void;
}

const NEVER = -1;
/** The longest delay that a timer takes. */
const MOST_MILLISECONDS = 2 ** 31 - 1;

/** One attempt of one task in this process, from its claim until it is settled. */
export class Execution {
  readonly task: ClaimedTask;
  readonly handler: Handler;
  /** Whether its begin was told in a change. */
  told = false;
  /** Where somebody hears of tasks. */
  trace: TaskTrace | undefined;
  /** Made when a handler asks for its signal: most never do. */
  #controller: AbortController | undefined;
  #abortReason: PgFlowError | undefined;
  readonly #commitTask: CommitTask;
  readonly #listener: Listener;
  #commit: Promise<unknown> | undefined;
  /** Made when a handler says something: most never do. */
  #report: TaskReport | undefined;
  #isOver = false;
  #end: ((end: AttemptEnd | Unsettled) => void) | undefined;

  constructor(task: ClaimedTask, handler: Handler, commitTask: CommitTask, listener: Listener) {
    this.task = task;
    this.handler = handler;
    this.#commitTask = commitTask;
    this.#listener = listener;
  }

  /** What its handler said that was not told yet; undefined when it never said anything. */
  get report(): TaskReport | undefined {
    return this.#report;
  }

  /**
   * Calls the handler and waits for it, for its timeout or for `giveUp`, whatever comes first. A handler
   * that ignores its signal is left behind; nothing that it does afterwards counts.
   */
  run(input: unknown, deps: Readonly<Record<string, unknown>>): Promise<AttemptEnd | Unsettled> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#timeOut(), Math.min(this.task.timeout * 1000, MOST_MILLISECONDS));
      this.#end = (end) => {
        clearTimeout(timer);
        resolve(end);
      };
      void this.#callHandler(input, deps);
    });
  }

  /** Aborts the handler's signal and ends `run` now. */
  giveUp(why: Unsettled): void {
    const message = why === 'lost' ? 'this attempt no longer counts' : 'the worker stops';
    this.#abort(new PgFlowError('ABORTED', `Aborted: ${message}.`));
    this.#finish(why);
  }

  #timeOut(): void {
    const message = `Step \`${this.handler.step.slug}\` timed out after ${this.task.timeout} s.`;
    this.#abort(new PgFlowError('TIMEOUT', message));
    this.#finish({ outcome: 'failed', error: message, retryDelay: null });
  }

  /** What comes first counts. */
  #finish(end: AttemptEnd | Unsettled): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#report?.end();
    this.#end?.(end);
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#abortReason) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  #abort(reason: PgFlowError): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }

  async #callHandler(input: unknown, deps: Readonly<Record<string, unknown>>): Promise<void> {
    try {
      const value = await this.handler.step.handler(new TaskContext(this, input, deps));
      if (this.#commit) await this.#commit;
      this.#finish(
        this.#commit ? 'committed' : { outcome: 'completed', output: toStorableJson(value, 'output') },
      );
    } catch (thrown) {
      // What a handler throws after its commit can't undo it.
      if (await this.#isCommitted()) this.#finish('committed');
      else this.#finish({ outcome: 'failed', error: errorText(thrown), retryDelay: retryDelayOf(thrown) });
    }
  }

  say(something: (report: TaskReport) => void): void {
    if (this.#isOver) return;
    this.#report ??= new TaskReport();
    something(this.#report);
    this.#listener.add(this);
  }

  commit(fn: (tx: TransactionClient) => unknown): Promise<any> {
    if (this.#commit) {
      const message = `Step \`${this.handler.step.slug}\` called commit again after a commit. Do all in one transaction.`;
      return Promise.reject(new PgFlowError('INVALID_INPUT', message));
    }
    if (this.#abortReason) return Promise.reject(this.#abortReason);
    const commit = this.#commitTask(this, fn);
    this.#commit = commit;
    commit.catch(() => {
      this.#commit = undefined; // rolled back: the handler may try once more, or fail
    });
    return commit;
  }

  async #isCommitted(): Promise<boolean> {
    if (!this.#commit) return false;
    return this.#commit.then(
      () => true,
      () => false,
    );
  }
}

/** What the handler chose by what it threw: seconds, -1 for never, null for the backoff. */
function retryDelayOf(thrown: unknown): number | null {
  try {
    if (thrown instanceof NonRetryableError) return NEVER;
    if (thrown instanceof RetryAfterError) return thrown.seconds;
    if (thrown instanceof PgFlowError && thrown.code === 'NOT_STORABLE') return NEVER;
  } catch {
    // A proxy whose traps throw is an error like any other.
  }
  return null;
}
