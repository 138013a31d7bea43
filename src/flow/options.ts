import { PgFlowError } from '../errors.js';
import type { Consequence, StepOptions } from './flow.js';
import { quoted } from './quoted.js';

/** How attempts are made. On a flow or job: for all its steps. On a step: that step's own, which wins. */
export type AttemptOptions = Partial<Pick<StepOptions, 'maxAttempts' | 'baseDelay' | 'timeout'>>;

export const ATTEMPT_OPTIONS = ['maxAttempts', 'baseDelay', 'timeout'] as const;

export const DEFAULT_OPTIONS: StepOptions = { maxAttempts: 3, baseDelay: 1, timeout: 60, startDelay: 0 };

interface Range {
  readonly allowed: string;
  holds(value: number): boolean;
}

const MOST_ATTEMPTS = 2_147_483_647;
/** No timer takes more, which is 24 days. */
const LONGEST_TIMEOUT = 2_147_483;
/** 100 years. */
const LONGEST_DELAY = 3_153_600_000;
const DELAY: Range = {
  allowed: `a number of seconds from 0 to ${LONGEST_DELAY}`,
  holds: (value) => value >= 0 && value <= LONGEST_DELAY,
};

const RANGES: Readonly<Record<keyof StepOptions, Range>> = {
  maxAttempts: {
    allowed: `a whole number from 1 to ${MOST_ATTEMPTS}`,
    holds: (value) => Number.isInteger(value) && value >= 1 && value <= MOST_ATTEMPTS,
  },
  baseDelay: DELAY,
  timeout: {
    allowed: `a number of seconds, more than 0 and at most ${LONGEST_TIMEOUT}`,
    holds: (value) => value > 0 && value <= LONGEST_TIMEOUT,
  },
  startDelay: DELAY,
};

const CHOICES: Readonly<Record<string, readonly Consequence[]>> = {
  whenUnmet: ['skip', 'skip-cascade', 'fail'],
  whenExhausted: ['fail', 'skip', 'skip-cascade'],
};

/**
 * Checks what was given as the options of `owner` ("flow `a`", "step `b` of flow `a`"): an object with no other
 * names than those allowed, whose numbers are in range and whose choices exist. `undefined` counts as not given.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`
 */
export function checkOptions(
  owner: string,
  options: unknown,
  allowed: readonly string[],
): asserts options is Record<string, unknown> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refused(`The options of ${owner} must be an object, not ${quoted(options)}.`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!allowed.includes(name)) {
      throw refused(`${quoted(name)} is no option of ${owner}. Its options are ${listed(allowed)}.`);
    }
    checkChoice(owner, name, value);
    checkRange(owner, name, value);
  }
}

/** The options that a step runs with: those given, else the defaults. */
export function stepOptions(given: Record<string, unknown>, defaults: StepOptions): StepOptions {
  return Object.freeze({
    maxAttempts: (given.maxAttempts as number | undefined) ?? defaults.maxAttempts,
    baseDelay: (given.baseDelay as number | undefined) ?? defaults.baseDelay,
    timeout: (given.timeout as number | undefined) ?? defaults.timeout,
    startDelay: (given.startDelay as number | undefined) ?? defaults.startDelay,
  });
}

function checkChoice(owner: string, name: string, value: unknown): void {
  if (!Object.hasOwn(CHOICES, name)) return;
  const choices = CHOICES[name]!;
  if (choices.includes(value as Consequence)) return;
  throw refused(`\`${name}\` of ${owner} must be one of ${listed(choices)}, not ${quoted(value)}.`);
}

function checkRange(owner: string, name: string, value: unknown): void {
  if (!Object.hasOwn(RANGES, name)) return;
  const range = RANGES[name as keyof StepOptions];
  if (typeof value === 'number' && Number.isFinite(value) && range.holds(value)) return;
  throw refused(`\`${name}\` of ${owner} must be ${range.allowed}, not ${quoted(value)}.`);
}

function listed(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}

function refused(message: string): PgFlowError {
  return new PgFlowError('INVALID_DEFINITION', message);
}
