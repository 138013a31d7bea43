import fc from 'fast-check';
import { defineFlow, type Flow } from '../../src/flow/define-flow.js';
import type { Consequence, HandlerContext } from '../../src/flow/flow.js';

export interface RandomStep {
  readonly kind: 'single' | 'map';
  /** Places among the steps before it, as fractions. */
  readonly parents: readonly number[];
  /** Of a map: the place of the step it runs over; of a low one: the run's input. */
  readonly over: number;
  /** How many elements its output has. */
  readonly size: number;
  /** How often one of its tasks fails before it succeeds; 3 is for good. */
  readonly failures: number;
  /** Milliseconds that its handler takes at most. */
  readonly slowness: number;
  /** Whether its handler says how far it is, and logs. */
  readonly talks?: boolean;
  /** Whether it has a condition, and whether that asks for a first element or for none. */
  readonly condition: 'none' | 'if' | 'ifNot';
  readonly whenUnmet: Consequence;
  readonly whenExhausted: Consequence;
}

export interface RandomFlow {
  readonly steps: readonly RandomStep[];
  readonly inputSize: number;
}

const consequence = (usual: Consequence, weight: number): fc.Arbitrary<Consequence> =>
  fc.oneof(
    { weight, arbitrary: fc.constant(usual) },
    fc.constantFrom<Consequence[]>('skip', 'skip-cascade', 'fail'),
  );

const fraction = fc.double({ min: 0, max: 0.999, noNaN: true });

/** Flows of any shape: single and map steps, empty maps, conditions, handlers that fail once or for good. */
export const randomFlow: fc.Arbitrary<RandomFlow> = fc.record({
  inputSize: fc.integer({ min: 0, max: 4 }),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom('single' as const, 'map' as const),
      parents: fc.array(fraction, { maxLength: 3 }),
      over: fraction,
      size: fc.integer({ min: 0, max: 4 }),
      failures: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 })),
      slowness: fc.constantFrom(0, 0, 5, 20),
      talks: fc.boolean(),
      condition: fc.constantFrom('none', 'none', 'if', 'ifNot'),
      whenUnmet: consequence('skip', 5),
      whenExhausted: consequence('fail', 1),
    }),
    { minLength: 1, maxLength: 6 },
  ),
});

export const inputOf = ({ inputSize }: RandomFlow) => Array.from({ length: inputSize }, (_, i) => i);

export interface RandomFlowOptions {
  /** Of its steps; a step of 3 failures fails for good all the same. */
  readonly maxAttempts?: number;
  /** Seconds. */
  readonly timeout?: number;
  /** Called for each attempt, around what its handler does. */
  readonly perform?: (context: HandlerContext, work: () => Promise<unknown>) => unknown;
}

/** Makes a flow of it. Its handlers are as slow as `random` says. */
export function buildFlow(
  slug: string,
  { steps }: RandomFlow,
  random: () => number,
  { maxAttempts = 3, timeout = 60, perform = (_, work) => work() }: RandomFlowOptions = {},
): Flow {
  let flow: Flow = defineFlow({ slug, maxAttempts, baseDelay: 0.001, timeout });
  for (const [i, step] of steps.entries()) {
    const name = (place: number) => `s${Math.floor(place * i)}`;
    const dependsOn = i === 0 ? [] : [...new Set(step.parents.map(name))];
    const work = workOf(step, random);
    const handler = (context: HandlerContext) => perform(context, () => work(context));
    const over = step.kind === 'single' || i === 0 || step.over < 0.3 ? undefined : name(step.over);
    const options = { dependsOn, ...conditionsOf(step, over ?? dependsOn[0]) };
    if (step.kind === 'single') flow = flow.step(`s${i}`, options, handler as never);
    else flow = flow.map(`s${i}`, { ...options, over }, handler);
  }
  return flow;
}

/** Of a root: whether the input has a 1; else whether a parent ran and has elements. */
function conditionsOf({ condition, whenUnmet, whenExhausted }: RandomStep, parent: string | undefined) {
  if (condition === 'none') return { whenExhausted };
  const pattern = parent === undefined ? [1] : { [parent]: ['element 0'] };
  return { whenExhausted, whenUnmet, [condition]: pattern };
}

function workOf({ kind, size, failures, slowness, talks }: RandomStep, random: () => number) {
  return async ({ index, item, attempt, progress, log }: HandlerContext) => {
    if (talks) progress(random(), `attempt ${attempt}`);
    if (slowness > 0) await new Promise((resolve) => setTimeout(resolve, random() * slowness));
    if (talks) log(`task ${index}`, { attempt });
    const fails = attempt <= failures || failures === 3;
    if (fails && index === 0) throw new Error(`attempt ${attempt} of task ${index}`);
    return kind === 'map' ? { item, index } : Array.from({ length: size }, (_, i) => `element ${i}`);
  };
}
