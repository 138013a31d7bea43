import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './check.js';
import { runCommand } from './run-command.js';
import { type Outcome, outcomeOf, report, type Tally } from './tally.js';

/** Seconds that one kind of test may take; on two busy cores the engine's took 350. */
const PATIENCE = 1500;

interface Suite {
  /** The vitest project, and the files of it where it is not all. */
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}

/** Kinds of test, quickest first. Each runs in a process of its own. */
const SUITES: Readonly<Record<string, Suite>> = {
  unit: { args: ['unit'] },
  types: { args: ['types'] },
  postgres: { args: ['postgres'] },
  // The engine again, on the oldest PostgreSQL that is supported.
  oldest: { args: ['postgres', 'test/engine'], env: { PGFLOW_TEST_POSTGRES: 'oldest', DATABASE_URL: '' } },
  browser: { args: ['browser'] },
  chaos: { args: ['chaos'] },
};

/** `npm test`, or `npm test -- unit chaos` for some kinds of test without the checks. */
async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => name !== 'check' && !(name in SUITES));
  if (unknown.length > 0) {
    console.error(
      `There are no ${unknown.join(', ')} tests. There are: check, ${Object.keys(SUITES).join(', ')}.`,
    );
    process.exitCode = 2;
    return;
  }
  const wanted = (name: string) => asked.length === 0 || asked.includes(name);

  const outcomes: Outcome[] = [];
  if (wanted('check')) outcomes.push(await check());
  for (const [name, suite] of Object.entries(SUITES)) {
    if (!wanted(name)) continue;
    console.log(`\n— ${name} tests`);
    outcomes.push(await runSuite(name, suite));
  }
  const { lines, ok } = report(outcomes);
  console.log(lines.join('\n'));
  process.exitCode = ok ? 0 : 1;
}

async function runSuite(name: string, { args: project, env }: Suite): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-tally-'));
  const file = join(folder, 'tally.json');
  const args = [
    'run',
    '--project',
    ...project,
    '--reporter=default',
    '--reporter=./scripts/tally-reporter.ts',
  ];
  try {
    const exitCode = await runCommand('vitest', args, {
      env: { ...env, PGFLOW_TALLY: file },
      limit: PATIENCE,
    });
    return outcomeOf(name, readTally(file), exitCode);
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
