import { describe, expect, it } from 'vitest';
import { readEntry, readProgress } from './log-entry.js';

describe('a progress', () => {
  it.each([
    [0, undefined, { fraction: 0, note: null }],
    [1, 'done', { fraction: 1, note: 'done' }],
    [0.1 + 0.2 + 0.7 + Number.EPSILON, '', { fraction: 1, note: '' }],
    [-Number.EPSILON, undefined, { fraction: 0, note: null }],
    [0.5, 'a\0b\ud800', { fraction: 0.5, note: 'a\uFFFDb\uFFFD' }],
  ])('of %d, %j is kept', (fraction, note, kept) => {
    const progress = readProgress(fraction, note);
    expect(progress).toEqual(kept);
    expect(Object.isFrozen(progress)).toBe(true);
  });

  it('has a note of at most 1,000 characters', () => {
    expect(readProgress(0, 'x'.repeat(1001)).note).toBe(`${'x'.repeat(999)}…`);
  });

  it.each([Number.NaN, -0.1, 1.1, 40, Number.POSITIVE_INFINITY, '0.5', null, undefined])(
    'of %s is refused',
    (fraction) => {
      expect(() => readProgress(fraction, undefined)).toThrow(
        expect.objectContaining({
          code: 'INVALID_INPUT',
          message: expect.stringContaining('takes a number from 0 to 1, not '),
        }),
      );
    },
  );

  it.each([1, {}, ['x']])('with the note %j is refused', (note) => {
    expect(() => readProgress(0.5, note)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});

describe('a log entry', () => {
  const fieldsOf = (fields: object) => JSON.parse(readEntry('x', fields).fields!);

  it('keeps message and fields, as JSON', () => {
    const fields = { at: new Date(0), none: undefined, list: [1, null], zero: 0, __proto__: { not: 'own' } };
    expect(readEntry('charged', fields)).toEqual({
      message: 'charged',
      fields: '{"at":"1970-01-01T00:00:00.000Z","list":[1,null],"zero":0}',
    });
    expect(readEntry('', undefined)).toEqual({ message: '', fields: null });
  });

  it('makes storable what is not', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    const thrower = {
      get broken() {
        throw new Error('no');
      },
      fine: 1,
    };
    expect(readEntry('a\0b', {}).message).toBe('a\uFFFDb');
    expect(fieldsOf({ big: 1n, cycle, nul: 'a\0', error: new Error('boom') })).toEqual({
      big: expect.stringContaining('`big` cannot be stored: it is a BigInt'),
      cycle: expect.stringContaining('is a cycle'),
      nul: expect.stringContaining('NUL'),
      error: 'boom',
    });
    expect(fieldsOf(thrower)).toEqual({ broken: 'no', fine: 1 });
    expect(fieldsOf({ 'k\0': 1 })).toEqual({ 'k\uFFFD': 1 });
    expect(
      fieldsOf(
        new Proxy(
          {},
          {
            ownKeys() {
              throw new Error('trap');
            },
          },
        ),
      ),
    ).toEqual({ '…': 'cannot be read: trap' });
  });

  it('is cut to 4,000 characters, and leaves out fields that do not fit, by name', () => {
    expect(readEntry('x'.repeat(5000), {}).message).toBe(`${'x'.repeat(3999)}…`);
    expect(fieldsOf({ before: 1, page: 'x'.repeat(4000), after: 2 })).toEqual({
      before: 1,
      after: 2,
      '…': 'too long, left out: page',
    });
    const many = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`f${i}`, 'x'.repeat(4000)]));
    expect(fieldsOf(many)).toEqual({ '…': 'too long, left out: f0, f1, f2, f3, f4, …' });
  });

  it.each([1, null, undefined, {}, Symbol('x')])('of %s as its message is refused', (message) => {
    expect(() => readEntry(message, undefined)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining('takes a text') }),
    );
  });

  it.each([1, null, 'x', [1], () => {}])('with %s as its fields is refused', (fields) => {
    expect(() => readEntry('x', fields)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining('takes an object') }),
    );
  });
});
