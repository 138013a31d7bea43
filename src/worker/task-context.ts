import type { HandlerContext, TransactionClient } from '../flow/flow.js';
import type { ClaimedTask } from '../postgres/task-store.js';
import type { TaskReport } from './task-report.js';

/** The attempt that a context is of, which does what its handler asks for. */
export interface Attempt {
  readonly task: ClaimedTask;
  readonly handler: {
    readonly flow: { readonly slug: string };
    readonly step: { readonly slug: string; readonly kind: 'single' | 'map' };
  };
  readonly signal: AbortSignal;
  commit(fn: (tx: TransactionClient) => unknown): Promise<any>;
  say(something: (report: TaskReport) => void): void;
}

/** What a handler is called with. */
export class TaskContext implements HandlerContext {
  readonly input: unknown;
  readonly deps: Readonly<Record<string, unknown>>;
  readonly item: unknown;
  readonly index: number;
  readonly runId: string;
  readonly flowSlug: string;
  readonly stepSlug: string;
  readonly attempt: number;
  declare readonly signal: AbortSignal;
  readonly idempotencyKey: string;
  readonly commit: HandlerContext['commit'];
  readonly progress: HandlerContext['progress'];
  readonly log: HandlerContext['log'];
  readonly #attempt: Attempt;

  /**
   * Made when it is asked for: most handlers never do. A property of its own, so that a copy has it; the same getter for
   * all, since V8 makes a slow object of each that has a getter of its own.
   */
  static readonly #signal: PropertyDescriptor & ThisType<TaskContext> = {
    enumerable: true,
    get() {
      return this.#attempt.signal;
    },
  };

  constructor(attempt: Attempt, input: unknown, deps: Readonly<Record<string, unknown>>) {
    const { task, handler } = attempt;
    const { slug, kind } = handler.step;
    this.#attempt = attempt;
    this.input = input;
    this.deps = deps;
    this.item = kind === 'map' ? task.item : undefined;
    this.index = task.taskIndex;
    this.runId = task.runId;
    this.flowSlug = handler.flow.slug;
    this.stepSlug = slug;
    this.attempt = task.attempt;
    Object.defineProperty(this, 'signal', TaskContext.#signal);
    this.idempotencyKey = `${task.rootRunId}:${slug}:${task.taskIndex}`;
    this.commit = (fn) => attempt.commit(fn);
    this.progress = (fraction, note) => attempt.say((report) => report.progress(fraction, note));
    this.log = (message, fields) => attempt.say((report) => report.log(message, fields));
  }
}
