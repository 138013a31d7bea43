import type { StandardSchemaV1 } from '@standard-schema/spec';

/** How a step is executed. All set: a step's own option, else its flow's, else the default. */
export interface StepOptions {
  /** Executions at most, 1 or more. Default 3. */
  readonly maxAttempts: number;
  /** After attempt n fails, the next comes `baseDelay · 2ⁿ` seconds later, at most an hour. Default 1. */
  readonly baseDelay: number;
  /** Seconds that one attempt may take, more than 0. Default 60. */
  readonly timeout: number;
  /** Seconds between a step being ready and its first attempt. Default 0. */
  readonly startDelay: number;
}

/** What the engine knows of a step. */
export interface StepDefinition {
  readonly slug: string;
  /** Its place in the flow, from 0. A step comes after all that it depends on. */
  readonly index: number;
  readonly kind: 'single' | 'map';
  readonly dependsOn: readonly string[];
  /** The step whose output a map runs over; null: the run's input. Always null for a single step. */
  readonly over: string | null;
  readonly options: StepOptions;
  readonly handler: (context: HandlerContext) => unknown;
}

/** What a handler is called with. `defineFlow` narrows `input`, `deps` and `item` to the definition's types. */
export interface HandlerContext<Input = any, Deps = any, Item = any> {
  readonly input: Input;
  readonly deps: Deps;
  readonly item: Item;
  readonly index: number;
  readonly runId: string;
  readonly flowSlug: string;
  readonly stepSlug: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly idempotencyKey: string;
}

/** A flow or a job of any shape, as the engine sees it. */
export interface AnyFlow {
  readonly kind: 'flow' | 'job';
  readonly slug: string;
  readonly input: StandardSchemaV1 | undefined;
  readonly steps: readonly StepDefinition[];
}

// Placeholders until the builder's inference is in.
export type FlowInput<_F extends AnyFlow> = any;
export type FlowOutput<_F extends AnyFlow> = any;
export type FlowStepSlug<_F extends AnyFlow> = string;
export type StepOutput<_F extends AnyFlow, _Slug extends string> = any;
