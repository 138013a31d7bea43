import { PgFlowError } from '../errors.js';
import { errorText, storableText } from '../run/error-text.js';
import type { StepProgress } from '../run/run.js';
import { toStorableJson } from '../run/storable.js';

/** What a handler logged, as it is stored. */
export interface LogEntry {
  readonly message: string;
  /** JSON text of an object; null when no fields were given. */
  readonly fields: string | null;
}

const LONGEST_MESSAGE = 4000;
/** Of the JSON of all fields. */
const LONGEST_FIELDS = 4000;
const LONGEST_NOTE = 1000;
/** Names that the note on fields left out mentions. */
const MOST_NAMED = 5;
/** What rounding may add to a sum of parts. */
const ROUNDING = 1e-6;

/**
 * A progress as it is stored. A fraction that misses 0 or 1 by a rounding error counts as that.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for a fraction that is no number from 0 to 1, or a note that is no text.
 */
export function readProgress(fraction: unknown, note: unknown): StepProgress {
  if (typeof fraction !== 'number' || !(fraction >= -ROUNDING && fraction <= 1 + ROUNDING)) {
    throw invalid(
      'fraction',
      `takes a number from 0 to 1, not ${shown(fraction)}`,
      'progress(fraction, note)',
    );
  }
  if (note !== undefined && note !== null && typeof note !== 'string') {
    throw invalid('note', `takes a text as its note, not ${shown(note)}`, 'progress(fraction, note)');
  }
  return Object.freeze({
    fraction: Math.min(Math.max(fraction, 0), 1),
    note: typeof note === 'string' ? storableText(note, LONGEST_NOTE) : null,
  });
}

/**
 * A log entry as it is stored: a text that is too long is cut, fields that do not fit are left out, in their place a
 * field `…` that says so. A field that JSON cannot hold is replaced by why it can't, an error by its message.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for a message that is no text, or fields that are no object.
 */
export function readEntry(message: unknown, fields: unknown): LogEntry {
  if (typeof message !== 'string') {
    throw invalid('message', `takes a text, not ${shown(message)}`, 'log(message, fields)');
  }
  if (fields !== undefined && (typeof fields !== 'object' || fields === null || Array.isArray(fields))) {
    throw invalid('fields', `takes an object as its fields, not ${shown(fields)}`, 'log(message, fields)');
  }
  return { message: storableText(message, LONGEST_MESSAGE), fields: fields ? fieldsText(fields) : null };
}

function fieldsText(fields: object): string {
  const parts: string[] = [];
  const omitted: string[] = [];
  let left = LONGEST_FIELDS;
  for (const [name, json] of storableFields(fields)) {
    const part = `${JSON.stringify(name)}:${json}`;
    if (part.length > left) omitted.push(name);
    else {
      parts.push(part);
      left -= part.length + 1;
    }
  }
  if (omitted.length > 0) {
    const names = omitted.slice(0, MOST_NAMED).map((name) => storableText(name, 100));
    const more = omitted.length > MOST_NAMED ? ', …' : '';
    const note = `too long, left out: ${names.join(', ')}${more}`;
    parts.push(`"…":${JSON.stringify(note)}`);
  }
  return `{${parts.join(',')}}`;
}

/** Name and JSON of each field. Whatever the object does when it is read, it does not throw. */
function storableFields(fields: object): [name: string, json: string][] {
  try {
    return Object.keys(fields).flatMap((name) => {
      const json = jsonOf(fields, name);
      return json === undefined ? [] : [[storableText(name), json] as [string, string]];
    });
  } catch (error) {
    return [['…', JSON.stringify(`cannot be read: ${errorText(error)}`)]];
  }
}

function jsonOf(fields: object, name: string): string | undefined {
  try {
    const value = (fields as Record<string, unknown>)[name];
    if (value === undefined) return undefined;
    return toStorableJson(value instanceof Error ? errorText(value) : value, storableText(name));
  } catch (error) {
    return JSON.stringify(errorText(error));
  }
}

function shown(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'number' ? String(value) : `a value of type ${typeof value}`;
}

function invalid(path: string, message: string, call: string): PgFlowError {
  return new PgFlowError('INVALID_INPUT', `${call} ${message}.`, { data: { issues: [{ path, message }] } });
}
