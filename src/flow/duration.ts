import { PgFlowError } from '../errors.js';
import { quoted } from './quoted.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Milliseconds of a duration: a number of seconds, or a text of a number and `ms`, `s`, `m`, `h` or `d`.
 *
 * @param name what takes it, for the message.
 * @param path which of its arguments it is, for `data.issues`.
 * @throws {PgFlowError} `INVALID_INPUT`
 */
export function readDuration(value: number | string, name: string, path: string): number {
  const [, amount, unit = ''] = String(value).match(/^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/) ?? [];
  const milliseconds = typeof value === 'number' ? value * 1000 : Number(amount) * UNITS[unit]!;
  if (Number.isFinite(milliseconds) && milliseconds >= 0) return Math.round(milliseconds);
  const message = `takes seconds, or a text such as '250ms', '90s', '5m', '1h' or '30d', not ${quoted(value)}`;
  throw new PgFlowError('INVALID_INPUT', `${name} ${message}.`, { data: { issues: [{ path, message }] } });
}
