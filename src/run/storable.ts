import { PgFlowError } from '../errors.js';
import { errorText } from './error-text.js';
import { findUnstorable, type Unstorable } from './unstorable.js';

/** The longest JSON text that is stored, in bytes of UTF-8: 100 MiB. */
export const MAX_JSON_BYTES = 100 * 1024 * 1024;

/** The deepest nesting that is stored. Node 20's JSON.stringify gives up after 4,100 levels, PGlite after 5,000. */
export const MAX_JSON_DEPTH = 2000;

/**
 * How many keys, values and containers are stored in one text. `jsonb` takes 2²⁴ elements in one array and 256 MiB
 * in all, which 40 MB of `[1,1,…]` exceed; no text of 100 MiB with this many does.
 */
export const MAX_JSON_VALUES = 8_388_608;

/**
 * JSON.stringify writes NUL and lone surrogates only as these escapes. A plain text that says `\u0000`, six
 * characters, matches too, because of its escaped backslash; the walk then finds nothing.
 */
const UNSTORABLE_ESCAPE = /\\u(?:0000|d[89a-f])/;

/**
 * The JSON text of an input or output, such that `jsonb` takes it and gives back what
 * `JSON.parse(JSON.stringify(value))` would. `undefined` is stored as null.
 *
 * @param where what it is, for the path in the message: `output`.
 * @throws {PgFlowError} `NOT_STORABLE`, with the path (`output.lines[2].price`) in the message and in `data.path`: for
 *   a BigInt, a cycle, NUL or a lone surrogate in a text or key, a getter or `toJSON` that throws, more than
 *   2,000 levels, 8 million values or 100 MiB.
 * @example
 * toStorableJson({ total: 12, at: new Date(0) }, 'output'); // '{"total":12,"at":"1970-01-01T00:00:00.000Z"}'
 */
export function toStorableJson(value: unknown, where: string): string {
  const text = stringify(value, where);
  const tooMuch = whyTooMuch(text);
  if (tooMuch !== null) throw notStorable({ path: where, reason: tooMuch });
  if (UNSTORABLE_ESCAPE.test(text)) {
    const found = findUnstorable(JSON.parse(text), where, MAX_JSON_DEPTH);
    if (found !== null) throw notStorable(found);
  }
  return text;
}

function stringify(value: unknown, where: string): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (cause) {
    const found = findUnstorable(value, where, MAX_JSON_DEPTH);
    if (found !== null) throw notStorable(found);
    throw notStorable({ path: where, reason: `cannot be written as JSON: ${errorText(cause)}`, cause });
  }
}

function notStorable({ path, reason, cause }: Unstorable): PgFlowError {
  return new PgFlowError('NOT_STORABLE', `\`${path}\` cannot be stored: it ${reason}.`, {
    data: { path },
    ...(cause !== undefined && { cause }),
  });
}

/** What most texts cannot be is seen without reading them; the others are read as bytes, twice as fast as as text. */
function whyTooMuch(text: string): string | null {
  if (text.length > MAX_JSON_BYTES) return TOO_LONG;
  const mayBeLong = text.length * 3 > MAX_JSON_BYTES;
  const mayBeMany = text.length > 2 * MAX_JSON_VALUES;
  const mayBeDeep = text.length > 2 * MAX_JSON_DEPTH && hasMoreContainersThan(MAX_JSON_DEPTH, text);
  if (!mayBeLong && !mayBeMany && !mayBeDeep) return null;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > MAX_JSON_BYTES) return TOO_LONG;
  const { depth, values } = measure(bytes);
  if (depth > MAX_JSON_DEPTH) return `is nested more than ${MAX_JSON_DEPTH} levels deep. Make it flatter`;
  if (values > MAX_JSON_VALUES) return `has more than ${MAX_JSON_VALUES} values. Split it up`;
  return null;
}

const TOO_LONG = `is more than ${MAX_JSON_BYTES} bytes of JSON. Keep it elsewhere and store where it is`;

function hasMoreContainersThan(limit: number, text: string): boolean {
  let count = 0;
  for (const opener of ['[', '{']) {
    for (let at = text.indexOf(opener); at !== -1; at = text.indexOf(opener, at + 1)) {
      if (++count > limit) return true;
    }
  }
  return false;
}

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [BRACKET, BRACKET_END, BRACE, BRACE_END] = [0x5b, 0x5d, 0x7b, 0x7d];

function measure(json: Uint8Array): { depth: number; values: number } {
  let values = 0;
  let open = 0;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === QUOTE) at = endOfString(json, at);
    else if (byte === COMMA || byte === COLON) values++;
    else if (byte === BRACKET_END || byte === BRACE_END) open--;
    else if (byte === BRACKET || byte === BRACE) {
      values++;
      open++;
      if (open > depth) depth = open;
    }
  }
  return { depth, values };
}

function endOfString(json: Uint8Array, begin: number): number {
  let at = begin + 1;
  while (json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}
