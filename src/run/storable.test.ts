import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PgFlowError } from '../errors.js';
import { MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_VALUES, toStorableJson } from './storable.js';

function refusal(value: unknown): PgFlowError {
  try {
    toStorableJson(value, 'output');
  } catch (error) {
    expect(error).toBeInstanceOf(PgFlowError);
    expect((error as PgFlowError).code).toBe('NOT_STORABLE');
    return error as PgFlowError;
  }
  throw new Error('It was accepted');
}

function pathOf(value: unknown): unknown {
  const error = refusal(value);
  expect(error.message).toContain(`\`${error.data!.path}\` cannot be stored: it `);
  return error.data!.path;
}

function nested(levels: number, inner: unknown = null): unknown {
  let value = inner;
  for (let n = 0; n < levels; n++) value = n % 2 === 0 ? [value] : { a: value };
  return value;
}

const cycle: unknown[] = [];
cycle.push({ self: cycle });

describe('toStorableJson', () => {
  it.each([
    [undefined, 'null'],
    [null, 'null'],
    [false, 'false'],
    [0, '0'],
    [-0, '0'],
    ['', '""'],
    ['123', '"123"'],
    ['null', '"null"'],
    [[], '[]'],
    [{}, '{}'],
    [Number.NaN, 'null'],
    [() => 1, 'null'],
    [Symbol('s'), 'null'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [new Map([[1, 2]]), '{}'],
    [[undefined, () => 1], '[null,null]'],
    [{ a: undefined, b: 1 }, '{"b":1}'],
    [Number.MAX_VALUE, '1.7976931348623157e+308'],
  ])('writes %j as JSON does', (value, text) => {
    expect(toStorableJson(value, 'output')).toBe(text);
  });

  it('keeps own __proto__ keys as data', () => {
    const value = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}');
    expect(toStorableJson(value, 'output')).toBe('{"__proto__":{"polluted":true},"constructor":1}');
  });

  it('keeps text that only looks like an escape', () => {
    for (const text of ['\\u0000', '\\ud800', '\\\\u0000', 'C:\\users\\udo', '\\\\\\ud83d']) {
      expect(JSON.parse(toStorableJson({ [text]: [text] }, 'output'))).toEqual({ [text]: [text] });
    }
  });

  it('keeps characters that need two surrogates, and control characters', () => {
    const text = '😀 \u0001\u001f\u007f\u2028 é \ud83d\ude00';
    expect(JSON.parse(toStorableJson(text, 'output'))).toBe(text);
  });
});

describe('unstorable', () => {
  const thrower = {
    get total(): number {
      throw new Error('no total');
    },
  };
  const badJson = {
    toJSON() {
      throw new Error('no json');
    },
  };
  const badKeys = new Proxy(
    {},
    {
      ownKeys() {
        throw new Error('no keys');
      },
    },
  );

  it.each<[string, unknown, string, string]>([
    ['a BigInt', 1n, 'output', 'BigInt'],
    ['a BigInt inside', { lines: [0, 0, { price: 5n }] }, 'output.lines[2].price', 'BigInt'],
    ['a cycle', { a: cycle }, 'output.a[0].self', 'contains itself'],
    ['NUL in a text', ['ok', 'a\0b'], 'output[1]', 'NUL'],
    ['NUL in a text that is all', 'a\0b', 'output', 'NUL'],
    ['NUL in a key', { deep: { 'a\0': 1 } }, 'output.deep["a\\u0000"]', 'NUL'],
    ['a lone high surrogate', { x: ['\ud800'] }, 'output.x[0]', 'lone surrogate'],
    ['a lone low surrogate', { x: 'a\udfffb' }, 'output.x', 'lone surrogate'],
    ['surrogates in the wrong order', { x: '\ude00\ud83d' }, 'output.x', 'lone surrogate'],
    ['a lone surrogate in a key', { '\udbff': 1 }, 'output["\\udbff"]', 'lone surrogate'],
    ['NUL after an escaped backslash', { x: '\\\0' }, 'output.x', 'NUL'],
    ['NUL beside text that looks like it', { w: '\\u0000', x: '\0' }, 'output.x', 'NUL'],
    ['a getter that throws', { order: thrower }, 'output.order.total', 'no total'],
    ['a toJSON that throws', [badJson], 'output[0]', 'no json'],
    ['keys that cannot be read', { p: badKeys }, 'output.p', 'no keys'],
    ['what a toJSON returns', { at: { toJSON: () => ({ n: 1n }) } }, 'output.at.n', 'BigInt'],
    ['a key that is no name', { 'a b': { '1': 1n } }, 'output["a b"]["1"]', 'BigInt'],
    ['a key with quotes', { '"`': 1n }, 'output["\\"`"]', 'BigInt'],
    ['an own __proto__', JSON.parse('{"__proto__":"\\u0000"}'), 'output.__proto__', 'NUL'],
  ])('refuses %s with its path', (_what, value, path, reason) => {
    expect(pathOf(value)).toBe(path);
    expect(refusal(value).message).toContain(reason);
  });

  it('keeps what was thrown as the cause', () => {
    expect(refusal({ order: thrower }).cause).toMatchObject({ message: 'no total' });
    expect(refusal(badJson).cause).toMatchObject({ message: 'no json' });
  });

  it('refuses a value that differs each time it is read', () => {
    let reads = 0;
    const flaky = {
      get n() {
        reads++;
        return reads === 1 ? 1n : 1;
      },
    };
    expect(pathOf(flaky)).toBe('output');
    expect(reads).toBe(2);
  });

  it('refuses a revoked proxy', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(refusal({ proxy }).data!.path).toBe('output.proxy');
  });

  it('allows the same object twice where it is no cycle', () => {
    const shared = { a: [1] };
    expect(toStorableJson([shared, shared, { shared }], 'output')).toBe(
      '[{"a":[1]},{"a":[1]},{"shared":{"a":[1]}}]',
    );
  });

  it('reads each property once when nothing is wrong', () => {
    let reads = 0;
    const value = {
      get n() {
        return ++reads;
      },
    };
    expect(toStorableJson(value, 'output')).toBe('{"n":1}');
    expect(reads).toBe(1);
  });
});

describe('limits', () => {
  it(`stores ${MAX_JSON_DEPTH} levels and no more`, () => {
    expect(toStorableJson(nested(MAX_JSON_DEPTH), 'output')).toBe(JSON.stringify(nested(MAX_JSON_DEPTH)));
    expect(refusal(nested(MAX_JSON_DEPTH + 1)).message).toContain(`more than ${MAX_JSON_DEPTH} levels`);
  });

  it('counts no brackets in texts and none of siblings', () => {
    const brackets = ['[{"\\'.repeat(MAX_JSON_DEPTH), '\\'];
    expect(JSON.parse(toStorableJson([brackets, nested(MAX_JSON_DEPTH - 1)], 'output'))).toHaveLength(2);
    const siblings = Array.from({ length: 3 * MAX_JSON_DEPTH }, () => [{}]);
    expect(JSON.parse(toStorableJson(siblings, 'output'))).toEqual(siblings);
    expect(refusal([brackets, nested(MAX_JSON_DEPTH)]).message).toContain('levels');
  });

  it('refuses what JSON.stringify cannot recurse into', () => {
    const error = refusal({ tree: nested(1_000_000) });
    expect(error.message).toContain(`more than ${MAX_JSON_DEPTH} levels`);
    expect(error.data!.path).toMatch(/^output\.tree/);
    expect(error.message.length).toBeLessThan(500);
  });

  it('finds what else is wrong in something deep', () => {
    expect(refusal([1n, nested(1_000_000)]).data!.path).toBe('output[0]');
  });

  it('stores as many values as jsonb surely takes and no more', () => {
    const most = new Array(MAX_JSON_VALUES).fill(1);
    expect(toStorableJson(most, 'output')).toHaveLength(2 * MAX_JSON_VALUES + 1);
    expect(toStorableJson([','.repeat(3 * MAX_JSON_VALUES)], 'output')).toHaveLength(3 * MAX_JSON_VALUES + 4);
    most.push(1);
    expect(refusal({ most }).message).toContain(`more than ${MAX_JSON_VALUES} values`);
  });

  it('stores 100 MiB of JSON and no more', () => {
    expect(MAX_JSON_BYTES).toBe(104_857_600);
    const most = 'x'.repeat(MAX_JSON_BYTES - 2);
    expect(toStorableJson(most, 'output').length).toBe(MAX_JSON_BYTES);
    expect(refusal(`${most}x`).message).toContain('104857600 bytes');
  });

  it('counts bytes of UTF-8, not characters', () => {
    const nine = 'é€😀';
    const most = nine.repeat((MAX_JSON_BYTES - 4) / 9);
    expect(Buffer.byteLength(toStorableJson(`${most}é`, 'output'))).toBe(MAX_JSON_BYTES);
    expect(refusal(`${most}€`).data!.path).toBe('output');
  });
});

/** Values with everything in them that JSON leaves out, refuses or changes. */
const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  key: fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'a', 'toJSON', '\0', '\\u0000')),
  values: [
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('\\', 'u', '0', 'd', '8', '"', '\0', '\ud800', '\ude00', '[', '}') }),
    fc.double(),
    fc.constantFrom(undefined, null, true, false),
  ],
});

function hasUnstorableText(value: unknown): boolean {
  if (typeof value === 'string') return value !== value.replace(/\0|\p{Surrogate}/gu, '');
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some((entry) => entry.some(hasUnstorableText));
}

describe('of any value', () => {
  it('the text is that of JSON.stringify, or it is refused for a reason', () => {
    fc.assert(
      fc.property(anything, (value) => {
        let expected: string | null;
        try {
          expected = JSON.stringify(value) ?? 'null';
        } catch {
          expected = null;
        }
        const storable = expected !== null && !hasUnstorableText(JSON.parse(expected));
        if (storable) expect(toStorableJson(value, 'output')).toBe(expected);
        else refusal(value);
      }),
      { numRuns: 2000 },
    );
  });

  it('JSON round-trips', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), (value) => {
        fc.pre(!hasUnstorableText(value));
        const round = JSON.parse(toStorableJson(value, 'input'));
        expect(round).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('the path leads to what is wrong', () => {
    const key = fc.oneof(fc.nat(3), fc.string({ unit: fc.constantFrom('a', '"', '\\', ' ', '`', '1', 'é') }));
    fc.assert(
      fc.property(
        fc.array(key, { maxLength: 6 }),
        fc.constantFrom<unknown>(7n, 'a\0', '\udc00'),
        (keys, bad) => {
          const output = keys.reduceRight<unknown>(
            (inner, at) =>
              typeof at === 'number' ? [...Array(at).fill(0), inner] : { before: 1, [at]: inner },
            bad,
          );
          const path = refusal(output).data!.path as string;
          expect(new Function('output', `return ${path}`)(output)).toBe(bad);
        },
      ),
    );
  });
});
