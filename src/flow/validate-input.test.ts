import type { StandardSchemaV1 } from '@standard-schema/spec';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PgFlowError } from '../errors.js';
import { defineFlow } from './define-flow.js';
import { defineJob } from './define-job.js';
import type { AnyFlow } from './flow.js';
import { validateInput } from './validate-input.js';

async function refusal(flow: AnyFlow, input: unknown): Promise<PgFlowError> {
  const error = await validateInput(flow, input).then(
    () => new Error('It was accepted'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PgFlowError);
  expect(error).toMatchObject({ code: 'INVALID_INPUT' });
  return error as PgFlowError;
}

function schemaOf(validate: (value: unknown) => unknown): StandardSchemaV1 {
  return { '~standard': { version: 1, vendor: 'test', validate: validate as any } };
}

const order = z.object({ orderId: z.string(), lines: z.array(z.object({ sku: z.string() })) });

describe('validateInput', () => {
  it('returns the input itself without a schema', async () => {
    const flow = defineFlow({ slug: 'f' });
    const input = { any: 'thing' };
    expect(await validateInput(flow, input)).toBe(input);
    expect(await validateInput(flow, undefined)).toBeUndefined();
  });

  it('returns what the schema returns', async () => {
    const flow = defineFlow({
      slug: 'f',
      input: z.object({ n: z.coerce.number(), by: z.string().default('me') }),
    });
    expect(await validateInput(flow, { n: '5', extra: true })).toEqual({ n: 5, by: 'me' });
  });

  it('waits for a schema that answers later', async () => {
    const flow = defineFlow({ slug: 'f', input: z.string().refine(async (text) => text === 'good', 'bad') });
    expect(await validateInput(flow, 'good')).toBe('good');
    expect((await refusal(flow, 'evil')).data).toEqual({ issues: [{ path: '', message: 'bad' }] });
  });

  it('names the flow and the first path, and lists all issues', async () => {
    const flow = defineFlow({ slug: 'process_order', input: order });
    const error = await refusal(flow, { lines: [{ sku: 'a' }, { sku: 5 }] });
    const issues = error.data!.issues as { path: string; message: string }[];
    expect(issues.map((issue) => issue.path)).toEqual(['orderId', 'lines.1.sku']);
    expect(error.message).toBe(
      `The input of flow \`process_order\` is not valid at \`orderId\`: ${issues[0]!.message} (and 1 more)`,
    );
  });

  it('names no path when the whole is wrong', async () => {
    const error = await refusal(
      defineJob({ slug: 'j', input: order }, () => null),
      'text',
    );
    expect(error.message).toMatch(/^The input of job `j` is not valid: /);
    expect(error.data!.issues).toMatchObject([{ path: '' }]);
  });

  it('reads paths of objects, numbers and symbols', async () => {
    const path = ['a', { key: 0 }, { key: Symbol('s') }, 1];
    const flow = defineFlow({ slug: 'f', input: schemaOf(() => ({ issues: [{ message: 'no', path }] })) });
    expect((await refusal(flow, {})).data).toEqual({ issues: [{ path: 'a.0.Symbol(s).1', message: 'no' }] });
  });

  it('refuses when a schema gives no reason', async () => {
    const flow = defineFlow({ slug: 'f', input: schemaOf(() => ({ issues: [] })) });
    expect((await refusal(flow, {})).data).toEqual({ issues: [] });
  });

  it('refuses when a schema throws, and keeps what it threw', async () => {
    const bug = new TypeError('schema bug');
    const throwing = schemaOf(() => {
      throw bug;
    });
    for (const input of [throwing, schemaOf(() => Promise.reject(bug))]) {
      const error = await refusal(defineFlow({ slug: 'f', input }), {});
      expect(error.cause).toBe(bug);
      expect(error.data).toEqual({ issues: [{ path: '', message: expect.any(String) }] });
    }
  });

  it('has issues that are JSON', async () => {
    const flow = defineFlow({ slug: 'process_order', input: order });
    const { data } = await refusal(flow, {});
    expect(JSON.parse(JSON.stringify(data))).toEqual(data);
  });
});

describe('root-map', () => {
  const flow = defineFlow({ slug: 'f' }).map('each', () => null);

  it.each([{}, 'abc', 5, null, undefined, { length: 1, 0: 'a' }])('refuses %j', async (input) => {
    const error = await refusal(flow, input);
    expect(error.message).toContain('flow `f`');
    expect(error.message).toContain('Map `each` runs over the input, so it must be an array');
    expect(error.data).toEqual({ issues: [{ path: '', message: expect.stringContaining('array') }] });
  });

  it('accepts an array, also an empty one', async () => {
    expect(await validateInput(flow, [1, null])).toEqual([1, null]);
    expect(await validateInput(flow, [])).toEqual([]);
  });

  it('asks it of what the schema returns', async () => {
    const csv = z.string().transform((text) => text.split(','));
    const split = defineFlow({ slug: 'f', input: csv }).map('each', () => null);
    expect(await validateInput(split, 'a,b')).toEqual(['a', 'b']);
    const joined: AnyFlow = { ...split, input: z.array(z.string()).transform((list) => list.join()) };
    await refusal(joined, ['a']);
  });

  it('asks nothing for a map over a step', async () => {
    const inner = defineFlow({ slug: 'f' })
      .step('a', () => [1])
      .map('b', { over: 'a' }, () => 2);
    expect(await validateInput(inner, 5)).toBe(5);
  });
});
