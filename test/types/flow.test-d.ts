import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineFlow, type Flow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type {
  AnyFlow,
  FlowInput,
  FlowOutput,
  FlowSlug,
  FlowStartInput,
  FlowStepSlug,
  StepOutput,
} from '../../src/flow/flow.js';

interface Line {
  sku: string;
  price: number;
}

const processOrder = defineFlow({
  slug: 'process_order',
  input: z.object({
    orderId: z.string(),
    express: z.boolean().default(false),
    at: z.coerce.date().optional(),
  }),
  maxAttempts: 3,
})
  .step('validate', async ({ input }): Promise<Line[]> => [{ sku: input.orderId, price: 1 }])
  .step('charge', { dependsOn: ['validate'], maxAttempts: 5, startDelay: 0 }, async ({ deps }) => ({
    total: deps.validate.length,
    at: new Date(),
    note: undefined as string | undefined,
  }))
  .map('notify', { over: 'validate' }, async ({ item, index }) => `${index}: ${item.sku}`);

type ProcessOrder = typeof processOrder;

test('the slugs of a flow and of its steps are literals', () => {
  expectTypeOf<FlowSlug<ProcessOrder>>().toEqualTypeOf<'process_order'>();
  expectTypeOf(processOrder.slug).toEqualTypeOf<'process_order'>();
  expectTypeOf<FlowStepSlug<ProcessOrder>>().toEqualTypeOf<'validate' | 'charge' | 'notify'>();
});

test('the input is what the schema returns, as JSON; a start takes what the schema takes', () => {
  expectTypeOf<FlowInput<ProcessOrder>>().toEqualTypeOf<{ orderId: string; express: boolean; at?: string }>();
  expectTypeOf<FlowStartInput<ProcessOrder>>().toEqualTypeOf<{
    orderId: string;
    express?: boolean;
    at?: unknown;
  }>();
});

test('outputs are what JSON makes of what handlers return', () => {
  expectTypeOf<StepOutput<ProcessOrder, 'validate'>>().toEqualTypeOf<Line[]>();
  expectTypeOf<StepOutput<ProcessOrder, 'charge'>>().toEqualTypeOf<{
    total: number;
    at: string;
    note?: string;
  }>();
  expectTypeOf<StepOutput<ProcessOrder, 'notify'>>().toEqualTypeOf<string[]>();
  expectTypeOf<StepOutput<ProcessOrder, 'nope'>>().toEqualTypeOf<never>();
  const flow = defineFlow({ slug: 'f' })
    .step('nothing', () => {})
    .step('later', async () => Promise.resolve(new Set([1])))
    .step('throws', () => {
      throw new Error('always');
    });
  expectTypeOf<FlowOutput<typeof flow>>().toEqualTypeOf<{ nothing: null; later: {}; throws: never }>();
});

test('the output of a run has the leaf steps only', () => {
  expectTypeOf<FlowOutput<ProcessOrder>>().toEqualTypeOf<{
    charge: { total: number; at: string; note?: string };
    notify: string[];
  }>();
  const diamond = defineFlow({ slug: 'd' })
    .step('a', () => [1])
    .step('b', { dependsOn: ['a'] }, () => 'b')
    .map('c', { over: 'a', dependsOn: ['b'] }, () => true);
  expectTypeOf<FlowOutput<typeof diamond>>().toEqualTypeOf<{ c: boolean[] }>();
  const end = diamond.step('d', { dependsOn: ['a', 'b', 'c'] }, () => 1 as const);
  expectTypeOf<FlowOutput<typeof end>>().toEqualTypeOf<{ d: 1 }>();
  const empty = defineFlow({ slug: 'e' });
  expectTypeOf<FlowOutput<typeof empty>>().toEqualTypeOf<{}>();
  expectTypeOf<FlowStepSlug<typeof empty>>().toEqualTypeOf<never>();
});

test('the context of a single step', () => {
  processOrder.step('ship', { dependsOn: ['charge', 'notify'] }, (context) => {
    expectTypeOf(context.input).toEqualTypeOf<{ orderId: string; express: boolean; at?: string }>();
    expectTypeOf(context.deps).toEqualTypeOf<{
      readonly charge: { total: number; at: string; note?: string };
      readonly notify: string[];
    }>();
    expectTypeOf(context.runId).toEqualTypeOf<string>();
    expectTypeOf(context.flowSlug).toEqualTypeOf<string>();
    expectTypeOf(context.stepSlug).toEqualTypeOf<string>();
    expectTypeOf(context.attempt).toEqualTypeOf<number>();
    expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
    expectTypeOf(context.idempotencyKey).toEqualTypeOf<string>();
    expectTypeOf(context).not.toHaveProperty('item');
    expectTypeOf(context).not.toHaveProperty('index');
    // @ts-expect-error `validate` is not in dependsOn
    context.deps.validate;
    // @ts-expect-error a Date is a string
    context.deps.charge.at.getTime();
    // @ts-expect-error the input has no such field
    context.input.customer;
  });
  processOrder.step('free', ({ deps }) => {
    expectTypeOf(deps).toEqualTypeOf<{}>();
    // @ts-expect-error nothing is in dependsOn
    deps.validate;
  });
});

test('the context of a map', () => {
  processOrder.map('label', { over: 'validate', dependsOn: ['charge'] }, (context) => {
    expectTypeOf(context.item).toEqualTypeOf<Line>();
    expectTypeOf(context.index).toEqualTypeOf<number>();
    expectTypeOf(context.deps.charge.total).toEqualTypeOf<number>();
    // @ts-expect-error what it runs over is not in deps unless dependsOn names it
    context.deps.validate;
  });
  processOrder.map('both', { over: 'notify', dependsOn: ['notify'] }, ({ item, deps }) => {
    expectTypeOf(item).toEqualTypeOf<string>();
    expectTypeOf(deps.notify).toEqualTypeOf<string[]>();
  });
});

test('a map over the input of the run', () => {
  const flow = defineFlow({ slug: 'f', input: z.array(z.object({ at: z.date() })) })
    .map('each', ({ item, input, index }) => {
      expectTypeOf(item).toEqualTypeOf<{ at: string }>();
      expectTypeOf(input).toEqualTypeOf<{ at: string }[]>();
      return index;
    })
    .map('again', { maxAttempts: 1 }, ({ item }) => item.at);
  expectTypeOf<FlowOutput<typeof flow>>().toEqualTypeOf<{ each: number[]; again: string[] }>();
  defineFlow({ slug: 'tuple', input: z.tuple([z.string(), z.number()]) }).map('each', ({ item }) => {
    expectTypeOf(item).toEqualTypeOf<string | number>();
  });
});

test('a map needs an array', () => {
  // @ts-expect-error the input is an object
  processOrder.map('each', () => 1);
  // @ts-expect-error the input is an object, so `over` is required
  processOrder.map('each', {}, () => 1);
  // @ts-expect-error the output of `charge` is an object
  processOrder.map('each', { over: 'charge' }, () => 1);
  // @ts-expect-error it may be no array
  processOrder.step('maybe', () => [1] as number[] | null).map('each', { over: 'maybe' }, () => 1);
  // @ts-expect-error nobody knows what it is
  processOrder.step('some', () => [1] as unknown).map('each', { over: 'some' }, () => 1);
  // @ts-expect-error one source
  processOrder.map('each', { over: ['validate', 'notify'] }, () => 1);
  // @ts-expect-error there is no such step
  processOrder.map('each', { over: 'nope' }, () => 1);
  processOrder
    .step('untyped', () => [1] as any)
    .map('each', { over: 'untyped' }, ({ item }) => {
      expectTypeOf(item).toBeAny();
    });
});

test('a dependency has to be there before', () => {
  // @ts-expect-error there is no such step
  processOrder.step('ship', { dependsOn: ['nope'] }, () => 1);
  // @ts-expect-error one of them is not there
  processOrder.step('ship', { dependsOn: ['charge', 'nope'] }, () => 1);
  // @ts-expect-error itself
  processOrder.step('ship', { dependsOn: ['ship'] }, () => 1);
  // @ts-expect-error there is no such step
  processOrder.map('ship', { over: 'validate', dependsOn: ['nope'] }, () => 1);
  // @ts-expect-error no steps yet
  defineFlow({ slug: 'f' }).step('a', { dependsOn: ['b'] }, () => 1);
});

test('a slug is there once', () => {
  // @ts-expect-error there is a step of that name
  processOrder.step('charge', () => 1);
  // @ts-expect-error there is a step of that name
  processOrder.map('charge', { over: 'validate' }, () => 1);
});

test('wrong options do not compile', () => {
  // @ts-expect-error no such option
  processOrder.step('ship', { retries: 3 }, () => 1);
  // @ts-expect-error only a map runs over something
  processOrder.step('ship', { over: 'validate' }, () => 1);
  // @ts-expect-error a number
  processOrder.step('ship', { maxAttempts: '3' }, () => 1);
  // @ts-expect-error no such option
  defineFlow({ slug: 'f', retries: 3 });
  // @ts-expect-error no slug
  defineFlow({});
  // @ts-expect-error no schema
  defineFlow({ slug: 'f', input: {} });
  // @ts-expect-error no handler
  processOrder.step('ship', { dependsOn: ['charge'] });
  // @ts-expect-error no handler
  defineJob({ slug: 'j' });
});

test('without a schema the input is any', () => {
  const flow = defineFlow({ slug: 'f' }).step('a', ({ input }) => {
    expectTypeOf(input).toBeAny();
    return 1;
  });
  expectTypeOf<FlowInput<typeof flow>>().toBeAny();
  expectTypeOf<FlowStartInput<typeof flow>>().toBeAny();
  flow.map('each', ({ item, input }) => {
    expectTypeOf(item).toBeAny();
    expectTypeOf(input).toBeAny();
  });
  flow.map('each', { dependsOn: ['a'] }, ({ item, deps }) => {
    expectTypeOf(item).toBeAny();
    expectTypeOf(deps.a).toEqualTypeOf<number>();
  });
});

test('without a schema its type may be given', () => {
  const flow = defineFlow<{ orderId: string; at: Date }>({ slug: 'f' }).step('a', ({ input }) => {
    expectTypeOf(input).toEqualTypeOf<{ orderId: string; at: string }>();
    return input.orderId;
  });
  expectTypeOf<FlowInput<typeof flow>>().toEqualTypeOf<{ orderId: string; at: string }>();
  expectTypeOf<FlowStartInput<typeof flow>>().toEqualTypeOf<{ orderId: string; at: Date }>();
  expectTypeOf<FlowOutput<typeof flow>>().toEqualTypeOf<{ a: string }>();
  defineFlow<string[]>({ slug: 'f' }).map('each', ({ item }) => {
    expectTypeOf(item).toEqualTypeOf<string>();
  });
  // @ts-expect-error the schema is of another type
  defineFlow<{ orderId: string }>({ slug: 'f', input: z.object({ orderId: z.number() }) });
});

test('a schema whose answer is of another type', () => {
  const flow = defineFlow({ slug: 'f', input: z.string().transform((text) => text.split(',')) });
  expectTypeOf<FlowStartInput<typeof flow>>().toEqualTypeOf<string>();
  expectTypeOf<FlowInput<typeof flow>>().toEqualTypeOf<string[]>();
  flow.map('each', ({ item }) => {
    expectTypeOf(item).toEqualTypeOf<string>();
  });
});

test('a job', () => {
  const job = defineJob({ slug: 'send_email', input: z.object({ to: z.string() }) }, async (context) => {
    expectTypeOf(context.input).toEqualTypeOf<{ to: string }>();
    expectTypeOf(context.deps).toEqualTypeOf<{}>();
    expectTypeOf(context).not.toHaveProperty('item');
    return { sent: new Date() };
  });
  type Job = typeof job;
  expectTypeOf<FlowSlug<Job>>().toEqualTypeOf<'send_email'>();
  expectTypeOf<FlowInput<Job>>().toEqualTypeOf<{ to: string }>();
  expectTypeOf<FlowStartInput<Job>>().toEqualTypeOf<{ to: string }>();
  expectTypeOf<FlowOutput<Job>>().toEqualTypeOf<{ sent: string }>();
  expectTypeOf<FlowStepSlug<Job>>().toEqualTypeOf<'send_email'>();
  expectTypeOf<StepOutput<Job, 'send_email'>>().toEqualTypeOf<{ sent: string }>();
  expectTypeOf(job).not.toHaveProperty('step');
});

test('a job without a schema', () => {
  const free = defineJob({ slug: 'j' }, async ({ input }) => {
    expectTypeOf(input).toBeAny();
    return 1;
  });
  expectTypeOf<FlowOutput<typeof free>>().toEqualTypeOf<number>();
  const given = defineJob<{ to: string }>({ slug: 'j' }, ({ input }) => {
    expectTypeOf(input).toEqualTypeOf<{ to: string }>();
    return 1;
  });
  expectTypeOf<FlowStartInput<typeof given>>().toEqualTypeOf<{ to: string }>();
  expectTypeOf<FlowOutput<typeof given>>().toBeAny();
});

test('a flow of any shape has any types', () => {
  expectTypeOf<FlowInput<AnyFlow>>().toBeAny();
  expectTypeOf<FlowOutput<AnyFlow>>().toBeAny();
  expectTypeOf<StepOutput<AnyFlow, 'a'>>().toBeAny();
  expectTypeOf<FlowStepSlug<AnyFlow>>().toEqualTypeOf<string>();
  expectTypeOf<FlowOutput<any>>().toBeAny();
  expectTypeOf<FlowStepSlug<any>>().toEqualTypeOf<string>();
  expectTypeOf<FlowSlug<AnyFlow>>().toEqualTypeOf<string>();
  expectTypeOf<FlowInput<any>>().toBeAny();
  expectTypeOf<FlowStartInput<any>>().toBeAny();
  expectTypeOf<StepOutput<any, 'a'>>().toBeAny();
  expectTypeOf<FlowInput<Flow>>().toBeAny();
  expectTypeOf<FlowOutput<Flow>>().toBeAny();
  expectTypeOf<StepOutput<Flow, 'a'>>().toBeAny();
  expectTypeOf<FlowStepSlug<Flow>>().toEqualTypeOf<string>();
});

test('every flow and job is an AnyFlow, and every flow a Flow', () => {
  const job = defineJob({ slug: 'j' }, () => 1);
  expectTypeOf(processOrder).toExtend<AnyFlow>();
  expectTypeOf(job).toExtend<AnyFlow>();
  expectTypeOf(processOrder).toExtend<Flow>();
  expectTypeOf(job).not.toExtend<Flow>();
});

test('a flow that is built in a loop', () => {
  let flow: Flow = defineFlow({ slug: 'chain' }).step('s0', () => 0);
  for (let n = 1; n < 9; n++) {
    flow = flow
      .step(`s${n}`, { dependsOn: [`s${n - 1}`] }, ({ deps, input }) => {
        expectTypeOf(deps).toBeAny();
        expectTypeOf(input).toBeAny();
      })
      .map(`m${n}`, { over: `s${n}` }, ({ item }) => {
        expectTypeOf(item).toBeAny();
      });
  }
});

test('a function over any flow infers its types', () => {
  function start<F extends AnyFlow>(_flow: F | string, _input: FlowStartInput<F>): FlowOutput<F> {
    return null as FlowOutput<F>;
  }
  expectTypeOf(start(processOrder, { orderId: 'a' }).notify).toEqualTypeOf<string[]>();
  expectTypeOf(start('process_order', 5)).toBeAny();
  // @ts-expect-error wrong input
  start(processOrder, { orderId: 5 });
  // @ts-expect-error a field is missing
  start(processOrder, {});
});

test('a handler says how far it is and logs with fields; neither gives anything back', () => {
  interface Receipt {
    id: string;
  }
  const receipt: Receipt = { id: 'r' };
  defineFlow({ slug: 'says' })
    .step('single', ({ progress, log }) => {
      expectTypeOf(progress(0.5)).toEqualTypeOf<void>();
      expectTypeOf(log('text')).toEqualTypeOf<void>();
      progress(1, 'done');
      log('with fields', { receipt, at: new Date() });
      log('with an interface', receipt);
      // @ts-expect-error a fraction is a number
      progress('0.5');
      // @ts-expect-error a note is a text
      progress(0.5, 1);
      // @ts-expect-error a message is a text
      log({ message: 'x' });
      // @ts-expect-error fields are an object
      log('x', 1);
      return [1];
    })
    .map('map', { over: 'single' }, ({ item, progress }) => progress(item));
});
