import type { StandardSchemaV1 } from '@standard-schema/spec';
import { UNCONDITIONAL } from './conditions.js';
import type { FlowBase, FlowOptions } from './define-flow.js';
import { checkHandler } from './define-step.js';
import type { AnyFlow, Shaped, StepContext, StepDefinition } from './flow.js';
import type { Jsonify } from './jsonify.js';
import { ATTEMPT_OPTIONS, checkOptions, DEFAULT_OPTIONS, stepOptions } from './options.js';
import { quoted } from './quoted.js';
import { checkSchema } from './schema.js';
import { checkSlug } from './slug.js';

/** A flow of one step, which has the job's slug. The output of its runs is what its handler returns. Immutable. */
export interface Job<in out Base extends FlowBase = any, in out Output = any>
  extends AnyFlow,
    Shaped<{
      input: Base['input'];
      startInput: Base['startInput'];
      outputs: { [Slug in Base['slug']]: Output };
      output: Output;
    }> {
  readonly kind: 'job';
  readonly slug: Base['slug'];
}

/**
 * Defines a job: a flow of one step, with the options of a flow (`maxAttempts` 3, `baseDelay` 1 s, `timeout` 60 s).
 *
 * What the handler returns is the run's output, as JSON; `undefined` is stored as null. Without a schema the
 * input's type may be given, `defineJob<{ to: string }>(…)`; the compiler then does not know the output.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`
 * @example
 * const sendEmail = defineJob(
 *   { slug: 'send_email', input: z.object({ to: z.email() }), maxAttempts: 5 },
 *   async ({ input, idempotencyKey }) => mail(input.to, idempotencyKey),
 * );
 */
export function defineJob<
  Input = any,
  const Slug extends string = string,
  Schema extends StandardSchemaV1<any, any> = StandardSchemaV1<Input, Input>,
  Result = any,
>(
  options: FlowOptions<Slug, Schema>,
  handler: (context: StepContext<Jsonify<StandardSchemaV1.InferOutput<Schema>>, {}>) => Result,
): Job<
  {
    slug: Slug;
    input: Jsonify<StandardSchemaV1.InferOutput<Schema>>;
    startInput: StandardSchemaV1.InferInput<Schema>;
  },
  Jsonify<Awaited<Result>>
> {
  const owner = `job ${quoted((options as FlowOptions | undefined)?.slug)}`;
  checkOptions(owner, options, ['slug', 'input', ...ATTEMPT_OPTIONS]);
  const { slug, input } = options as FlowOptions;
  checkSlug(slug, 'job');
  checkSchema(owner, input);
  checkHandler(owner, handler);
  const step: StepDefinition = Object.freeze({
    slug,
    index: 0,
    kind: 'single',
    dependsOn: Object.freeze([]),
    over: null,
    options: stepOptions(options, DEFAULT_OPTIONS),
    conditions: UNCONDITIONAL,
    handler,
  });
  const job: unknown = Object.freeze({ kind: 'job', slug, input, steps: Object.freeze([step]) });
  return job as Job<any, any>;
}
