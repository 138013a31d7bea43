import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type { RunEvent } from '../../src/run/event.js';
import type { Run, StepProgress } from '../../src/run/run.js';

const processOrder = defineFlow({
  slug: 'process_order',
  input: z.object({ orderId: z.string(), at: z.date() }),
})
  .step('validate', async () => ['sku'])
  .step('charge', { dependsOn: ['validate'] }, async () => ({ receipt: 1, at: new Date() }))
  .map('notify', { over: 'validate' }, async ({ item }) => item.length);
const sendEmail = defineJob({ slug: 'send_email' }, async () => ({ sent: true }));

declare const run: Run<typeof processOrder>;
declare const untyped: Run;
declare const job: Run<typeof sendEmail>;

test('a step of a run has the output of that step', () => {
  expectTypeOf(run.step('charge').output).toEqualTypeOf<{ receipt: number; at: string } | null>();
  expectTypeOf(run.step('notify').output).toEqualTypeOf<number[] | null>();
  expectTypeOf(run.step('charge').stepSlug).toEqualTypeOf<'charge'>();
  // @ts-expect-error there is no such step
  run.step('nope');
  // @ts-expect-error it may not have completed
  run.step('charge').output.receipt;
  // @ts-expect-error a Date is a string
  run.step('charge').output?.at.getTime();
});

test('a step of a run has a progress, an event of a log its message and fields', () => {
  expectTypeOf(run.step('charge').progress).toEqualTypeOf<StepProgress | null>();
  expectTypeOf<StepProgress>().toEqualTypeOf<{ readonly fraction: number; readonly note: string | null }>();
  expectTypeOf<RunEvent['message']>().toEqualTypeOf<string | undefined>();
  // @ts-expect-error it may not have said anything
  run.step('charge').progress.fraction;
});

test('a run has the input and output of its flow', () => {
  expectTypeOf(run.input).toEqualTypeOf<{ orderId: string; at: string }>();
  expectTypeOf(run.output).toEqualTypeOf<{
    charge: { receipt: number; at: string };
    notify: number[];
  } | null>();
  // @ts-expect-error not a leaf
  run.output?.validate;
});

test('a run of a job', () => {
  expectTypeOf(job.output).toEqualTypeOf<{ sent: boolean } | null>();
  expectTypeOf(job.step('send_email').output).toEqualTypeOf<{ sent: boolean } | null>();
});

test('an untyped run takes any slug', () => {
  expectTypeOf(untyped.step('whatever').output).toBeAny();
  expectTypeOf(untyped.input).toBeAny();
  expectTypeOf(untyped.output).toBeAny();
});

test('typed and untyped runs stand for each other', () => {
  expectTypeOf(run).toExtend<Run>();
  expectTypeOf(untyped).toExtend<Run<typeof processOrder>>();
  expectTypeOf(run).not.toExtend<Run<typeof sendEmail>>();
});
