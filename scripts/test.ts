import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './check.js';
import { runCommand } from './run-command.js';
import { type Outcome, outcomeOf, report, type Tally } from './tally.js';

/** Seconds that one kind of test may take; on two busy cores the engine's took 350. */
const PATIENCE = 1500;

/** Kinds of test, quickest first. Each is a vitest project and runs in a process of its own. */
const SUITES = ['unit', 'types', 'postgres', 'browser', 'chaos'];

/** `npm test`, or `npm test -- unit chaos` for some kinds of test without the checks. */
async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !['check', ...SUITES].includes(name));
  if (unknown.length > 0) {
    console.error(`There are no ${unknown.join(', ')} tests. There are: check, ${SUITES.join(', ')}.`);
    process.exitCode = 2;
    return;
  }
  const wanted = (name: string) => asked.length === 0 || asked.includes(name);

  const outcomes: Outcome[] = [];
  if (wanted('check')) outcomes.push(await check());
  for (const suite of SUITES.filter(wanted)) {
    console.log(`\n— ${suite} tests`);
    outcomes.push(await runSuite(suite));
  }
  const { lines, ok } = report(outcomes);
  console.log(lines.join('\n'));
  process.exitCode = ok ? 0 : 1;
}

async function runSuite(suite: string): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-tally-'));
  const file = join(folder, 'tally.json');
  const args = ['run', '--project', suite, '--reporter=default', '--reporter=./scripts/tally-reporter.ts'];
  try {
    const exitCode = await runCommand('vitest', args, { env: { PGFLOW_TALLY: file }, limit: PATIENCE });
    return outcomeOf(suite, readTally(file), exitCode);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readTally(file: string): Tally | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

main().catch((error: unknown) => {
  console.error(error);
  console.log('\n0 passed, 1 failed');
  process.exitCode = 1;
});
