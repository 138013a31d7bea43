import { PgFlowError } from '../errors.js';
import { quoted } from './quoted.js';

/**
 * What may stand in a pattern for values of type T, which is JSON: of an object any of its keys, at any depth; of an
 * array any of its elements.
 */
export type Pattern<T> = 0 extends 1 & T
  ? any
  : unknown extends T
    ? unknown
    : T extends readonly (infer Element)[]
      ? readonly Pattern<Element>[]
      : T extends object
        ? { readonly [Key in keyof T]?: Pattern<T[Key]> }
        : T;

const MAX_DEPTH = 100;

/**
 * A frozen copy of a pattern. It must be JSON as it stands, so that what is stored is what one reads in the source:
 * what JSON.stringify would alter or leave out, such as a Date or `undefined`, is refused, and what `jsonb` cannot hold.
 *
 * @param name where it was given, for the path: `if`.
 * @throws {PgFlowError} `INVALID_DEFINITION`, with the path (`if.validate.lines[0]`) in the message and in `data.path`.
 */
export function copyPattern(owner: string, name: string, pattern: unknown): unknown {
  return copy(pattern, name, []);

  function copy(value: unknown, path: string, within: readonly object[]): unknown {
    const fault = faultOf(value, within);
    if (fault !== null) {
      throw new PgFlowError('INVALID_DEFINITION', `\`${path}\` of ${owner} must be JSON, but it ${fault}.`, {
        data: { path },
      });
    }
    if (typeof value !== 'object' || value === null) return value;
    const inside = [...within, value];
    // Array.from sees the holes of an array, fromEntries makes a key of `__proto__`.
    const whole = Array.isArray(value)
      ? Array.from(value, (element, index) => copy(element, `${path}[${index}]`, inside))
      : Object.fromEntries(
          Object.entries(value).map(([key, inner]) => [key, copy(inner, path + segment(key), inside)]),
        );
    return Object.freeze(whole);
  }
}

function faultOf(value: unknown, within: readonly object[]): string | null {
  switch (typeof value) {
    case 'boolean':
      return null;
    case 'number':
      return Number.isFinite(value) ? null : `is ${value}`;
    case 'string':
      return unstorableIn('has', value);
    case 'object':
      return value === null ? null : objectFaultOf(value, within);
    default:
      return `is ${quoted(value)}`;
  }
}

function objectFaultOf(object: object, within: readonly object[]): string | null {
  if (within.includes(object)) return 'contains itself';
  if (within.length >= MAX_DEPTH) return `is nested more than ${MAX_DEPTH} levels deep`;
  if (Array.isArray(object)) return null;
  if (!isPlain(object)) return 'is an object of a class. Give its JSON';
  const faults = Object.keys(object).map((key) => unstorableIn('has a key with', key));
  return faults.find((fault) => fault !== null) ?? null;
}

/** An object of another realm has another Object.prototype, which has no prototype either. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** With the `u` flag a surrogate pair is one character, so only lone halves match. */
function unstorableIn(has: string, text: string): string | null {
  if (text.includes('\0')) return `${has} a NUL character, which Postgres cannot store`;
  if (!/\p{Surrogate}/u.test(text)) return null;
  return `${has} a lone surrogate (half of a character), which Postgres cannot store`;
}

function segment(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
