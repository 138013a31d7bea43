/** What one kind of test came to. Names are `file > suite > test`. */
export interface Tally {
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** False while tests are running, so also after a crash. */
  readonly finished: boolean;
}

/** What a part of `npm test` came to. `failed` names tests, and what else went wrong. */
export interface Outcome {
  readonly part: string;
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: Tally['skipped'];
}

/**
 * The outcome of one kind of test, which ended with that exit code. A crash, no test at all, or
 * an exit code that no failed test explains is a failure too.
 */
export function outcomeOf(part: string, tally: Tally | null, exitCode: number | null): Outcome {
  if (!tally) return { part, passed: 0, failed: [`did not run (exit code ${exitCode})`], skipped: [] };
  const failed = [...tally.failed];
  if (!tally.finished) failed.push(`crashed or was ended before its last test (exit code ${exitCode})`);
  else if (tally.passed + failed.length === 0) failed.push('ran no test');
  else if (exitCode !== 0 && failed.length === 0) failed.push(`ended with exit code ${exitCode}`);
  return { part, passed: tally.passed, failed, skipped: tally.skipped };
}

/** The lines at the end of a run; the last one is the sum. */
export function report(outcomes: readonly Outcome[]): { lines: string[]; ok: boolean } {
  const skipped = outcomes.flatMap(({ part, skipped }) =>
    skipped.map(({ name, reason }) => `  ${part}: ${name}\n    ${reason}`),
  );
  const failed = outcomes.flatMap(({ part, failed }) => failed.map((name) => `  ${part}: ${name}`));
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const lines = [
    ...(skipped.length > 0 ? ['', 'SKIPPED, and why:', ...skipped] : []),
    ...(failed.length > 0 ? ['', 'FAILED:', ...failed] : []),
    '',
    `${passed} passed, ${failed.length} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
  ];
  return { lines, ok: failed.length === 0 };
}
