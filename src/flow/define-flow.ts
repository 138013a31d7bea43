import type { StandardSchemaV1 } from '@standard-schema/spec';
import { defineStep } from './define-step.js';
import type {
  AnyFlow,
  Consequence,
  HandlerContext,
  Shaped,
  StepContext,
  StepDefinition,
  StepOptions,
} from './flow.js';
import type {
  Added,
  ArraySlugOf,
  DepsOf,
  ElementOf,
  FlowSteps,
  IfArray,
  NewSlug,
  NoSteps,
  PatternOf,
  RunOutputOf,
  SkipOf,
  SlugOf,
} from './graph.js';
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

/** What a flow is called and takes, and how its steps are executed that do not say otherwise. */
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
 * Of a step: `if` and `ifNot`, what the run's input (of a step that waits for others, their outputs by slug) must
 * contain or must not; `whenUnmet` and `whenExhausted`, whether the step then fails or is skipped. In `deps` and in the
 * run's output, a step that may have been skipped is an optional key.
 *
 * Without a schema the input's type may be given: `defineFlow<{ orderId: string }>({ slug: 'process_order' })`.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`, from the call that adds what is wrong.
 * @example
 * const processOrder = defineFlow({ slug: 'process_order', input: z.object({ orderId: z.string() }) })
 *   .step('validate', async ({ input }) => load(input.orderId))
 *   .step('charge', { dependsOn: ['validate'], maxAttempts: 5 }, async ({ deps, signal }) => charge(deps.validate, signal))
 *   .map('notify', { over: 'validate' }, async ({ item, index }) => send(item, index))
 *   .step('refund', { dependsOn: ['charge'], if: { charge: { disputed: true } } }, async ({ deps }) => refund(deps.charge));
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
  NoSteps
> {
  const owner = `flow ${quoted((options as FlowOptions | undefined)?.slug)}`;
  checkOptions(owner, options, ['slug', 'input', ...ATTEMPT_OPTIONS]);
  const { slug, input } = options as FlowOptions;
  checkSlug(slug, 'flow');
  checkSchema(owner, input);
  const flow: unknown = new FlowBuilder(slug, input, [], stepOptions(options, DEFAULT_OPTIONS));
  return flow as Flow<any, NoSteps>;
}

/** What a flow keeps in its type from `defineFlow` on. */
export interface FlowBase {
  readonly slug: string;
  readonly input: unknown;
  readonly startInput: unknown;
}

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
      output: RunOutputOf<Steps>;
    }> {
  readonly kind: 'flow';
  readonly slug: Base['slug'];

  /** Adds a step of one task that depends on nothing. */
  step<const Slug extends string, Result>(
    slug: NewSlug<Slug, Steps>,
    handler: (context: StepContext<Base['input'], {}>) => Result,
  ): Flow<Base, Added<Steps, Slug, Jsonify<Awaited<Result>>>['steps']>;

  /** Adds a step of one task. It runs when all steps in `dependsOn` have ended; a slug named twice there counts once. */
  step<
    const Slug extends string,
    Result,
    const Dep extends SlugOf<Steps> = never,
    Name extends keyof SingleOptions = never,
    Unmet extends Consequence = 'skip',
    Exhausted extends Consequence = 'fail',
  >(
    slug: NewSlug<Slug, Steps>,
    options: SingleOptions<Dep, PatternOf<Base['input'], Steps[0], NoInfer<Dep>>, Unmet, Exhausted> &
      Named<Name>,
    handler: (context: StepContext<Base['input'], DepsOf<Steps[0], Dep, Steps[2]>>) => Result,
  ): Flow<Base, Added<Steps, Slug, Jsonify<Awaited<Result>>, Dep, SkipOf<Name, Unmet, Exhausted>>['steps']>;

  /** Adds a step with one task for each element of the run's input, which must be an array. */
  map<const Slug extends string, Result>(
    slug: NewSlug<Slug, Steps>,
    handler: IfArray<
      Base['input'],
      (context: HandlerContext<Base['input'], {}, ElementOf<Base['input']>>) => Result,
      'The input of this flow is no array: name the step to run over in `over`'
    >,
  ): Flow<Base, Added<Steps, Slug, Jsonify<Awaited<Result>>[]>['steps']>;

  /**
   * Adds a step with one task for each element of an array: the output of the step named in `over`, else the
   * run's input. It waits for that step and for all in `dependsOn`. Its output is the array of results, by index.
   * Over a step that was skipped there are no elements, and its output is `[]`.
   */
  map<
    const Slug extends string,
    Result,
    const Dep extends SlugOf<Steps> = never,
    const Over extends ArraySlugOf<Steps> = never,
    Name extends keyof MapOptions = never,
    Unmet extends Consequence = 'skip',
    Exhausted extends Consequence = 'fail',
  >(
    slug: NewSlug<Slug, Steps>,
    options: SingleOptions<Dep, PatternOf<Base['input'], Steps[0], NoInfer<Dep | Over>>, Unmet, Exhausted> &
      IfArray<Base['input'], { readonly over?: Over }, { readonly over: Over }> &
      Named<Name>,
    handler: (
      context: HandlerContext<
        Base['input'],
        DepsOf<Steps[0], Dep, Steps[2]>,
        ElementOf<[Over] extends [never] ? Base['input'] : Steps[0][Over & keyof Steps[0]]>
      >,
    ) => Result,
  ): Flow<
    Base,
    Added<Steps, Slug, Jsonify<Awaited<Result>>[], Dep | Over, SkipOf<Name, Unmet, Exhausted>>['steps']
  >;
}

export interface SingleOptions<
  Dep extends string = string,
  Condition = unknown,
  Unmet extends Consequence = Consequence,
  Exhausted extends Consequence = Consequence,
> extends Partial<StepOptions> {
  /** The steps that must end first; their outputs are the handler's `deps`. */
  readonly dependsOn?: readonly Dep[];
  /**
   * Run the step only if this is contained, by the rules of `jsonb`, in the run's input; of a step that waits for
   * others, in `{ slug: output }` of those. JSON.
   */
  readonly if?: Condition;
  /** Run the step only if this is not contained there. JSON. */
  readonly ifNot?: Condition;
  /**
   * What follows when `if` or `ifNot` is not met. `skip` (default): what depends on the step runs without its
   * output. `skip-cascade`: all that comes after is skipped too. `fail`: the step and its run fail.
   */
  readonly whenUnmet?: Unmet;
  /** What follows when a task has no attempt left. `fail` (default), `skip`, `skip-cascade`: as in `whenUnmet`. */
  readonly whenExhausted?: Exhausted;
}

interface MapOptions extends SingleOptions {
  readonly over?: string;
}

/** Finds out the names of the options that were given. */
type Named<Name extends string> = { readonly [N in Name]?: unknown };

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
