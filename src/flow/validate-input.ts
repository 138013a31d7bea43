import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type InputIssue, PgFlowError } from '../errors.js';
import type { AnyFlow } from './flow.js';
import { quoted } from './quoted.js';

/**
 * Checks the input of a run against its flow's schema, and that it is an array where a map runs over it.
 *
 * @returns what the schema returned, which is what the run stores; without a schema the input as it is.
 * @throws {PgFlowError} `INVALID_INPUT` with `data.issues: [{ path, message }]`; the message names the flow and
 *   the first path, such as `lines.0.sku`.
 */
export async function validateInput(flow: AnyFlow, input: unknown): Promise<unknown> {
  const valid = flow.input === undefined ? input : await parse(flow, flow.input, input);
  checkRootMaps(flow, valid);
  return valid;
}

async function parse(flow: AnyFlow, schema: StandardSchemaV1, input: unknown): Promise<unknown> {
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await schema['~standard'].validate(input);
  } catch (cause) {
    const issue = { path: '', message: 'The schema threw an error instead of answering.' };
    throw invalid(flow, [issue], cause);
  }
  if (result.issues === undefined) return result.value;
  throw invalid(flow, result.issues.map(issueOf));
}

/** @throws {PgFlowError} `INVALID_INPUT`: a map runs over the input, which is no array. */
export function checkRootMaps(flow: AnyFlow, input: unknown): void {
  const map = flow.steps.find((step) => step.kind === 'map' && step.over === null);
  if (map === undefined || Array.isArray(input)) return;
  const message = `Map ${quoted(map.slug)} runs over the input, so it must be an array, not ${quoted(input)}.`;
  throw invalid(flow, [{ path: '', message }]);
}

function issueOf(issue: StandardSchemaV1.Issue): InputIssue {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part));
  return { path: path.join('.'), message: String(issue.message) };
}

function invalid(flow: AnyFlow, issues: readonly InputIssue[], ...cause: unknown[]): PgFlowError {
  const first = issues[0] ?? { path: '', message: 'The schema refused it without a reason.' };
  const where = first.path === '' ? '' : ` at ${quoted(first.path)}`;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  return new PgFlowError(
    'INVALID_INPUT',
    `The input of ${flow.kind} ${quoted(flow.slug)} is not valid${where}: ${first.message}${more}`,
    { data: { issues }, ...(cause.length > 0 && { cause: cause[0] }) },
  );
}
