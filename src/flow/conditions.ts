import { PgFlowError } from '../errors.js';
import type { Consequence, StepConditions } from './flow.js';
import { copyPattern, isPlain } from './pattern.js';
import { quoted } from './quoted.js';

export const CONDITION_OPTIONS = ['if', 'ifNot', 'whenUnmet', 'whenExhausted'] as const;

/** Of a step that always runs, and whose failure is the run's. */
export const UNCONDITIONAL: StepConditions = Object.freeze({
  if: undefined,
  ifNot: undefined,
  whenUnmet: 'skip',
  whenExhausted: 'fail',
});

/**
 * The conditions that a step was given, whose options are checked, with copies of their patterns.
 *
 * @param parents the steps that it waits for.
 * @throws {PgFlowError} `INVALID_DEFINITION` for a pattern that is no JSON (`data.path` says where) or that could never
 *   match, and for a `whenUnmet` without a condition.
 */
export function conditionsOf(
  owner: string,
  parents: readonly string[],
  given: Record<string, unknown>,
): StepConditions {
  if (given.whenUnmet !== undefined && given.if === undefined && given.ifNot === undefined) {
    throw refused(
      `\`whenUnmet\` of ${owner} does nothing without a condition. Add \`if\` or \`ifNot\`, or take it out.`,
    );
  }
  return Object.freeze({
    if: patternOf(owner, 'if', parents, given.if),
    ifNot: patternOf(owner, 'ifNot', parents, given.ifNot),
    whenUnmet: (given.whenUnmet as Consequence | undefined) ?? UNCONDITIONAL.whenUnmet,
    whenExhausted: (given.whenExhausted as Consequence | undefined) ?? UNCONDITIONAL.whenExhausted,
  });
}

function patternOf(owner: string, name: string, parents: readonly string[], given: unknown): unknown {
  if (given === undefined) return undefined;
  const pattern = copyPattern(owner, name, given);
  if (parents.length > 0) checkKeys(owner, name, parents, pattern);
  return pattern;
}

function checkKeys(owner: string, name: string, parents: readonly string[], pattern: unknown): void {
  const slugs = parents.map(quoted).join(', ');
  if (!isPlain(pattern)) {
    throw refused(
      `\`${name}\` of ${owner} can never match: it is compared with the outputs of the steps before it, by slug, ` +
        `so it must be an object with keys of ${slugs}, not ${quoted(pattern)}.`,
    );
  }
  const stranger = Object.keys(pattern).find((key) => !parents.includes(key));
  if (stranger === undefined) return;
  throw refused(
    `\`${name}\` of ${owner} can never match: it names ${quoted(stranger)}, which the step does not depend on. ` +
      `Add it to \`dependsOn\` or use the keys ${slugs}.`,
  );
}

function refused(message: string): PgFlowError {
  return new PgFlowError('INVALID_DEFINITION', message);
}
