import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';

/**
 * The payload that a bus is to carry. A slip must not send whole what was to be a hint. null is none given.
 *
 * @param caller what takes the options, for the message.
 * @throws {PgFlowError} `INVALID_INPUT` for one that there is not, or options that are no object.
 */
export function checkPayload(
  caller: string,
  options: { readonly payload?: 'inline' | 'hint' } | null | undefined,
): 'inline' | 'hint' {
  if (typeof (options ?? {}) !== 'object')
    throw refused(caller, '', `takes its options in an object`, options);
  const payload = options?.payload ?? 'inline';
  if (payload === 'inline' || payload === 'hint') return payload;
  throw refused(caller, 'payload', `takes 'inline' or 'hint' as its payload`, payload);
}

/** What the names of all channels begin with, if something was given. */
export function checkPrefix(caller: string, prefix: string | null | undefined): string | undefined {
  if (prefix === undefined || prefix === null) return undefined;
  if (typeof prefix === 'string') return prefix;
  throw refused(caller, 'prefix', 'takes a text as its prefix', prefix);
}

function refused(caller: string, path: string, what: string, value: unknown): PgFlowError {
  const message = `${what}, not ${quoted(value)}`;
  return new PgFlowError('INVALID_INPUT', `${caller} ${message}.`, { data: { issues: [{ path, message }] } });
}
