import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PgFlowError } from '../errors.js';
import { checkSlug } from './slug.js';

function refusal(slug: unknown): PgFlowError {
  try {
    checkSlug(slug, 'step of flow `f`');
  } catch (error) {
    expect(error).toBeInstanceOf(PgFlowError);
    return error as PgFlowError;
  }
  throw new Error(`${String(slug)} was accepted`);
}

describe('slug-rules', () => {
  it.each(['a', 'a_b', 'a1', 'Ab', '_', '_1', 'Run', 'running', 'a'.repeat(128)])('accepts %j', (slug) => {
    expect(() => checkSlug(slug, 'flow')).not.toThrow();
  });

  it.each(['', 'a'.repeat(129), 'a-b', 'a b', ' a', 'a\n', '1a', 'run', 'ä', 'a.b', 'a:b', '"', 'a\0'])(
    'refuses %j',
    (slug) => {
      expect(refusal(slug).code).toBe('INVALID_DEFINITION');
    },
  );

  it.each(Object.getOwnPropertyNames(Object.prototype))('refuses %s, which every object has', (slug) => {
    expect(refusal(slug).message).toContain('every JavaScript object');
  });

  it.each([undefined, null, 5, {}, [], Symbol('a'), new String('a')])('refuses what is no string', (slug) => {
    expect(refusal(slug).message).toContain('not a string');
  });

  it('says which slug, of what, why, and what is allowed, on one line', () => {
    expect(refusal('a-b').message).toBe(
      '`a-b` cannot be the slug of a step of flow `f`: it has a character that is not allowed where it stands. ' +
        'Use 1 to 128 letters, digits and underscores, not beginning with a digit.',
    );
    expect(refusal('a\n\0b').message).not.toMatch(/[\n\0]/);
    expect(refusal('x'.repeat(100_000)).message.length).toBeLessThan(300);
    expect(refusal('x'.repeat(100_000)).message).toContain('100000 characters');
  });

  it('accepts exactly what the grammar says', () => {
    const reserved = new Set(['run', ...Object.getOwnPropertyNames(Object.prototype)]);
    const nearly = fc.string({
      unit: fc.constantFrom('a', 'Z', '_', '0', '9', '-', ' ', 'é'),
      maxLength: 140,
    });
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearly), (slug) => {
        const allowed = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(slug) && !reserved.has(slug);
        if (allowed) checkSlug(slug, 'flow');
        else expect(refusal(slug).code).toBe('INVALID_DEFINITION');
      }),
    );
  });
});
