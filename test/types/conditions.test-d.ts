import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineFlow, type Flow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type { FlowOutput, StepOutput } from '../../src/flow/flow.js';
import type { Pattern } from '../../src/flow/pattern.js';
import type { Run } from '../../src/run/run.js';

const checkout = defineFlow({
  slug: 'checkout',
  input: z.object({
    plan: z.enum(['free', 'paid']),
    at: z.date(),
    coupon: z.string().nullable().optional(),
    address: z.object({ city: z.string(), zip: z.string() }),
    tags: z.array(z.object({ name: z.string(), weight: z.number() })),
  }),
}).step('load', async () => ({ lines: [{ sku: 'a', price: 1 }], total: 5, note: null as string | null }));

test('a step that may be skipped alone is an optional key of deps', () => {
  checkout
    .step('unmet', { if: { plan: 'paid' } }, () => 1)
    .step('spelled', { ifNot: { plan: 'paid' }, whenUnmet: 'skip' }, () => 'a')
    .step('exhausted', { whenExhausted: 'skip' }, () => true)
    .step(
      'all',
      { dependsOn: ['load', 'unmet', 'spelled', 'exhausted'], if: { load: { total: 5 } } },
      ({ deps }) => {
        expectTypeOf(deps).toEqualTypeOf<{
          readonly load: { lines: { sku: string; price: number }[]; total: number; note: string | null };
          readonly unmet?: number;
          readonly spelled?: string;
          readonly exhausted?: boolean;
        }>();
        // @ts-expect-error it may be missing
        deps.unmet.toFixed();
        return deps.unmet?.toFixed();
      },
    )
    .step('end', { dependsOn: ['all', 'load'] }, ({ deps }) => {
      expectTypeOf(deps.all).toEqualTypeOf<string | null | undefined>();
      expectTypeOf(deps.load.total).toEqualTypeOf<number>();
    });
});

test('a step that fails instead is there', () => {
  checkout
    .step('strict', { if: { plan: 'paid' }, whenUnmet: 'fail' }, () => 1)
    .step('stern', { whenExhausted: 'fail' }, () => 2)
    .step('end', { dependsOn: ['strict', 'stern'] }, ({ deps }) => {
      expectTypeOf(deps).toEqualTypeOf<{ readonly strict: number; readonly stern: number }>();
    });
});

test('a step that is skipped with all that comes after is there whenever a handler is called', () => {
  const flow = checkout
    .step('cascade', { if: { plan: 'paid' }, whenUnmet: 'skip-cascade' }, () => 1)
    .step('tired', { whenExhausted: 'skip-cascade' }, () => 2)
    .step('next', { dependsOn: ['cascade', 'tired'] }, ({ deps }) => {
      expectTypeOf(deps).toEqualTypeOf<{ readonly cascade: number; readonly tired: number }>();
      return 3;
    })
    .step('last', { dependsOn: ['next'] }, ({ deps }) => {
      expectTypeOf(deps).toEqualTypeOf<{ readonly next: number }>();
      return 4;
    })
    .step('beside', { dependsOn: ['load'] }, () => 5);
  expectTypeOf<FlowOutput<typeof flow>>().toEqualTypeOf<{ last?: number; beside: number }>();
});

test('either of its two consequences counts', () => {
  const trunk = checkout
    .step('alone', { if: {}, whenUnmet: 'skip', whenExhausted: 'skip-cascade' }, () => 1)
    .step('mixed', { if: {}, whenUnmet: 'skip-cascade', whenExhausted: 'skip' }, () => 2)
    .step('fails', { if: {}, whenUnmet: 'fail', whenExhausted: 'skip' }, () => 3)
    .step('any', { if: {}, whenUnmet: 'skip' as 'skip' | 'fail' }, () => 4);
  trunk.step('end', { dependsOn: ['alone', 'mixed', 'fails', 'any'] }, ({ deps }) => {
    expectTypeOf(deps).toEqualTypeOf<{
      readonly alone?: number;
      readonly mixed?: number;
      readonly fails?: number;
      readonly any?: number;
    }>();
  });
  const after = trunk.step('after', { dependsOn: ['alone', 'load', 'fails', 'any'] }, () => 5);
  expectTypeOf<FlowOutput<typeof after>>().toEqualTypeOf<{ mixed?: number; after?: number }>();
});

test('options that are a variable count as what they may be', () => {
  const options: { readonly if?: { readonly plan: 'paid' }; readonly whenUnmet?: 'skip' | 'fail' } = {};
  checkout
    .step('maybe', options, () => 1)
    .step('end', { dependsOn: ['maybe'] }, ({ deps }) => {
      expectTypeOf(deps).toEqualTypeOf<{ readonly maybe?: number }>();
    });
});

test('a leaf that may be skipped is an optional key of the output of its run', () => {
  const flow = checkout
    .step('numbers', () => [1])
    .step('sometimes', { if: { plan: 'paid' } }, () => 'a')
    .map('each', { over: 'numbers', whenExhausted: 'skip' }, () => true);
  expectTypeOf<FlowOutput<typeof flow>>().toEqualTypeOf<{
    load: { lines: { sku: string; price: number }[]; total: number; note: string | null };
    sometimes?: string;
    each?: boolean[];
  }>();
  expectTypeOf<StepOutput<typeof flow, 'sometimes'>>().toEqualTypeOf<string>();
  expectTypeOf<Run<typeof flow>>().toExtend<Run>();
  const run = null as unknown as Run<typeof flow>;
  expectTypeOf(run.step('sometimes').output).toEqualTypeOf<string | null>();
  // @ts-expect-error it may be missing
  run.output?.sometimes.length;
  const only = defineFlow({ slug: 'f' }).step('a', { if: 1 }, () => 1);
  expectTypeOf<FlowOutput<typeof only>>().toEqualTypeOf<{ a?: number }>();
  const covered = only.step('b', { dependsOn: ['a'] }, () => 2);
  expectTypeOf<FlowOutput<typeof covered>>().toEqualTypeOf<{ b: number }>();
});

test('a map over a step that may be skipped has its items', () => {
  const flow = checkout
    .step('lines', { if: { plan: 'paid' } }, () => [{ sku: 'a' }])
    .map('each', { over: 'lines', dependsOn: ['lines', 'load'] }, ({ item, deps }) => {
      expectTypeOf(item).toEqualTypeOf<{ sku: string }>();
      expectTypeOf(deps.lines).toEqualTypeOf<{ sku: string }[] | undefined>();
      expectTypeOf(deps.load.total).toEqualTypeOf<number>();
      return item.sku;
    });
  expectTypeOf<FlowOutput<typeof flow>>().toEqualTypeOf<{ each: string[] }>();
  const cascade = checkout
    .step('lines', { whenExhausted: 'skip-cascade' }, () => [1])
    .map('each', { over: 'lines' }, ({ item }) => item);
  expectTypeOf<FlowOutput<typeof cascade>>().toEqualTypeOf<{
    load: { lines: { sku: string; price: number }[]; total: number; note: string | null };
    each?: number[];
  }>();
});

test('the pattern of a root step is a part of the input', () => {
  checkout
    .step('a', { if: { plan: 'paid', address: { city: 'Bern' } } }, () => 1)
    .step('b', { if: { tags: [{ name: 'x' }] }, ifNot: { coupon: null, at: '2026-01-01' } }, () => 1)
    .step('c', { if: {}, ifNot: { tags: [] } }, () => 1);
  // @ts-expect-error no such field
  checkout.step('a', { if: { plam: 'paid' } }, () => 1);
  // @ts-expect-error no such field beside one that there is
  checkout.step('a', { ifNot: { plan: 'paid', plam: 'paid' } }, () => 1);
  // @ts-expect-error no such field inside
  checkout.step('a', { if: { address: { town: 'Bern' } } }, () => 1);
  // @ts-expect-error no such field in an element
  checkout.step('a', { if: { tags: [{ nome: 'x' }] } }, () => 1);
  // @ts-expect-error no such plan
  checkout.step('a', { if: { plan: 'gold' } }, () => 1);
  // @ts-expect-error a Date is a string
  checkout.step('a', { if: { at: new Date() } }, () => 1);
  // @ts-expect-error the input is an object
  checkout.step('a', { if: 'paid' }, () => 1);
  // @ts-expect-error the steps before are no part of the input
  checkout.step('a', { if: { load: {} } }, () => 1);
});

test('the pattern of another step is a part of the outputs that it waits for', () => {
  const flow = checkout.step('rates', () => [1, 2]).step('other', () => 'x');
  flow
    .step('a', { dependsOn: ['load', 'rates'], if: { load: { lines: [{ sku: 'a' }] }, rates: [1] } }, () => 1)
    .step('b', { dependsOn: ['load'], ifNot: { load: {} } }, () => 1)
    .step('c', { dependsOn: ['load'], if: { load: { note: null } } }, () => 1)
    .map('d', { over: 'rates', if: { rates: [2] } }, () => 1)
    .map('e', { over: 'rates', dependsOn: ['load'], if: { rates: [], load: { total: 0 } } }, () => 1);
  // @ts-expect-error it does not depend on it
  flow.step('z', { dependsOn: ['load'], if: { rates: [1] } }, () => 1);
  // @ts-expect-error it does not depend on one of them
  flow.step('z', { dependsOn: ['load'], ifNot: { load: {}, other: 'x' } }, () => 1);
  // @ts-expect-error no such field
  flow.step('z', { dependsOn: ['load'], if: { load: { totals: 5 } } }, () => 1);
  // @ts-expect-error another type
  flow.step('z', { dependsOn: ['load'], if: { load: { total: '5' } } }, () => 1);
  // @ts-expect-error the input is not what it is compared with
  flow.step('z', { dependsOn: ['load'], if: { plan: 'paid' } }, () => 1);
  // @ts-expect-error a map over a step is not compared with the input
  flow.map('z', { over: 'rates', if: { plan: 'paid' } }, () => 1);
  // @ts-expect-error it does not depend on it
  flow.map('z', { over: 'rates', if: { load: {} } }, () => 1);
  // @ts-expect-error an object by slug
  flow.step('z', { dependsOn: ['other'], if: 'x' }, () => 1);
});

test('a map over the input is compared with all of it', () => {
  const flow = defineFlow({ slug: 'f', input: z.array(z.object({ id: z.number() })) });
  flow.map('a', { if: [{ id: 1 }], ifNot: [] }, () => 1);
  // @ts-expect-error no such field
  flow.map('a', { if: [{ ID: 1 }] }, () => 1);
  // @ts-expect-error an array
  flow.map('a', { if: { id: 1 } }, () => 1);
});

test('what is not known may be compared with anything', () => {
  const free = defineFlow({ slug: 'f' }).step('a', { if: { whatever: [1] }, ifNot: 5 }, () => 1 as any);
  free.step('b', { dependsOn: ['a'], if: { a: { anything: true } } }, () => 1);
  // @ts-expect-error but by the slug of a step that it waits for
  free.step('b', { dependsOn: ['a'], if: { b: 1 } }, () => 1);
  let loop: Flow = defineFlow({ slug: 'f' });
  loop = loop.step('a', { if: { x: 1 }, whenUnmet: 'fail' }, () => 1);
  loop = loop.step('b', { dependsOn: ['a'], if: { a: 1 }, whenExhausted: 'skip' }, ({ deps }) => {
    expectTypeOf(deps).toBeAny();
  });
  expectTypeOf<FlowOutput<typeof loop>>().toBeAny();
});

test('patterns of any type', () => {
  interface Tree {
    name: string;
    children: Tree[];
  }
  type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
  expectTypeOf<{ children: [{ children: [{ name: 'leaf' }] }] }>().toExtend<Pattern<Tree>>();
  expectTypeOf<{ children: [{ nam: 'leaf' }] }>().not.toExtend<Pattern<Tree>>();
  expectTypeOf<{ a: [1, { b: null }] }>().toExtend<Pattern<Json>>();
  expectTypeOf<['b', 1]>().toExtend<Pattern<readonly [number, string]>>();
  expectTypeOf<[true]>().not.toExtend<Pattern<readonly [number, string]>>();
  expectTypeOf<Pattern<any>>().toBeAny();
  expectTypeOf<Pattern<unknown>>().toBeUnknown();
  expectTypeOf<Pattern<{ a: 1 } | null>>().toEqualTypeOf<{ readonly a?: 1 } | null>();
  expectTypeOf<Pattern<boolean>>().toEqualTypeOf<boolean>();
});

test('wrong conditions do not compile', () => {
  // @ts-expect-error no such consequence
  checkout.step('a', { if: {}, whenUnmet: 'ignore' }, () => 1);
  // @ts-expect-error no such consequence
  checkout.step('a', { whenExhausted: 'retry' }, () => 1);
  // @ts-expect-error no such option beside one that there is
  checkout.step('a', { if: { plan: 'paid' }, unless: {} }, () => 1);
  // @ts-expect-error no such option
  checkout.map('a', { over: 'load', whenunmet: 'skip' }, () => 1);
  // @ts-expect-error an option of steps
  defineFlow({ slug: 'f', whenExhausted: 'skip' });
  // @ts-expect-error an option of steps
  defineJob({ slug: 'j', if: {} }, () => 1);
});
