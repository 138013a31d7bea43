import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorText } from './error-text.js';
import { toStorableJson } from './storable.js';

function refuse(): never {
  throw new Error('refused');
}

/** Throws whatever one does to it. */
function proxied(target: object): object {
  return new Proxy(target, new Proxy({}, { get: () => refuse }));
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const throwingGetters = {
  get message() {
    return refuse();
  },
  get cause() {
    return refuse();
  },
  toJSON: refuse,
  toString: refuse,
};

describe('throws-anything', () => {
  it.each<[string, () => unknown, string]>([
    ['an error', () => new Error('boom'), 'boom'],
    ['an error of another class', () => new TypeError('boom'), 'boom'],
    ['a frozen error', () => Object.freeze(new Error('frozen')), 'frozen'],
    ['a string', () => 'a string', 'a string'],
    ['something like an error', () => ({ message: 'like an error' }), 'like an error'],
    ['an object', () => ({ code: 42 }), '{"code":42}'],
    ['an array', () => [1, 2], '[1,2]'],
    ['an object whose message is no text', () => ({ message: 5 }), '{"message":5}'],
    ['an error without a message', () => new Error(''), 'Error'],
    [
      'a refused connection',
      () => Object.assign(new AggregateError([]), { code: 'EPIPE' }),
      'AggregateError EPIPE',
    ],
    ['undefined', () => undefined, 'undefined was thrown'],
    ['null', () => null, 'null was thrown'],
    ['false', () => false, 'false was thrown'],
    ['a BigInt', () => 12n, '12 was thrown'],
    ['a symbol', () => Symbol('s'), 'Symbol(s) was thrown'],
    ['a function', () => () => 1, 'A function was thrown'],
    ['an empty string', () => '', 'What was thrown has no text (string)'],
    ['white space', () => ' \n', 'What was thrown has no text (string)'],
    ['an object with only toString', () => ({ toJSON: refuse, toString: () => 'shown' }), 'shown'],
    ['throwing getters', () => throwingGetters, 'What was thrown has no text (object)'],
    ['a Proxy that refuses all', () => proxied({}), 'What was thrown has no text (object)'],
    ['such a Proxy of an error', () => proxied(new Error('hidden')), 'What was thrown has no text (object)'],
    ['such a Proxy of a function', () => proxied(() => 1), 'A function was thrown'],
    ['a revoked Proxy', revoked, 'What was thrown has no text (object)'],
  ])('reads %s', (_what, thrown, text) => {
    expect(errorText(thrown())).toBe(text);
  });

  it('tells the causes', () => {
    const root = new Error('ECONNRESET');
    expect(errorText(new Error('No answer', { cause: root }))).toBe('No answer, caused by: ECONNRESET');
    expect(errorText(new Error('a', { cause: new Error('b', { cause: 'c' }) }))).toBe(
      'a, caused by: b, caused by: c',
    );
    expect(errorText(new Error('a', { cause: { code: 1 } }))).toBe('a, caused by: {"code":1}');
    expect(errorText(new Error('a', { cause: throwingGetters }))).toContain('a, caused by: What was thrown');
  });

  it('leaves out a cause that says nothing new', () => {
    expect(errorText(new Error('Failed: timeout', { cause: new Error('timeout') }))).toBe('Failed: timeout');
    expect(errorText(new Error('a', { cause: null }))).toBe('a');
  });

  it('ends where causes are a circle or a long chain', () => {
    const circle = new Error('round');
    circle.cause = circle;
    expect(errorText(circle)).toBe('round');
    let chain: Error = new Error('e0');
    for (let n = 1; n < 1000; n++) chain = new Error(`e${n}.`, { cause: chain });
    expect(errorText(chain)).toBe(
      'e999., caused by: e998., caused by: e997., caused by: e996., caused by: e995.',
    );
  });

  it('replaces what cannot be stored', () => {
    expect(errorText('a\0b\ud800c\udfffd😀')).toBe('a\uFFFDb\uFFFDc\uFFFDd😀');
  });

  it('has at most 8,000 characters', () => {
    expect(errorText('x'.repeat(8000))).toBe('x'.repeat(8000));
    expect(errorText('x'.repeat(8001))).toBe(`${'x'.repeat(7999)}…`);
    expect(errorText(new Error('x'.repeat(10_000), { cause: 'y'.repeat(10_000) }))).toHaveLength(8000);
  });

  it('does not cut a character in two', () => {
    expect(errorText(`${'x'.repeat(7998)}😀${'y'.repeat(10)}`)).toBe(`${'x'.repeat(7998)}…`);
    expect(errorText(`${'x'.repeat(7997)}😀${'y'.repeat(10)}`)).toBe(`${'x'.repeat(7997)}😀…`);
  });

  it('gives a storable text of anything', () => {
    const long = fc.tuple(fc.string({ unit: 'binary' }), fc.nat(9000)).map(([text, n]) => ''.padEnd(n, text));
    const any = fc.anything({
      maxDepth: 2,
      maxKeys: 4,
      withBigInt: true,
      withNullPrototype: true,
      withObjectString: true,
      key: fc.constantFrom('message', 'cause', 'name', 'code', 'toJSON', 'toString', '\0'),
      values: [fc.string({ unit: 'binary' }), long, fc.nat()],
    });
    const thrown = fc.oneof(
      any,
      any.map(Object),
      fc.tuple(fc.string(), any).map(([text, cause]) => new Error(text, { cause })),
    );
    fc.assert(
      fc.property(thrown, (value) => {
        const text = errorText(value);
        expect(text.trim()).not.toBe('');
        expect(text.length).toBeLessThanOrEqual(8000);
        expect(JSON.parse(toStorableJson(text, 'error'))).toBe(text);
      }),
      { numRuns: 200 },
    );
  });
});
