import type { StandardSchemaV1 } from '@standard-schema/spec';

/** How a step is executed. All set: a step's own option, else its flow's, else the default. */
export interface StepOptions {
  /** Executions at most, 1 or more. Default 3. */
  readonly maxAttempts: number;
  /** After attempt n fails, the next comes `baseDelay · 2ⁿ` seconds later, at most an hour. 0 to 3,153,600,000 (100 years). Default 1. */
  readonly baseDelay: number;
  /** Seconds that one attempt may take, more than 0, at most 2,147,483 (24 days). Default 60. */
  readonly timeout: number;
  /** Seconds between a step being ready and its first attempt, 0 to 3,153,600,000 (100 years). Default 0. */
  readonly startDelay: number;
}

/** What follows for a step, and with it for its run: it fails; or it is skipped; or so are all that come after, too. */
export type Consequence = 'fail' | 'skip' | 'skip-cascade';

/**
 * Whether a step runs, and what follows when it does not or its attempts are used up. Frozen.
 *
 * A pattern is JSON that a value contains or not, by the rules of `jsonb`'s `@>`: an object its keys and values, at any
 * depth, an array its elements, in any order. The value is the run's input for a step that waits for nothing, else
 * `{ slug: output }` of the steps that it waits for; those that were skipped are missing there.
 */
export interface StepConditions {
  /** The value must contain this; undefined: no condition. null is a pattern. */
  readonly if: unknown;
  /** The value must not contain this; undefined: no condition. */
  readonly ifNot: unknown;
  /** What follows when the value does not meet both. Default `skip`. */
  readonly whenUnmet: Consequence;
  /** What follows when a task has failed for good. Default `fail`. */
  readonly whenExhausted: Consequence;
}

/** What the engine knows of a step. Frozen. */
export interface StepDefinition {
  readonly slug: string;
  /** Its place in the flow, from 0. A step comes after all that it depends on. */
  readonly index: number;
  readonly kind: 'single' | 'map';
  /** The steps whose outputs its handler gets as `deps`, as given, each once. All that it waits for: `parentsOf`. */
  readonly dependsOn: readonly string[];
  /** The step whose output a map runs over; null: the run's input. Always null for a single step. */
  readonly over: string | null;
  readonly options: StepOptions;
  readonly conditions: StepConditions;
  readonly handler: (context: HandlerContext) => unknown;
}

/** A connection in a transaction, as the driver gives it: a `pg.PoolClient`, or a PGlite `Transaction`. */
export interface TransactionClient {
  query<Row = any>(text: string, values?: any[]): Promise<{ rows: Row[] }>;
}

/** What the handler of a single step is called with. */
export interface StepContext<Input = any, Deps = any> {
  /** The run's input as it is stored: what the schema returned, as JSON. */
  readonly input: Input;
  /** The outputs of the steps in `dependsOn`, by slug, as JSON. The key of one that was skipped is missing. */
  readonly deps: Deps;
  readonly runId: string;
  readonly flowSlug: string;
  readonly stepSlug: string;
  /** Which execution of this task it is, from 1. */
  readonly attempt: number;
  /** Aborts when the attempt times out, its claim is lost, the run ends or the worker stops. */
  readonly signal: AbortSignal;
  /** `rootRunId:step:index`: the same in every attempt of this task and in every retry of its run. */
  readonly idempotencyKey: string;
  /**
   * Your rows and the task's completion in one transaction, both or neither: exactly-once effects in the same database.
   * `fn` gets a connection in a transaction and returns the task's output, which is then complete; what the handler
   * returns or throws afterwards does not count, and a second `commit` is refused. Rolled back, and rejecting, when `fn`
   * throws or the attempt no longer counts. `fn` is not stopped by the step's timeout: end it when `signal` aborts.
   * On the embedded database nothing else runs meanwhile, so `fn` must not wait for anything but its own queries.
   *
   * @example
   * .step('charge', async ({ input, commit }) => commit(async (tx) => {
   *   await tx.query('insert into charges (order_id) values ($1)', [input.orderId]);
   *   return { charged: true };
   * }))
   */
  commit<Output>(fn: (tx: TransactionClient) => Output | Promise<Output>): Promise<Output>;
  /**
   * Says how far this task is, from 0 to 1, and if you like what it is at. Every watcher of the run sees the last word as
   * `progress` of the step, and so does who reads the run later. Returns at once, never fails for the database, and may be
   * called as often as you like: a worker tells all that its tasks say in at most four statements a second. A note has
   * at most 1,000 characters. Once the attempt has ended it does nothing.
   *
   * @throws {PgFlowError} `INVALID_INPUT` when `fraction` is no number from 0 to 1, or `note` no text.
   * @example
   * for (const [done, page] of pages.entries()) {
   *   progress(done / pages.length, `page ${page.number}`);
   *   await scan(page, signal);
   * }
   */
  progress(fraction: number, note?: string): void;
  /**
   * Keeps a line, with fields as JSON, for `pgflow.getLogs(runId)` and who watches `task_logged`. Returns at once and never
   * fails for the database; stored within a quarter of a second, at the latest before the attempt's end is. An attempt
   * keeps 1,000 entries, then one that counts the others; an entry has 4,000 characters of text and as many of fields.
   * What is longer is cut or left out, and what JSON cannot hold is replaced by why it can't. Once the attempt has ended
   * it does nothing.
   *
   * @throws {PgFlowError} `INVALID_INPUT` when `message` is no text, or `fields` no object.
   * @example
   * log('card charged', { amount: 42, receipt });
   */
  log(message: string, fields?: Readonly<Record<string, any>>): void;
}

/** What the handler of a map is called with, once for each element. The engine calls every handler with one. */
export interface HandlerContext<Input = any, Deps = any, Item = any> extends StepContext<Input, Deps> {
  /** The element that this task is for. */
  readonly item: Item;
  /** Its place in the array, from 0. */
  readonly index: number;
}

/** A flow or a job of any shape, as the engine sees it. */
export interface AnyFlow {
  readonly kind: 'flow' | 'job';
  readonly slug: string;
  readonly input: StandardSchemaV1 | undefined;
  readonly steps: readonly StepDefinition[];
}

/** The steps that a step waits for: those in `dependsOn`, and the one that a map runs over. */
export function parentsOf(step: Pick<StepDefinition, 'dependsOn' | 'over'>): readonly string[] {
  if (step.over === null || step.dependsOn.includes(step.over)) return step.dependsOn;
  return [...step.dependsOn, step.over];
}

/** Whether a step waits for none. */
export function isRoot(step: Pick<StepDefinition, 'dependsOn' | 'over'>): boolean {
  return parentsOf(step).length === 0;
}

/** What the compiler knows of a flow and nothing at run time does. */
export interface FlowShape {
  /** What a run stores. */
  readonly input: unknown;
  /** What one may pass to start a run. */
  readonly startInput: unknown;
  /** By step. */
  readonly outputs: object;
  readonly output: unknown;
}

declare const shape: unique symbol;

/** Carries a definition's shape in its type. */
export interface Shaped<S extends FlowShape> {
  readonly [shape]: S;
}

type ShapeOf<F> = 0 extends 1 & F ? any : F extends Shaped<infer S> ? S : any;

/** The slug of a flow, as a literal where the definition has one. */
export type FlowSlug<F extends AnyFlow> = F['slug'];

/** What a run of this flow stores as its input and its handlers get: what the schema returns, as JSON. */
export type FlowInput<F extends AnyFlow> = ShapeOf<F>['input'];

/** What a run of this flow is started with: what the schema takes. */
export type FlowStartInput<F extends AnyFlow> = ShapeOf<F>['startInput'];

/**
 * The output of a run: of a flow `{ leafSlug: output }`, where a leaf that may be skipped is optional; of a job its
 * handler's result. As JSON.
 */
export type FlowOutput<F extends AnyFlow> = ShapeOf<F>['output'];

/** The slugs of a flow's steps. */
export type FlowStepSlug<F extends AnyFlow> = Extract<keyof ShapeOf<F>['outputs'], string>;

/** The output of one step: its handler's result as JSON, of a map the array of them. */
export type StepOutput<F extends AnyFlow, Slug extends string> = Slug extends keyof ShapeOf<F>['outputs']
  ? ShapeOf<F>['outputs'][Slug]
  : never;
