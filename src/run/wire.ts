/** Any JSON object off the wire, before it is known to be one of ours. */
export type WireFields = Record<string, unknown>;

/** Adds to `wire` what is not null or undefined, times as ISO text. For fields of ours, not for users' data. */
export function pack(fields: object, wire: WireFields = {}): WireFields {
  // `for in`: half the time of Object.entries, on the path of every change.
  for (const name in fields) {
    const value = (fields as WireFields)[name];
    if (value === null || value === undefined) continue;
    wire[name] = value instanceof Date ? value.toISOString() : value;
  }
  return wire;
}

/** The result of `read`, or null if it threw: what comes off a wire may be anything. */
export function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Thrown by the readers below, caught by `readOrNull`. One object: forged messages cost no stack traces. */
const MALFORMED = new Error('Not a message of PgFlow Live');

export function refuse(): never {
  throw MALFORMED;
}

export function readFields(value: unknown): WireFields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse();
  return value as WireFields;
}

/** Absent is the empty list. */
export function readList(value: unknown, most: number): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > most) return refuse();
  return value;
}

export function readText(value: unknown, longest = Number.POSITIVE_INFINITY): string {
  return typeof value === 'string' && value.length <= longest ? value : refuse();
}

/** The greatest `int` of Postgres, which holds all our counters: nothing beyond it may reach a query. */
const MOST = 2_147_483_647;

/** A whole number, 0 or more, unless `least` says otherwise. */
export function readCount(value: unknown, least = 0): number {
  const number = value as number;
  return Number.isInteger(number) && number >= least && number <= MOST ? number : refuse();
}

/** One of the texts that are known, by themselves: ours is kept, not the one off the wire. */
export function readOneOf<T extends string>(known: ReadonlyMap<unknown, T>, value: unknown): T {
  return known.get(value) ?? refuse();
}

/** Absent is null, else `read` decides. */
export function orNull<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : read(value);
}
