import type { StandardSchemaV1 } from '@standard-schema/spec';
import { defineStep } from './define-step.js';
import type { AnyFlow, HandlerContext, Shaped, StepContext, StepDefinition, StepOptions } from './flow.js';
import type { Jsonify } from './jsonify.js';
import {
  ATTEMPT_OPTIONS,
  type AttemptOptions,
  checkOptions,
  DEFAULT_OPTIONS,
  stepOptions,
} from './options.js';
import { quoted } from './quoted.js';
import { checkSchema } from './schema.js';
import { checkSlug } from './slug.js';

export interface FlowOptions<Slug extends string = string, Schema = StandardSchemaV1 | undefined>
  extends AttemptOptions {
  /** 1 to 128 letters, digits and underscores, not beginning with a digit; not `run`. */
  readonly slug: Slug;
  /** A Standard Schema (zod, valibot, arktype, …) that the input of a run must meet. What it returns is stored. */
  readonly input?: Schema;
}

/**
 * Begins the definition of a flow: a graph of steps that each run when all that they depend on has ended.
 *
 * `.step()` and `.map()` return a new flow and leave the one they were called on as it was, so a definition
 * can be shared and extended. A step can only name steps that are there before it, so a cycle cannot be written.
 * Nothing runs and nothing is stored until the flow is registered with `createPgFlow`.
 *
 * Handlers get the run's `input` (what the schema returned, as JSON) and, in `deps`, the outputs of exactly the
 * steps in their `dependsOn`. What they return is awaited and stored as JSON; `undefined` is stored as null.
 *
 * Options, for all steps unless a step says otherwise: `maxAttempts` 3, `baseDelay` 1 s, `timeout` 60 s.
 * Without a schema the input's type may be given: `defineFlow<{ orderId: string }>({ slug: 'process_order' })`.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`, from the call that adds what is wrong.
 * @example
 * const processOrder = defineFlow({ slug: 'process_order', input: z.object({ orderId: z.string() }) })
 *   .step('validate', async ({ input }) => load(input.orderId))
 *   .step('charge', { dependsOn: ['validate'], maxAttempts: 5 }, async ({ deps, signal }) => charge(deps.validate, signal))
 *   .map('notify', { over: 'validate' }, async ({ item, index }) => send(item, index));
 */
export function defineFlow<
  Input = any,
  const Slug extends string = string,
  Schema extends StandardSchemaV1<any, any> = StandardSchemaV1<Input, Input>,
>(
  options: FlowOptions<Slug, Schema>,
): Flow<
  {
    slug: Slug;
    input: Jsonify<StandardSchemaV1.InferOutput<Schema>>;
    startInput: StandardSchemaV1.InferInput<Schema>;
  },
  [outputs: {}, leaf: never]
> {
  const owner = `flow ${quoted((options as FlowOptions | undefined)?.slug)}`;
  checkOptions(owner, options, ['slug', 'input', ...ATTEMPT_OPTIONS]);
  const { slug, input } = options as FlowOptions;
  checkSlug(slug, 'flow');
  checkSchema(owner, input);
  const flow: unknown = new FlowBuilder(slug, input, [], stepOptions(options, DEFAULT_OPTIONS));
  return flow as Flow<any, [{}, never]>;
}

/** What a flow keeps in its type from `defineFlow` on. */
export interface FlowBase {
  readonly slug: string;
  readonly input: unknown;
  readonly startInput: unknown;
}

/** What a flow knows of its steps: what each puts out, and which of them no other depends on. */
export type FlowSteps = [outputs: object, leaf: string];

/**
 * A flow and its builder: immutable, and usable after every call. `Flow` without arguments is one whose steps
 * the compiler does not know, for flows that are built in a loop.
 */
export interface Flow<in out Base extends FlowBase = any, in out Steps extends FlowSteps = any>
  extends AnyFlow,
    Shaped<{
      input: Base['input'];
      startInput: Base['startInput'];
      outputs: Steps[0];
      output: string extends Steps[1] ? any : { [Slug in Steps[1]]: Steps[0][Slug & keyof Steps[0]] };
    }> {
  readonly kind: 'flow';
  readonly slug: Base['slug'];

  /** Adds a step of one task that depends on nothing. */
  step<const Slug extends string, Result>(
    slug: NewSlug<Slug, Steps[0]>,
    handler: (context: StepContext<Base['input'], {}>) => Result,
  ): Flow<Base, [outputs: Steps[0] & { [S in Slug]: Jsonify<Awaited<Result>> }, leaf: Steps[1] | Slug]>;

  /** Adds a step of one task. It runs when all steps in `dependsOn` have ended; a slug named twice there counts once. */
  step<const Slug extends string, Result, const Dep extends SlugOf<Steps[0]> = never>(
    slug: NewSlug<Slug, Steps[0]>,
    options: SingleOptions<Dep>,
    handler: (context: StepContext<Base['input'], DepsOf<Steps[0], Dep>>) => Result,
  ): Flow<
    Base,
    [outputs: Steps[0] & { [S in Slug]: Jsonify<Awaited<Result>> }, leaf: Exclude<Steps[1], Dep> | Slug]
  >;

  /** Adds a step with one task for each element of the run's input, which must be an array. */
  map<const Slug extends string, Result>(
    slug: NewSlug<Slug, Steps[0]>,
    handler: IfArray<
      Base['input'],
      (context: HandlerContext<Base['input'], {}, ElementOf<Base['input']>>) => Result,
      'The input of this flow is no array: name the step to run over in `over`'
    >,
  ): Flow<Base, [outputs: Steps[0] & { [S in Slug]: Jsonify<Awaited<Result>>[] }, leaf: Steps[1] | Slug]>;

  /**
   * Adds a step with one task for each element of an array: the output of the step named in `over`, else the
   * run's input. It waits for that step and for all in `dependsOn`. Its output is the array of results, by index.
   */
  map<
    const Slug extends string,
    Result,
    const Dep extends SlugOf<Steps[0]> = never,
    const Over extends ArraySlugOf<Steps[0]> = never,
  >(
    slug: NewSlug<Slug, Steps[0]>,
    options: SingleOptions<Dep> & IfArray<Base['input'], { readonly over?: Over }, { readonly over: Over }>,
    handler: (
      context: HandlerContext<
        Base['input'],
        DepsOf<Steps[0], Dep>,
        ElementOf<[Over] extends [never] ? Base['input'] : Steps[0][Over & keyof Steps[0]]>
      >,
    ) => Result,
  ): Flow<
    Base,
    [
      outputs: Steps[0] & { [S in Slug]: Jsonify<Awaited<Result>>[] },
      leaf: Exclude<Steps[1], Dep | Over> | Slug,
    ]
  >;
}

export interface SingleOptions<Dep extends string = string> extends Partial<StepOptions> {
  /** The steps that must end first; their outputs are the handler's `deps`. */
  readonly dependsOn?: readonly Dep[];
}

type SlugOf<Outputs> = Extract<keyof Outputs, string>;

/** The slugs of the steps whose output is an array. */
type ArraySlugOf<Outputs> = string extends keyof Outputs
  ? string
  : Extract<{ [Slug in keyof Outputs]: IfArray<Outputs[Slug], Slug, never> }[keyof Outputs], string>;

type NewSlug<Slug extends string, Outputs> = string extends keyof Outputs
  ? Slug
  : Slug extends keyof Outputs
    ? `There is a step ${Slug} already`
    : Slug;

type DepsOf<Outputs, Dep extends keyof Outputs> = string extends keyof Outputs
  ? any
  : { readonly [Slug in Dep]: Outputs[Slug] };

type IfArray<T, Yes, No> = 0 extends 1 & T ? Yes : [T] extends [readonly unknown[]] ? Yes : No;

type ElementOf<T> = 0 extends 1 & T ? any : T extends readonly (infer Element)[] ? Element : never;

class FlowBuilder implements AnyFlow {
  readonly kind = 'flow';
  readonly slug: string;
  readonly input: StandardSchemaV1 | undefined;
  readonly steps: readonly StepDefinition[];
  readonly #defaults: StepOptions;

  constructor(
    slug: string,
    input: StandardSchemaV1 | undefined,
    steps: readonly StepDefinition[],
    defaults: StepOptions,
  ) {
    this.slug = slug;
    this.input = input;
    this.steps = Object.freeze(steps);
    this.#defaults = defaults;
    Object.freeze(this);
  }

  step(slug: string, ...optionsAndHandler: unknown[]): FlowBuilder {
    return this.#with(defineStep(this, this.#defaults, 'single', slug, optionsAndHandler));
  }

  map(slug: string, ...optionsAndHandler: unknown[]): FlowBuilder {
    return this.#with(defineStep(this, this.#defaults, 'map', slug, optionsAndHandler));
  }

  #with(step: StepDefinition): FlowBuilder {
    return new FlowBuilder(this.slug, this.input, [...this.steps, step], this.#defaults);
  }
}
