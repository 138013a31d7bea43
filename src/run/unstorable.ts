import { errorText } from './error-text.js';

/** Where a value cannot be stored and why: `path` "is a BigInt, …". */
export interface Unstorable {
  readonly path: string;
  readonly reason: string;
  readonly cause?: unknown;
}

/**
 * Walks a value as JSON.stringify does and finds the first part that JSON, or `jsonb`, cannot hold;
 * null when there is none. It calls getters and `toJSON` as JSON.stringify does.
 */
export function findUnstorable(value: unknown, where: string, maxDepth: number): Unstorable | null {
  const root = { key: where, within: null, depth: 0, maxDepth };
  for (let reach = maxDepth; ; reach = Math.floor(reach / 2)) {
    try {
      return inspect(value, { ...root, object: null, reach });
    } catch (error) {
      // Called deep in a stack, the walk may not get that far down. It throws nothing else.
      if (!(error instanceof RangeError) || reach === 0) throw error;
    }
  }
}

/** Where the walk is: a chain up to the root, whose key is the name of the whole. */
interface Place {
  readonly key: string | number;
  readonly within: Place | null;
  object: object | null;
  readonly depth: number;
  /** How many levels may be stored. */
  readonly maxDepth: number;
  /** How many levels the walk goes down. */
  readonly reach: number;
}

function inspect(raw: unknown, place: Place): Unstorable | null {
  let value: unknown;
  try {
    value = afterToJson(raw, place.within === null ? '' : String(place.key));
  } catch (cause) {
    return { path: pathOf(place), reason: `has a toJSON() that throws: ${errorText(cause)}`, cause };
  }
  if (typeof value === 'bigint') {
    return { path: pathOf(place), reason: 'is a BigInt, which JSON does not have. Use a string or a number' };
  }
  if (typeof value === 'string') {
    const fault = faultOf(value);
    return fault === null
      ? null
      : { path: pathOf(place), reason: `contains ${fault}, which Postgres cannot store` };
  }
  if (typeof value !== 'object' || value === null) return null;
  for (let outer = place.within; outer !== null; outer = outer.within) {
    if (outer.object === value) return { path: pathOf(place), reason: 'is a cycle: it contains itself' };
  }
  if (place.depth >= place.reach) {
    return {
      path: pathOf(place),
      reason: `is nested more than ${place.maxDepth} levels deep. Make it flatter`,
    };
  }
  place.object = value;
  return inspectProperties(value, place);
}

function inspectProperties(object: object, place: Place): Unstorable | null {
  let keys: readonly (string | number)[];
  try {
    keys = Array.isArray(object)
      ? Array.from({ length: object.length }, (_, index) => index)
      : Object.keys(object);
  } catch (cause) {
    return { path: pathOf(place), reason: `has keys that cannot be read: ${errorText(cause)}`, cause };
  }
  for (const key of keys) {
    const inner: Place = {
      key,
      within: place,
      object: null,
      depth: place.depth + 1,
      maxDepth: place.maxDepth,
      reach: place.reach,
    };
    const found = inspectProperty(object as Record<string | number, unknown>, inner);
    if (found !== null) return found;
  }
  return null;
}

function inspectProperty(object: Record<string | number, unknown>, place: Place): Unstorable | null {
  let value: unknown;
  try {
    value = object[place.key];
  } catch (cause) {
    return { path: pathOf(place), reason: `has a getter that throws: ${errorText(cause)}`, cause };
  }
  const fault = typeof place.key === 'string' ? faultOf(place.key) : null;
  if (fault !== null) {
    return { path: pathOf(place), reason: `has a key that contains ${fault}, which Postgres cannot store` };
  }
  return inspect(value, place);
}

function afterToJson(raw: unknown, key: string): unknown {
  if ((typeof raw !== 'object' || raw === null) && typeof raw !== 'bigint') return raw;
  const { toJSON } = raw as { toJSON?: unknown };
  return typeof toJSON === 'function' ? toJSON.call(raw, key) : raw;
}

/** With the `u` flag a surrogate pair is one character, so only lone halves match. */
function faultOf(text: string): string | null {
  if (text.includes('\0')) return 'a NUL character';
  return /\p{Surrogate}/u.test(text) ? 'a lone surrogate (half of a character)' : null;
}

const LONGEST_PATH = 300;

function pathOf(place: Place): string {
  const keys: (string | number)[] = [];
  let at = place;
  for (; at.within !== null; at = at.within) keys.push(at.key);
  let path = String(at.key);
  while (keys.length > 0 && path.length <= LONGEST_PATH) path += segment(keys.pop()!);
  return keys.length > 0 || path.length > LONGEST_PATH ? `${path.slice(0, LONGEST_PATH)}…` : path;
}

/** As it would be written in code. JSON.stringify escapes what a message cannot hold either. */
function segment(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
