import type { Run } from '../run/run.js';

/** Where a live run and its row differ, e.g. at `stepStates.1.status`. */
export interface Difference {
  readonly path: string;
  readonly live: unknown;
  readonly row: unknown;
}

/** A run that is wrong throughout needs no longer list than this. */
const MOST_DIFFERENCES = 100;

/** All places where two runs differ, value by value; empty when they are equal. */
export function compareRuns(live: Run, row: Run): Difference[] {
  const differences: Difference[] = [];
  const open: Difference[] = [{ path: '', live, row }];
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    if (differences.length >= MOST_DIFFERENCES) break;
    if (Object.is(pair.live, pair.row)) continue;
    if (isLeaf(pair.live) || isLeaf(pair.row) || Array.isArray(pair.live) !== Array.isArray(pair.row)) {
      if (!isSame(pair.live, pair.row)) differences.push(pair);
    } else {
      open.push(...partsOf(pair).reverse());
    }
  }
  return differences;
}

function partsOf({ path, live, row }: Difference): Difference[] {
  const left = live as Record<string, unknown>;
  const right = row as Record<string, unknown>;
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].map((key) => ({
    path: path === '' ? key : `${path}.${key}`,
    live: ownValue(left, key),
    row: ownValue(right, key),
  }));
}

/** `__proto__` may be a key of the user's data: only own values count. */
function ownValue(fields: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined;
}

function isLeaf(value: unknown): boolean {
  return typeof value !== 'object' || value === null || value instanceof Date;
}

function isSame(live: unknown, row: unknown): boolean {
  return live instanceof Date && row instanceof Date && live.getTime() === row.getTime();
}
