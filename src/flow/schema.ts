import type { StandardSchemaV1 } from '@standard-schema/spec';
import { PgFlowError } from '../errors.js';
import { quoted } from './quoted.js';

/**
 * Checks that the `input` option of `owner` ("flow `a`") is a Standard Schema or absent.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`
 */
export function checkSchema(owner: string, input: unknown): asserts input is StandardSchemaV1 | undefined {
  if (input === undefined) return;
  const standard = (input as Partial<StandardSchemaV1> | null)?.['~standard'];
  if (typeof standard?.validate === 'function') return;
  throw new PgFlowError(
    'INVALID_DEFINITION',
    `The \`input\` of ${owner} must be a Standard Schema, such as one of zod, valibot or arktype, not ${quoted(input)}.`,
  );
}
